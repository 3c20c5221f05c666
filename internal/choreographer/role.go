package choreographer

import (
	"slices"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// role is what a participant has to do with a definition.
type role struct {
	m      *machine.Machine
	own    plan.Set // its steps
	before plan.Set // the steps that these follow or read
	after  plan.Set // the steps that follow those of its own that tell undone
	first  bool     // one of its steps follows nothing
	last   bool     // nothing follows one of its steps that tells undone
}

// roleIn returns a participant's role in a definition, which may be none: then it has no steps of its own.
func roleIn(m *machine.Machine, name string) *role {
	r := &role{m: m, own: stepsOf(m.Plan, name)}
	undoable := r.own & (m.Plan.Of(participant.Compensatable) | m.Plan.Of(participant.ReadOnly))
	for i := range r.own.All {
		r.before |= m.Plan.Preds[i]
		for _, j := range m.Plan.Steps[i].After {
			r.before |= plan.One(j)
		}
		for _, j := range m.Plan.Steps[i].Reads {
			r.before |= plan.One(j)
		}
		r.first = r.first || m.Plan.Preds[i] == 0
	}
	for i := range undoable.All {
		r.after |= m.Plan.Succs[i]
		r.last = r.last || m.Plan.Succs[i] == 0
	}
	return r
}

// stepsOf is the set of steps whose operations a participant owns.
func stepsOf(p *plan.Plan, name string) (own plan.Set) {
	for i := range p.Steps {
		if plan.Owner(p.Steps[i].Action) == name {
			own |= plan.One(i)
		}
	}
	return own
}

// concerns says whether the participant's moves depend on a token of a step and kind: its own, what its steps wait for on the way forward, and what they wait for on the
// way back. All others would only cost a transaction.
func (r *role) concerns(step string, kind participant.TokenKind) bool {
	if r.own == 0 {
		return false
	}
	switch step {
	case participant.StepStart:
		return kind != participant.TokenUndone // every step's input is made of it
	case participant.StepEnd:
		return kind == participant.TokenSkipped && r.last
	}
	i, ok := r.m.Plan.Index(step)
	if !ok {
		return false
	}
	if r.own.Has(i) {
		return true
	}
	switch kind {
	case participant.TokenDone:
		return r.before.Has(i)
	case participant.TokenUndone:
		return r.after.Has(i)
	case participant.TokenRefused, participant.TokenSkipped, participant.TokenFailed:
		return r.before.Has(i) || r.after.Has(i)
	}
	return false
}

// concernedBy says whether a token of a step and direction may concern the participant, whatever it says.
func (r *role) concernedBy(step string, d participant.Direction) bool {
	return slices.ContainsFunc(kindsOf(d), func(k participant.TokenKind) bool { return r.concerns(step, k) })
}

// kindsOf are the kinds of tokens of a direction.
func kindsOf(d participant.Direction) []participant.TokenKind {
	if d == participant.Backward {
		return []participant.TokenKind{participant.TokenUndone}
	}
	return []participant.TokenKind{participant.TokenDone, participant.TokenRefused, participant.TokenFailed, participant.TokenSkipped}
}
