package main

import (
	"fmt"
	"strings"

	"github.com/skaldhq/skald/cmd/skald/internal/draw"
)

// graphCommand is "skald graph".
type graphCommand struct {
	Name     string `arg:"" help:"A definition's name, or NAME@VERSION, or a file."`
	Mermaid  bool   `help:"As a Mermaid flow chart." xor:"form"`
	Sequence bool   `help:"As a Mermaid sequence diagram of the happy path." xor:"form"`
	Remote
}

// Run runs the command.
func (c *graphCommand) Run(w *world) error {
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
