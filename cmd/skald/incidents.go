package main

import (
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// incidentsCommand is "skald incidents".
type incidentsCommand struct {
	Definition string `short:"d" help:"Of sagas of this definition." placeholder:"NAME" group:"which"`
	Incidents
	Limit int `short:"n" help:"How many sagas at most." default:"20"`
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
	page, err := client.Sagas(w.ctx, httpapi.Listing{Filter: httpapi.Filter{Incident: true, Definition: c.Definition, IncidentReason: c.IncidentReason}, Oldest: true, Limit: max(1, min(c.Limit, pageSize))})
	if err != nil {
		return err
	}
	found := 0
	for i := range page.Sagas {
		s, err := client.Saga(w.ctx, page.Sagas[i].ID)
		if err != nil {
			return err
		}
		if len(s.Incidents) == 0 {
			continue // mended since it was listed
		}
		if found++; c.JSON {
			if err := printJSON(w, s); err != nil {
				return err
			}
			continue
		}
		if err := c.draw(w, client, &s, found > 1); err != nil {
			return err
		}
	}
	if page.Next != "" {
		w.note("There are more: mend these, or add --limit.")
	}
	if found > 0 {
		return ends(exitIncident)
	}
	if !c.JSON {
		w.out.Line("%s", terminal.Good.On("No saga needs you."))
	}
	return nil
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
