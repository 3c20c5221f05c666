package draw

import (
	"fmt"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
)

// Difference is what differs between two versions of a definition. Its JSON is what "skald diff --json" prints.
type Difference struct {
	Old     string        `json:"old"` // NAME@VERSION
	New     string        `json:"new"`
	Changes []StepChange  `json:"changes"`
	Sagas   []RunningSaga `json:"running,omitempty"` // of the old version
	More    bool          `json:"more,omitempty"`    // there are running sagas that were not looked at
}

// StepChange is what differs in a step, or in the saga as a whole if Step is empty.
type StepChange struct {
	Step   string  `json:"step,omitempty"`
	What   string  `json:"what"` // added, removed or changed
	Fields []Field `json:"fields,omitempty"`
}

// Field is what differs in one field.
type Field struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// RunningSaga is a saga without an outcome, and what it has met of the changes.
type RunningSaga struct {
	ID      skald.SagaID `json:"id"`
	State   skald.State  `json:"state"`
	MayMove bool         `json:"may_move"` // it has met none
	Met     []string     `json:"met"`
}

// Diff draws what differs, and which running sagas are concerned.
func Diff(t *terminal.Terminal, d *Difference) {
	t.Line("%s", terminal.Bad.On("- "+terminal.Clean(d.Old)))
	t.Line("%s", terminal.Good.On("+ "+terminal.Clean(d.New)))
	if d.Old == d.New {
		t.Line("Nothing differs.")
		return
	}
	for _, c := range d.Changes {
		name := terminal.Clean(c.Step)
		if name == "" {
			name = "the saga"
		}
		t.Line("")
		t.Line("%s %s", terminal.Strong.On(name), c.What)
		for _, f := range c.Fields {
			t.Line("  %s", terminal.Faint.On(f.Name))
			t.Line("%s", terminal.Bad.On(t.Fit("  - "+terminal.Clean(f.Old), t.Width)))
			t.Line("%s", terminal.Good.On(t.Fit("  + "+terminal.Clean(f.New), t.Width)))
		}
	}
	runningSagas(t, d)
}

func runningSagas(t *terminal.Terminal, d *Difference) {
	if d.Sagas == nil {
		return
	}
	free := 0
	rows := [][]string{}
	for _, s := range d.Sagas {
		if s.MayMove {
			free++
			continue
		}
		rows = append(rows, []string{terminal.Clean(string(s.ID)), sagaPaint(s.State).On(string(s.State)), terminal.Clean(strings.Join(s.Met, ", "))})
	}
	more := ""
	if d.More {
		more = " (there are more)"
	}
	title(t, fmt.Sprintf("Running sagas of %s: %s%s", terminal.Clean(d.Old), number(len(d.Sagas)), more))
	if len(d.Sagas) == 0 {
		t.Line("  None: the old version need not be registered any more.")
		return
	}
	t.Line("  %s met nothing of what changed and may move; %s keep to the old version.", number(free), number(len(rows)))
	if len(rows) > 0 {
		t.Table("  ", []terminal.Column{{Title: "SAGA", Least: 16}, {Title: "STATE"}, {Title: "HAS MET", Least: 16}}, rows)
	}
}
