package vet

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/shape"
	"github.com/skaldhq/skald/journal"
)

// Change is one thing that a new version says otherwise.
type Change struct {
	Step   string // empty: the definition as a whole
	What   string // added, removed, or changed
	Member string // what was changed, such as kind, input or deadline
	Old    string
	New    string
}

// Comparison is what a new version changes.
type Comparison struct {
	Old, New Definition
	Changes  []Change // of the whole, then of the steps in the order of the new version, removed ones last
}

// Compare compares two versions of a definition, or two definitions.
func Compare(before, after Definition) Comparison {
	c := Comparison{Old: before, New: after}
	changed(&c, "", "name", before.Name, after.Name)
	changed(&c, "", "revision", before.Revision, after.Revision)
	changed(&c, "", "accepts", before.Input, after.Input)
	changed(&c, "", "deadline", before.Deadline, after.Deadline)
	for i := range after.Steps {
		s := &after.Steps[i]
		old := before.step(s.Name)
		if old == nil {
			c.Changes = append(c.Changes, Change{Step: s.Name, What: "added"})
			continue
		}
		c.step(old, s)
	}
	for i := range before.Steps {
		if name := before.Steps[i].Name; after.step(name) == nil {
			c.Changes = append(c.Changes, Change{Step: name, What: "removed"})
		}
	}
	return c
}

func (c *Comparison) step(old, s *Step) {
	changed(c, s.Name, "kind", old.Kind, s.Kind)
	changed(c, s.Name, "action", old.Action, s.Action)
	changed(c, s.Name, "compensation", old.Compensation, s.Compensation)
	changed(c, s.Name, "after", list(old.After), list(s.After))
	changed(c, s.Name, "reads", list(old.Reads), list(s.Reads))
	if c.inputsKnown() {
		changed(c, s.Name, "input", c.Old.inputs(s.Name), c.New.inputs(s.Name))
	}
	changed(c, s.Name, "accepts", old.Input, s.Input)
	changed(c, s.Name, "returns", old.Output, s.Output)
	changed(c, s.Name, "timeout", old.Timeout, s.Timeout)
	changed(c, s.Name, "deadline", old.Deadline, s.Deadline)
	changed(c, s.Name, "retry", old.Retry, s.Retry)
	changed(c, s.Name, "events", list(old.Events), list(s.Events))
}

// changed takes a change in, if it is one.
func changed[T any](c *Comparison, step, member string, before, after T) {
	if was, is := fmt.Sprint(before), fmt.Sprint(after); was != is {
		c.Changes = append(c.Changes, Change{Step: step, What: "changed", Member: member, Old: was, New: is})
	}
}

func list(names []string) string {
	return strings.Join(slices.Sorted(slices.Values(names)), " ")
}

// inputsKnown says whether it can be told if a step's input is made otherwise: where one version's text is not there, as of a server's, it cannot.
func (c *Comparison) inputsKnown() bool { return (c.Old.Source == nil) == (c.New.Source == nil) }

// inputs says how a step's input is made, as far as it is written down.
func (d *Definition) inputs(step string) string {
	if d.Source == nil {
		return "" // in Go's code, which the revision stands for
	}
	var all []string
	for _, m := range d.Source.Input(step) {
		all = append(all, strings.TrimPrefix(m.Field+": "+m.Text, ": "))
	}
	return strings.Join(all, ", ")
}

// Verdict says whether a running saga could go on under the new version, and why not.
type Verdict struct {
	May       bool
	Obstacles []string
}

// MayMove says whether a running saga of the old version could go on under the new one from where it is: whether it would ask for the same things with the same inputs, and never for something that the new version wants before what is done
// already. It says nothing about whether it should. Nothing moves a saga by itself: keep the old version registered until none is left, or cancel those that may not move and start them anew.
func (c *Comparison) MayMove(s *skald.Status) Verdict {
	v := &verdict{c: c, s: s}
	switch {
	case s.Definition != c.Old.Name || s.Version != c.Old.Version:
		v.no("it runs %s@%s, and this is about %s@%s", s.Definition, s.Version, c.Old.Name, c.Old.Version)
	case c.Old.Name != c.New.Name:
		v.no("the new one is another definition, %s", c.New.Name)
	case s.State.Ended():
		v.no("it has ended")
	case s.State == skald.Compensating:
		v.no("it turns back, and undoes what it did as it was told then")
	case s.Mode == skald.Choreographed:
		v.no("it is choreographed: its participants hold tokens of its version")
	}
	if len(v.obstacles) == 0 {
		v.input()
		v.unknown()
		for _, change := range c.Changes {
			v.change(change)
		}
	}
	return Verdict{len(v.obstacles) == 0, v.obstacles}
}

type verdict struct {
	c         *Comparison
	s         *skald.Status
	obstacles []string
}

func (v *verdict) no(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(v.obstacles, text) {
		v.obstacles = append(v.obstacles, text)
	}
}

// begun says whether the saga has asked for a step.
func (v *verdict) begun(step string) bool {
	s := v.s.Step(step)
	return s != nil && s.State != journal.StepStateWaiting
}

func (v *verdict) done(step string) bool {
	s := v.s.Step(step)
	return s != nil && s.State == journal.StepStateDone
}

// input finds what the new version asks of the saga's input and this one's does not have.
func (v *verdict) input() {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(v.s.Input, &members) // what is no object has no members
	want := shape.Read(v.c.New.Input)
	for _, f := range want.Fields {
		if members[f.Name] == nil && !f.Optional {
			v.no("its input has no %q, which the new version asks for", f.Name)
		}
	}
}

// unknown finds steps that may be asked again with who knows which input.
func (v *verdict) unknown() {
	for _, s := range v.s.Steps {
		if !v.c.inputsKnown() && v.begun(s.Name) && !v.done(s.Name) {
			v.no("%s may be asked again, and how its input is made is known of one version only: compare the two files", s.Name)
		}
	}
}

func (v *verdict) change(change Change) {
	step := change.Step
	switch {
	case change.What == "added":
		v.preceded(step, nil)
	case change.What == "removed":
		if v.begun(step) {
			v.no("it has asked for %s, which the new version does not have", step)
		}
	case step == "" && change.Member == "revision":
		if c := v.c; c.Old.Source == nil || c.New.Source == nil {
			for _, s := range v.s.Steps {
				if v.begun(s.Name) && !v.done(s.Name) {
					v.no("how inputs are made has changed (revision %q), and %s may be asked again", change.New, s.Name)
				}
			}
		}
	case step == "":
	case change.Member == "after" || change.Member == "reads":
		v.preceded(step, v.c.Old.before(step))
		if change.Member == "reads" && v.begun(step) && !v.done(step) {
			v.no("the input of %s is made of other results, and it may be asked again", step)
		}
	case slices.Contains([]string{"kind", "action", "compensation"}, change.Member):
		if v.begun(step) {
			v.no("it has asked for %s, whose %s is another in the new version (%s)", step, change.Member, change.New)
		}
	case change.Member == "input" || change.Member == "accepts":
		if v.begun(step) && !v.done(step) {
			v.no("%s may be asked again under the same key, with another input", step)
		}
	case change.Member == "returns":
		v.results(step)
	}
}

// preceded finds steps that have begun, and would have to come after a step that has not been done.
func (v *verdict) preceded(step string, known map[string]bool) {
	for _, s := range v.c.New.Steps {
		if !v.begun(s.Name) {
			continue
		}
		before := v.c.New.before(s.Name)
		if known == nil && before[step] {
			v.no("it has asked for %s, and the new version wants %s before that", s.Name, step)
		}
		if known == nil || s.Name != step {
			continue
		}
		for _, b := range v.c.New.Steps {
			if before[b.Name] && !known[b.Name] && !v.done(b.Name) {
				v.no("it has asked for %s, and the new version wants %s before that", step, b.Name)
			}
		}
	}
}

// results finds steps that would read a result that was given in another shape.
func (v *verdict) results(step string) {
	if !v.begun(step) {
		return
	}
	old, next := v.c.Old.step(step), v.c.New.step(step)
	if shape.Read(old.Output).Fits(shape.Read(next.Output)) {
		return
	}
	for _, s := range v.c.New.Steps {
		if slices.Contains(s.Reads, step) && !v.done(s.Name) {
			v.no("%s would read the result of %s, which was given as %s", s.Name, step, old.Output)
		}
	}
}
