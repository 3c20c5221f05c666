package main

import (
	"strconv"
	"strings"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
)

// helpCommand is "skald help".
type helpCommand struct {
	Topic []string `arg:"" optional:"" help:"A command, or exit-codes."`
	Output
}

// Run runs the command.
func (c *helpCommand) Run(w *world) error {
	if strings.Join(c.Topic, " ") != "exit-codes" {
		_, err := w.parser.Parse(append(c.Topic, "--help"))
		return usage(err)
	}
	rows := [][]string{}
	for _, x := range exitCodes() {
		if c.JSON {
			if err := printJSON(w, x); err != nil {
				return err
			}
		}
		rows = append(rows, []string{strconv.Itoa(x.Code), x.Means})
	}
	if !c.JSON {
		w.out.Table("", []terminal.Column{{Title: "CODE", Right: true}, {Title: "MEANS"}}, rows)
	}
	return nil
}
