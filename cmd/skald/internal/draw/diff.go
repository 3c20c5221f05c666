package draw

import (
	"fmt"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/vet"
)

// Difference is what differs between two versions of a definition. Its JSON is what "skald diff --json" prints.
type Difference struct {
	Old     string        `json:"old"` // NAME@VERSION
	New     string        `json:"new"`
	Changes []Change      `json:"changes"`
	Running []RunningSaga `json:"running,omitempty"` // of the old version
	More    bool          `json:"more,omitempty"`    // there are running sagas that were not looked at
}

// Change is one thing that differs, in a step, or in the saga as a whole if Step is empty.
type Change struct {
	Step   string `json:"step,omitempty"`
	What   string `json:"what"`             // added, removed or changed
	Member string `json:"member,omitempty"` // what was changed
	Old    string `json:"old,omitempty"`
	New    string `json:"new,omitempty"`
}

// RunningSaga is a saga without an outcome, and what is in the way of going on under the new version.
type RunningSaga struct {
	ID        skald.SagaID `json:"id"`
	State     skald.State  `json:"state"`
	MayMove   bool         `json:"may_move"`
	Obstacles []string     `json:"obstacles"`
}

// NewDifference is a comparison as it is shown.
func NewDifference(c *vet.Comparison) Difference {
	d := Difference{Old: c.Old.Name + "@" + c.Old.Version, New: c.New.Name + "@" + c.New.Version, Changes: []Change{}}
	for _, x := range c.Changes {
		d.Changes = append(d.Changes, Change(x))
	}
	return d
}

// Diff draws what differs, and which running sagas could go on.
func Diff(t *terminal.Terminal, d *Difference) {
	t.Line("%s", terminal.Bad.On("- "+terminal.Clean(d.Old)))
	t.Line("%s", terminal.Good.On("+ "+terminal.Clean(d.New)))
	if d.Old == d.New {
		t.Line("Nothing differs.")
		return
	}
	step := "\x00" // none is called so
	for _, c := range d.Changes {
		if c.Step != step {
			step = c.Step
			name := terminal.Clean(c.Step)
			if name == "" {
				name = "the saga"
			}
			t.Line("")
			t.Line("%s %s", terminal.Strong.On(name), c.What)
		}
		if c.Member == "" {
			continue
		}
		t.Line("  %s", terminal.Faint.On(c.Member))
		for _, side := range []struct {
			paint      terminal.Paint
			sign, text string
		}{{terminal.Bad, "-", c.Old}, {terminal.Good, "+", c.New}} {
			if side.text != "" {
				t.Line("%s", side.paint.On(t.Fit("    "+side.sign+" "+terminal.Clean(side.text), t.Width)))
			}
		}
	}
	running(t, d)
}

func running(t *terminal.Terminal, d *Difference) {
	if d.Running == nil {
		return
	}
	more := ""
	if d.More {
		more = " (there are more)"
	}
	title(t, fmt.Sprintf("Running sagas of %s: %s%s", terminal.Clean(d.Old), number(len(d.Running)), more))
	if len(d.Running) == 0 {
		t.Line("  None: the old version need not be registered any more.")
		return
	}
	free := 0
	for _, s := range d.Running {
		if s.MayMove {
			free++
		}
	}
	t.Line("  %s could go on under the new version; %s could not.", number(free), number(len(d.Running)-free))
	for _, s := range d.Running {
		if s.MayMove {
			continue
		}
		t.Line("  %s  %s", terminal.Clean(string(s.ID)), sagaPaint(s.State).On(string(s.State)))
		for _, obstacle := range s.Obstacles {
			paragraph(t, "    ", terminal.Clean(obstacle))
		}
	}
}
