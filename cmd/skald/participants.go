package main

import "github.com/skaldhq/skald/cmd/skald/internal/draw"

// participantsCommand is "skald participants".
type participantsCommand struct{ Remote }

// Run runs the command.
func (c *participantsCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	all, err := client.Participants(w.ctx)
	if err != nil {
		return err
	}
	if !c.JSON {
		draw.Participants(w.out, all)
		return nil
	}
	for i := range all {
		if err := printJSON(w, all[i]); err != nil {
			return err
		}
	}
	return nil
}
