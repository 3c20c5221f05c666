package main

import (
	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/vet"
)

// diffCommand is "skald diff".
type diffCommand struct {
	Old     string `arg:"" help:"The version that runs: NAME, NAME@VERSION, or a file."`
	New     string `arg:"" help:"The version that comes: NAME, NAME@VERSION, or a file."`
	Running bool   `help:"Say which running sagas are concerned." default:"true" negatable:""`
	Limited `set:"limit=1000"`
	Remote
}

// Help implements kong.HelpProvider.
func (diffCommand) Help() string {
	return `A running saga keeps the version that it began with, so the old one stays registered beside the new one until none is left. What is said of running sagas is which of them could go on under the new version from where they are, asking for the same things in the same order, and why the others could not. Nothing moves a saga by itself.

It ends with 0 if nothing differs and with 10 if something does. Unless --no-running, running sagas are looked for at --address, as many as --limit says.`
}

// Run runs the command.
func (c *diffCommand) Run(w *world) error {
	_, before, err := c.definition(w, c.Old)
	if err != nil {
		return err
	}
	_, after, err := c.definition(w, c.New)
	if err != nil {
		return err
	}
	compared := vet.Compare(before, after)
	d := draw.NewDifference(&compared)
	if c.Running && d.Old != d.New {
		if d.Running, d.More, err = c.running(w, &compared); err != nil {
			return err
		}
	}
	if c.JSON {
		err = printJSON(w, d)
	} else {
		draw.Diff(w.out, &d)
	}
	if err == nil && d.Old != d.New {
		return ends(exitFindings)
	}
	return err
}

// running says of each running saga of the old version whether it could go on under the new one.
func (c *diffCommand) running(w *world, compared *vet.Comparison) (sagas []draw.RunningSaga, more bool, err error) {
	client, err := c.client(w)
	if err != nil {
		return nil, false, err
	}
	sagas = []draw.RunningSaga{}
	next, err := c.pages("", func(cursor string, size int) (int, string, error) {
		page, err := client.Sagas(w.ctx, httpapi.Listing{Filter: httpapi.Filter{Definition: compared.Old.Name, Version: compared.Old.Version, Unended: true}, Oldest: true, Cursor: cursor, Limit: size})
		for i := range page.Sagas {
			s, err := client.Status(w.ctx, page.Sagas[i].ID)
			if err != nil {
				return 0, "", err
			}
			sagas = append(sagas, verdict(&s, compared))
		}
		w.progress("%d running sagas so far", len(sagas), c.JSON || page.Next == "")
		return len(page.Sagas), page.Next, err
	})
	return sagas, next != "", err
}

func verdict(s *skald.Status, compared *vet.Comparison) draw.RunningSaga {
	v := compared.MayMove(s)
	return draw.RunningSaga{ID: s.ID, State: s.State, MayMove: v.May, Obstacles: append([]string{}, v.Obstacles...)}
}
