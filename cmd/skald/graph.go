package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/skaldhq/skald/asyncapi"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
)

// graphCommand is "skald graph".
type graphCommand struct {
	Name     string `arg:"" help:"A definition's name, or NAME@VERSION, or a file."`
	Mermaid  bool   `help:"As a Mermaid flow chart." xor:"form"`
	Sequence bool   `help:"As a Mermaid sequence diagram of the happy path." xor:"form"`
	AsyncAPI bool   `name:"asyncapi" help:"As an AsyncAPI 3.0 document, of a definition in a file." xor:"form"`
	Remote
}

// Run runs the command.
func (c *graphCommand) Run(w *world) error {
	if c.AsyncAPI {
		return c.asyncAPI(w)
	}
	d, _, err := c.definition(w, c.Name)
	if err != nil {
		return err
	}
	switch {
	case c.JSON:
		return printJSON(w, d)
	case c.Mermaid:
		fmt.Fprintln(w.stdout, strings.TrimSpace(d.Flow))
	case c.Sequence:
		fmt.Fprintln(w.stdout, strings.TrimSpace(d.Sequence))
	default:
		draw.Graph(w.out, &d)
	}
	return nil
}

// asyncAPI prints what the sagas' messages are. It takes all that a definition says of its payloads, which only its text has.
func (c *graphCommand) asyncAPI(w *world) error {
	if _, err := os.Stat(c.Name); err != nil {
		return usage(fmt.Errorf("--asyncapi is made of a definition's text: give its file, not the name %q", c.Name))
	}
	read, err := readDefinitions([]string{c.Name})
	if err != nil {
		return err
	}
	for _, d := range read {
		document, err := asyncapi.Document(d)
		if err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "%s\n", bytes.TrimSpace(document))
	}
	return nil
}
