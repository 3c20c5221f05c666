package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/httpapi"
)

// diffCommand is "skald diff".
type diffCommand struct {
	Old   string `arg:"" help:"The version that runs: NAME, NAME@VERSION, or a file."`
	New   string `arg:"" help:"The version that comes: NAME, NAME@VERSION, or a file."`
	Limit int    `short:"n" help:"How many running sagas are looked at; 0: none." default:"1000"`
	Remote
}

// Help implements kong.HelpProvider.
func (diffCommand) Help() string {
	return `A running saga keeps the version that it began with, so the old one stays registered beside the new one until none is left. What is said of running sagas is which of them have met nothing of what changed, and would go on in the same way under the new version: those may be cancelled and started anew there, or left to end. The others have done something that the new version does otherwise.

Where both are files, and --limit is not 0, sagas are looked for at --address. It ends with 0 if nothing differs and with 10 if something does.`
}

// Run runs the command.
func (c *diffCommand) Run(w *world) error {
	before, err := c.definition(w, c.Old)
	if err != nil {
		return err
	}
	after, err := c.definition(w, c.New)
	if err != nil {
		return err
	}
	d := draw.Difference{Old: before.Name + "@" + before.Version, New: after.Name + "@" + after.Version, Changes: changes(&before, &after)}
	if c.Limit > 0 && before.Version != after.Version {
		if d.Sagas, d.More, err = c.running(w, &before, d.Changes); err != nil {
			return err
		}
	}
	if c.JSON {
		err = printJSON(w, d)
	} else {
		draw.Diff(w.out, &d)
	}
	if err == nil && before.Version != after.Version {
		return ends(exitFindings)
	}
	return err
}

// changes are the steps that differ, in the order of the new definition, removed ones last.
func changes(before, after *httpapi.Definition) []draw.StepChange {
	changed := []draw.StepChange{}
	if what := settings(before, after); len(what) > 0 {
		changed = append(changed, draw.StepChange{What: "changed", Fields: what})
	}
	named := func(d *httpapi.Definition, name string) *httpapi.DefinitionStep {
		if i := slices.IndexFunc(d.Steps, func(s httpapi.DefinitionStep) bool { return s.Name == name }); i >= 0 {
			return &d.Steps[i]
		}
		return nil
	}
	for i := range after.Steps {
		name := after.Steps[i].Name
		old := named(before, name)
		if old == nil {
			changed = append(changed, draw.StepChange{Step: name, What: "added"})
		} else if what := stepFields(old, &after.Steps[i]); len(what) > 0 {
			changed = append(changed, draw.StepChange{Step: name, What: "changed", Fields: what})
		}
	}
	for i := range before.Steps {
		if named(after, before.Steps[i].Name) == nil {
			changed = append(changed, draw.StepChange{Step: before.Steps[i].Name, What: "removed"})
		}
	}
	return changed
}

// field compares one field.
func field[T any](all []draw.Field, name string, before, after T) []draw.Field {
	if was, is := fmt.Sprint(before), fmt.Sprint(after); was != is {
		all = append(all, draw.Field{Name: name, Old: was, New: is})
	}
	return all
}

// settings compares what is said of a saga as a whole.
func settings(before, after *httpapi.Definition) (all []draw.Field) {
	all = field(all, "name", before.Name, after.Name)
	all = field(all, "revision", before.Revision, after.Revision)
	all = field(all, "input", before.Input, after.Input)
	all = field(all, "deadline", before.Deadline, after.Deadline)
	all = field(all, "incident_after", before.IncidentAfter, after.IncidentAfter)
	all = field(all, "durability", before.Durability, after.Durability)
	return field(all, "remedies", before.Remedies, after.Remedies)
}

// stepFields compares a step. What a participant promises is not the definition's.
func stepFields(before, after *httpapi.DefinitionStep) (all []draw.Field) {
	all = field(all, "kind", before.Kind, after.Kind)
	all = field(all, "action", before.Action, after.Action)
	all = field(all, "compensation", before.Compensation, after.Compensation)
	all = field(all, "after", sorted(before.After), sorted(after.After))
	all = field(all, "reads", sorted(before.Reads), sorted(after.Reads))
	all = field(all, "input", before.Input, after.Input)
	all = field(all, "output", before.Output, after.Output)
	all = field(all, "strict", before.Strict, after.Strict)
	all = field(all, "stored", before.Stored, after.Stored)
	all = field(all, "timeout", before.Timeout, after.Timeout)
	all = field(all, "deadline", before.Deadline, after.Deadline)
	all = field(all, "retry", before.Retry, after.Retry)
	all = field(all, "compensation_retry", retryOf(before.CompensationRetry), retryOf(after.CompensationRetry))
	all = field(all, "events", before.Events, after.Events)
	return field(all, "reasons", sorted(before.Reasons), sorted(after.Reasons))
}

func sorted(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), " ") }

func retryOf(r *httpapi.Retry) httpapi.Retry {
	if r == nil {
		return httpapi.Retry{}
	}
	return *r
}

// running says of each running saga of a version what it has met of the changes.
func (c *diffCommand) running(w *world, d *httpapi.Definition, changes []draw.StepChange) (sagas []draw.RunningSaga, more bool, err error) {
	client, err := c.client(w)
	if err != nil {
		return nil, false, err
	}
	sagas = []draw.RunningSaga{}
	l := httpapi.Listing{Filter: httpapi.Filter{Definition: d.Name, Version: d.Version, Unended: true}, Oldest: true}
	for {
		l.Limit = min(pageSize, c.Limit-len(sagas))
		page, err := client.Sagas(w.ctx, l)
		if err != nil {
			return nil, false, err
		}
		for i := range page.Sagas {
			s, err := client.Saga(w.ctx, page.Sagas[i].ID)
			if err != nil {
				return nil, false, err
			}
			sagas = append(sagas, met(&s, d, changes))
		}
		w.progress("%d running sagas so far", len(sagas), c.JSON || page.Next == "")
		if l.Cursor = page.Next; l.Cursor == "" || len(sagas) >= c.Limit {
			return sagas, l.Cursor != "", nil
		}
	}
}

// met says what a saga has met of the changes: a changed or removed step that it has asked for, or one that it has gone past a new step to reach. Whatever concerns the saga as a whole it has met.
func met(s *httpapi.Saga, d *httpapi.Definition, changes []draw.StepChange) draw.RunningSaga {
	x := draw.RunningSaga{ID: s.ID, State: s.State, MayMove: true, Met: []string{}}
	if s.State == skald.Compensating {
		x.MayMove, x.Met = false, append(x.Met, "it turns back")
	}
	for _, change := range changes {
		switch {
		case change.What == "added":
			continue // what must follow it says so itself: its "after" changed
		case change.Step == "":
			for _, f := range change.Fields {
				if words := map[string]string{"input": "the saga's input", "revision": "how inputs are made", "name": "another definition"}[f.Name]; words != "" {
					x.MayMove, x.Met = false, append(x.Met, words)
				}
			}
			continue
		}
		i := slices.IndexFunc(s.Steps, func(y httpapi.Step) bool { return y.Name == change.Step })
		if i >= 0 && s.Steps[i].State != "waiting" {
			x.MayMove, x.Met = false, append(x.Met, change.Step)
		}
	}
	return x
}
