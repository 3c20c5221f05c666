package skaldtest

import (
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// nextVersion makes the version of a definition that is deployed while sagas of the first run. A step more comes before all others, and modelled participants are
// asked for other operations, so that a saga that is gone on with under the wrong version shows in its next call. It is nil for a definition that has no
// room for another step: that one is never changed.
func nextVersion(p *plan.Plan, modelled func(owner string) bool) *plan.Plan {
	retry := plan.Retry{Initial: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Cap: plan.MaxBackoff}
	added := plan.DraftStep{Step: plan.Step{
		Name: "skaldtest-added", Kind: participant.Compensatable, Action: "skaldtest.add", Compensation: "skaldtest.remove", Timeout: 10 * time.Second,
		Map: func([]byte, [][]byte) ([]byte, error) { return []byte("null"), nil }, Retry: retry, Undo: retry,
	}}
	added.Retry.Attempts = 6
	if p.IncidentAfter < 0 { // where nobody would be told of it, nothing may have to be undone
		added.Kind, added.Compensation = participant.ReadOnly, ""
	}
	d := plan.Draft{
		Name: p.Name, Accepts: p.Accepts, Deadline: p.Deadline, IncidentAfter: p.IncidentAfter, Durability: p.Durability, Remedies: p.Remedies,
		Steps: []plan.DraftStep{added},
	}
	for i := range p.Steps {
		s := plan.DraftStep{Step: p.Steps[i], Follows: []string{added.Name}}
		for _, j := range s.After {
			s.Follows = append(s.Follows, p.Steps[j].Name)
		}
		for _, j := range s.Reads {
			s.ReadsOf = append(s.ReadsOf, p.Steps[j].Name)
		}
		if modelled(plan.Owner(s.Action)) {
			s.Action += "-next"
		}
		if s.Compensation != "" && modelled(plan.Owner(s.Compensation)) {
			s.Compensation += "-next"
		}
		d.Steps = append(d.Steps, s)
	}
	next, err := plan.Build(d)
	if err != nil {
		return nil
	}
	return next
}

// changes says whether the definition has another version, and makes it when it is first asked for.
func (w *world) changes() bool {
	if w.next == nil && len(w.plan.Steps) < plan.MaxSteps {
		w.next = nextVersion(w.plan, func(owner string) bool { return w.setup.participants[owner] == nil })
		w.join(w.next)
	}
	return w.next != nil
}

// join adds the participants of a definition to the world.
func (w *world) join(p *plan.Plan) {
	if p == nil {
		return
	}
	for i := range p.Steps {
		for _, op := range []string{p.Steps[i].Action, p.Steps[i].Compensation} {
			if owner := plan.Owner(op); op != "" && w.participants[owner] == nil {
				w.participants[owner] = w.newPart(owner)
			}
		}
	}
}

// pinned is the version of the definition that a saga was started with, which is its own for ever once that is durable.
func (w *world) pinned(id journal.SagaID) *plan.Plan {
	a := w.ledger.of(id)
	if a.plan == nil {
		s, ok := w.disk.summary(id)
		if !ok {
			return w.plan
		}
		a.plan = w.plan
		if w.next != nil && s.Version == w.next.Version {
			a.plan = w.next
		}
	}
	return a.plan
}

// checkPinned holds a call against the version of its saga.
func (w *world) checkPinned(c participant.Call) {
	p := w.pinned(c.Saga)
	i, ok := p.Index(c.Step)
	if !ok {
		w.violate("saga %s: step %s is called, and version %s, with which the saga was started, has no such step", c.Saga, c.Step, p.Version)
		return
	}
	want := p.Steps[i].Action
	if c.Phase == participant.Compensation {
		want = p.Steps[i].Compensation
	}
	if c.Operation != want {
		w.violate("saga %s: step %s calls %s, and version %s, with which the saga was started, has %q there", c.Saga, c.Step, c.Operation, p.Version, want)
	}
}
