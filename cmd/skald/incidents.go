package main

import (
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// incidentsCommand is "skald incidents".
type incidentsCommand struct {
	Definition string `short:"d" help:"Of sagas of this definition." placeholder:"NAME" group:"which"`
	Incidents
	Limited `set:"limit=20"`
	Remote
}

// Help implements kong.HelpProvider.
func (incidentsCommand) Help() string {
	return "It ends with 0 when there are none and with 7 when there are some, so that a check can run it."
}

// Run runs the command.
func (c *incidentsCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	found := 0
	next, err := c.pages("", func(cursor string, size int) (int, string, error) {
		page, err := client.Sagas(w.ctx, httpapi.Listing{Filter: httpapi.Filter{Incident: true, Definition: c.Definition, IncidentReason: c.IncidentReason}, Oldest: true, Cursor: cursor, Limit: size})
		for i := range page.Sagas {
			if err := c.tell(w, client, page.Sagas[i].ID, &found); err != nil {
				return 0, "", err
			}
		}
		return len(page.Sagas), page.Next, err
	})
	if err != nil {
		return err
	}
	if next != "" {
		w.note("There are more: mend these, or add --limit=0 for all.")
	}
	if found > 0 {
		return ends(exitIncident)
	}
	if !c.JSON {
		w.out.Line("%s", terminal.Good.On("No saga needs you."))
	}
	return nil
}

// tell shows a saga, and counts it, unless it was mended since it was listed.
func (c *incidentsCommand) tell(w *world, client *httpapi.Client, id skald.SagaID, found *int) error {
	s, err := client.Saga(w.ctx, id)
	if err != nil || len(s.Incidents) == 0 {
		return err
	}
	if *found++; c.JSON {
		return printJSON(w, s)
	}
	return c.draw(w, client, &s, *found > 1)
}

func (c *incidentsCommand) draw(w *world, client *httpapi.Client, s *httpapi.Saga, apart bool) error {
	d, err := definitionOf(w, client, s)
	if err != nil {
		return err
	}
	if apart {
		w.out.Line("")
	}
	draw.Outcome(w.out, s, time.Now())
	draw.Incidents(w.out, s, d, c.flags(w), time.Now())
	return nil
}
