package skaldtest

import (
	"context"
	"strings"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

func ownerOf(operation string) string { return plan.Owner(operation) }

// firm is the row of a step if its participant promises what is checked of it, or nil.
func (w *world) firm(id journal.SagaID, i int) *row {
	step := &w.pinned(id).Steps[i]
	part := w.participants[plan.Owner(step.Action)]
	r := w.ledger.of(id).row(step.Name)
	if step.Kind == participant.ReadOnly || part.level == participant.L0 || r.loose || part.user.Invoker != nil && part.user.Effects == nil {
		return nil
	}
	return r
}

// checkCall holds a call that is about to be sent against what is durable.
func (w *world) checkCall(p *process, c participant.Call) {
	if _, ok := w.disk.damaged[c.Saga]; ok && p == w.disk.damageBy {
		w.violate("saga %s: its journal is damaged, and %s went on with it", c.Saga, p)
	}
	s, ok := w.disk.summary(c.Saga)
	if !ok {
		w.violate("saga %s: step %s is called, and the saga's start is not durable", c.Saga, c.Step)
		return
	}
	w.checkPinned(c)
	if c.Epoch == w.disk.epoch && c.Phase == participant.Action && s.State != store.Running {
		w.violate("saga %s: step %s is called although the saga is %s", c.Saga, c.Step, s.State)
	}
}

// checkForward holds an effect against everything that was done before it.
func (w *world) checkForward(id journal.SagaID, s *plan.Step, r *row) {
	p := w.pinned(id)
	i, _ := p.Index(s.Name)
	if r.acts > 1 {
		w.violate("saga %s: step %s took effect %d times", id, s.Name, r.acts)
	}
	for j := range p.Anc[i].All {
		before := w.firm(id, j)
		switch {
		case before == nil || before.byHand:
		case before.undos > 0 || before.state == tombstone:
			w.violate("saga %s: step %s took effect after %s was undone", id, s.Name, p.Steps[j].Name)
		case before.effects == 0:
			w.violate("saga %s: step %s took effect before %s", id, s.Name, p.Steps[j].Name)
		}
	}
}

// checkBackward holds a compensation's effect against what is still there.
func (w *world) checkBackward(id journal.SagaID, s *plan.Step) {
	p := w.pinned(id)
	i, _ := p.Index(s.Name)
	for j := range p.Steps {
		r := w.firm(id, j)
		switch {
		case r == nil || r.effects == 0:
		case j == p.Pivot:
			w.violate("saga %s: step %s was undone after the pivot %s took effect", id, s.Name, p.Steps[j].Name)
		case p.Desc[i].Has(j):
			w.violate("saga %s: step %s was undone before %s", id, s.Name, p.Steps[j].Name)
		}
	}
}

// checkKept looks, when the store opens again, for what was acknowledged.
func (w *world) checkKept() {
	for _, id := range w.order {
		cl := w.claims[id]
		s, ok := w.disk.summary(id)
		switch {
		case cl.acked && !ok:
			w.violate("saga %s was acknowledged and is lost", id)
		case cl.told != "" && s.State != cl.told:
			w.violate("saga %s was announced as %s and is now %s", id, cl.told, s.State)
		}
	}
}

// checkEnd holds what is left against the sagas' outcomes.
func (w *world) checkEnd() {
	w.checkKept()
	for _, id := range w.order {
		s, ok := w.disk.summary(id)
		switch {
		case !ok:
			w.checkGone(id)
		case !s.State.Ended():
			w.violate("saga %s has no outcome:%s", id, journalOf(w.disk.events(id)))
		case w.claims[id].cancelled && s.State == store.Completed:
			w.violate("saga %s completed although its cancel was acknowledged:%s", id, journalOf(w.disk.events(id)))
		default:
			w.checkEffects(id, s.State)
			w.checkJournal(id)
			w.checkContradictions(&s)
		}
	}
}

// checkGone looks for effects of a saga that does not exist.
func (w *world) checkGone(id journal.SagaID) {
	for i := range w.plan.Steps {
		if r := w.firm(id, i); r != nil && r.effects > 0 {
			w.violate("saga %s does not exist, and its step %s took effect", id, w.plan.Steps[i].Name)
		}
	}
}

func (w *world) checkEffects(id journal.SagaID, outcome store.State) {
	want := 0
	if outcome == store.Completed {
		want = 1
	}
	p := w.pinned(id)
	for i := range p.Steps {
		step := &p.Steps[i]
		r := w.firm(id, i)
		if r == nil || r.byHand {
			continue
		}
		if part := w.participants[plan.Owner(step.Action)]; part.user.Effects != nil {
			r.effects = part.user.Effects(id, step.Name)
		}
		if r.effects != want {
			w.violate("saga %s is %s, and step %s took effect %d times:%s", id, outcome, step.Name, r.effects, journalOf(w.disk.events(id)))
		}
	}
}

// checkJournal looks for more than one outcome, and for steps asked after the decision to turn back.
func (w *world) checkJournal(id journal.SagaID) {
	events := w.disk.events(id)
	back, outcomes := false, 0
	for e := range events {
		switch e.Kind {
		case journal.SagaCompensating:
			back = true
		case journal.StepAsked:
			if back {
				w.violate("saga %s: step %s was asked after the decision to turn back:%s", id, e.Step, journalOf(events))
			}
		case journal.CompensationAsked:
			if !back {
				w.violate("saga %s: step %s is compensated without a decision to turn back:%s", id, e.Step, journalOf(events))
			}
		case journal.SagaCompleted, journal.SagaCompensated:
			outcomes++
		default:
		}
	}
	if outcomes != 1 {
		w.violate("saga %s has %d outcomes:%s", id, outcomes, journalOf(events))
	}
}

// unended describes the sagas without an outcome.
func (w *world) unended() string {
	page, err := w.disk.mem.List(context.Background(), store.Filter{Unended: true})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for i := range page.Sagas {
		b.WriteString("\n  saga " + string(page.Sagas[i].ID) + ":" + journalOf(w.disk.events(page.Sagas[i].ID)))
		if i == 2 {
			b.WriteString("\n  …")
			break
		}
	}
	return b.String()
}
