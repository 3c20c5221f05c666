package main

import "github.com/skaldhq/skald/cmd/skald/internal/draw"

// statsCommand is "skald stats".
type statsCommand struct{ Remote }

// Run runs the command.
func (c *statsCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	s, err := client.Statistics(w.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, s)
	}
	draw.Statistics(w.out, &s, c.flags(w))
	return nil
}
