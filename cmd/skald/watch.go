package main

import (
	"fmt"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// watchCommand is "skald watch".
type watchCommand struct {
	ID    skald.SagaID `arg:"" name:"id" optional:"" help:"The saga's id. Without it, the sagas that the flags select."`
	After uint64       `help:"Only what follows this event of the saga." placeholder:"SEQ"`
	Which
	Every length `help:"How often the list is read anew." default:"1s"`
	Remote
}

// Help implements kong.HelpProvider.
func (watchCommand) Help() string {
	return `With an id it prints each event of the saga, from the first, until the outcome, and ends with 0 when the saga completed and 6 when it was compensated.

Without, it shows the newest sagas until you stop it: on a terminal as a list that stays up to date, otherwise as a line for each change.`
}

// Run runs the command.
func (c *watchCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	if c.ID == "" {
		return c.all(w, client)
	}
	err = w.follow(w.ctx, client, c.ID, c.After, func(e httpapi.Event) error {
		if c.JSON {
			return printJSON(w, e)
		}
		draw.Event(w.out, &e, time.Now())
		return nil
	})
	if err != nil {
		return err
	}
	s, err := client.Saga(w.ctx, c.ID)
	if err == nil && s.State == skald.Compensated {
		return ends(exitCompensated)
	}
	return err
}

// watched is how many sagas a watch of all looks at: those that changed and are older are not seen.
const watched = 200

// all shows the newest sagas until it is stopped.
func (c *watchCommand) all(w *world, client *httpapi.Client) error {
	if c.After > 0 {
		return usage(fmt.Errorf("--after is for one saga: give its id"))
	}
	every := time.Duration(c.Every)
	if every < 100*time.Millisecond {
		return usage(fmt.Errorf("--every=%s is too often: 100ms or more", every))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen := map[skald.SagaID]uint64{}
	for {
		page, err := client.Sagas(w.ctx, httpapi.Listing{Filter: c.filter(), Limit: watched})
		if err != nil {
			return err
		}
		if w.out.Live && !c.JSON {
			redraw(w.out, page.Sagas)
		} else if err := c.changes(w, page.Sagas, seen); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return w.ctx.Err() // it was stopped, which is how it ends
		}
	}
}

// changes prints the sagas that have new events, oldest first.
func (c *watchCommand) changes(w *world, sagas []httpapi.Summary, seen map[skald.SagaID]uint64) error {
	now := map[skald.SagaID]uint64{}
	for i := len(sagas) - 1; i >= 0; i-- {
		s := &sagas[i]
		now[s.ID] = s.Seq
		if seen[s.ID] == s.Seq {
			continue
		}
		if !c.JSON {
			draw.Changed(w.out, s)
		} else if err := printJSON(w, s); err != nil {
			return err
		}
	}
	clear(seen) // what left the list is forgotten, so that a long watch does not grow
	for id, seq := range now {
		seen[id] = seq
	}
	return nil
}

// redraw shows a list in place of the one before.
func redraw(t *terminal.Terminal, sagas []httpapi.Summary) {
	if t.Height > 4 {
		sagas = sagas[:min(len(sagas), t.Height-3)]
	}
	now := time.Now()
	fmt.Fprint(t, "\x1b[H\x1b[2J")
	t.Line("%s", terminal.Faint.On(now.UTC().Format("15:04:05")+" UTC, newest first; Ctrl-C ends"))
	draw.Sagas(t, sagas, now)
}
