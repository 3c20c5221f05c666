package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/skaldhq/skald/asyncapi"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
)

// graphCommand is "skald graph".
type graphCommand struct {
	Name     string `arg:"" help:"A definition's name, or NAME@VERSION, or a file."`
	Mermaid  bool   `help:"As a Mermaid flow chart." xor:"form"`
	Sequence bool   `help:"As a Mermaid sequence diagram of the happy path." xor:"form"`
	AsyncAPI bool   `name:"asyncapi" help:"As an AsyncAPI 3.0 document." xor:"form"`
	Remote
}

// Run runs the command.
func (c *graphCommand) Run(w *world) error {
	if c.JSON && (c.Mermaid || c.Sequence || c.AsyncAPI) {
		return usage(errors.New("--json is a form of its own: leave it out, or --mermaid, --sequence and --asyncapi"))
	}
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

// asyncAPI prints what the sagas' messages are, of a definition in a file or at the server.
func (c *graphCommand) asyncAPI(w *world) error {
	var document []byte
	if isFile(c.Name) {
		read, err := readDefinitions([]string{c.Name})
		if err == nil && len(read) != 1 {
			err = usage(fmt.Errorf("%s has %d definitions: name one file", c.Name, len(read)))
		}
		if err != nil {
			return err
		}
		if document, err = asyncapi.Document(read[0]); err != nil {
			return err
		}
	} else {
		client, err := c.client(w)
		if err != nil {
			return err
		}
		name, version, _ := strings.Cut(c.Name, "@")
		if document, err = client.AsyncAPI(w.ctx, name, version); err != nil {
			return err
		}
	}
	fmt.Fprintf(w.stdout, "%s\n", bytes.TrimSpace(document))
	return nil
}
