package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// Which are the flags that select sagas.
type Which struct {
	Definition string        `short:"d" help:"Of this definition." placeholder:"NAME" group:"which"`
	Version    string        `help:"Of this version of the definition." placeholder:"VERSION" group:"which"`
	Key        string        `help:"With this business key." placeholder:"KEY" group:"which"`
	State      []skald.State `short:"s" help:"In one of these states: running, compensating, completed, compensated." enum:"running,compensating,completed,compensated" placeholder:"STATE" group:"which"`
	Unended    bool          `short:"u" help:"Without an outcome." group:"which"`
	Incident   bool          `short:"i" help:"With an open incident." group:"which"`
	Step       string        `help:"At this step, or turned back by it." placeholder:"STEP" group:"which"`
	Why        string        `help:"Turned back with this reason code." placeholder:"CODE" group:"which"`
	Incidents
	Mode          string `help:"Driven so: orchestrated or choreographed." enum:",orchestrated,choreographed" default:"" placeholder:"MODE" group:"which"`
	StartedAfter  moment `help:"Started at this time or later: 2h, 3d, or 2026-01-31T12:00:00Z." placeholder:"TIME" group:"which"`
	StartedBefore moment `help:"Started before this time." placeholder:"TIME" group:"which"`
}

// Incidents is the flag that selects sagas by what they need help with.
type Incidents struct {
	IncidentReason string `help:"With an open incident of this reason code; if a saga has several, that of the oldest." placeholder:"CODE" group:"which"`
}

// filter is what the flags say.
func (c *Which) filter() httpapi.Filter {
	return httpapi.Filter{
		Definition: c.Definition, Version: c.Version, Key: c.Key, Mode: skald.Mode(c.Mode), States: c.State, Unended: c.Unended, Incident: c.Incident, Step: c.Step, Reason: c.Why, IncidentReason: c.IncidentReason,
		StartedAfter: time.Time(c.StartedAfter), StartedBefore: time.Time(c.StartedBefore),
	}
}

// mostDays is how many days a time.Duration has room for.
const mostDays = int(math.MaxInt64 / (24 * time.Hour))

// moment is a time as it is typed: how long ago, or when.
type moment time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	s := string(text)
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		*m = moment(at)
		return nil
	}
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); n == 1 && err == nil && s == fmt.Sprintf("%dd", days) && days <= mostDays {
		s = fmt.Sprintf("%dh", 24*days)
	}
	ago, err := time.ParseDuration(s)
	if err != nil || ago < 0 {
		return fmt.Errorf("%q is no time: say how long ago (90s, 2h, 3d), or when (2026-01-31T12:00:00Z)", text)
	}
	*m = moment(time.Now().Add(-ago))
	return nil
}

// listCommand is "skald list".
type listCommand struct {
	Which
	Oldest  bool `help:"Oldest first; otherwise newest first."`
	Limited `set:"limit=50"`
	Cursor  string `help:"Go on from where a list ended." placeholder:"CURSOR"`
	Remote
}

// Run runs the command.
func (c *listCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	var all []httpapi.Summary
	next, err := c.pages(c.Cursor, func(cursor string, size int) (int, string, error) {
		page, err := client.Sagas(w.ctx, httpapi.Listing{Filter: c.filter(), Oldest: c.Oldest, Cursor: cursor, Limit: size})
		if err == nil && c.JSON {
			err = printLines(w, page.Sagas)
		}
		all = append(all, page.Sagas...)
		w.progress("%d sagas so far", len(all), c.JSON || page.Next == "" || len(all) < pageSize)
		return len(page.Sagas), page.Next, err
	})
	if err != nil {
		return err
	}
	if !c.JSON {
		c.draw(w, all)
	}
	w.more(next)
	return nil
}

func (c *listCommand) draw(w *world, all []httpapi.Summary) {
	if len(all) == 0 {
		w.note("No saga matches.")
		return
	}
	draw.Sagas(w.out, all, time.Now())
	if n := incidentsAmong(all); n > 0 && w.out.Live {
		w.out.Line("")
		w.out.Line("%s", terminal.Faint.On("What to do about the incidents: skald incidents"+c.flags(w)))
	}
}

func incidentsAmong(all []httpapi.Summary) (n int) {
	for i := range all {
		if all[i].Incident != "" {
			n++
		}
	}
	return n
}

// progress tells a person how far long work is, unless it is quiet.
func (w *world) progress(format string, n int, quiet bool) {
	if !quiet && terminal.New(w.stderr, w.environment).Live {
		fmt.Fprintf(w.stderr, "\r"+strings.TrimSpace(format)+" ", n)
	}
}
