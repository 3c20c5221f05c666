package choreographer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// deliver takes a token in. When it returns nil, everything that follows from the token is durable here: the acknowledgement that follows carries no meaning.
func (a *Agent) deliver(ctx context.Context, d *broker.Delivery) error {
	t, err := decode(&d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	if a.scores[t.Definition] == nil {
		return nil // the start of a saga that this participant has no part in
	}
	if a.scores.of(&t) == nil {
		return unregistered(&t, d, a.Now())
	}
	if _, mine := a.won.get(t.ID); !mine { // what follows from its own was done when it was told, a moment ago
		if err := a.take(ctx, t, d); err != nil {
			return err
		}
	}
	return a.file(ctx, &t, d)
}

// take hears a token that was handed out, in the lane it belongs in.
func (a *Agent) take(ctx context.Context, t participant.Token, d *broker.Delivery) error {
	if t.Kind == participant.TokenDone {
		leave, err := a.actions.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	err := a.Hear(ctx, t)
	if errors.Is(err, ErrUnknown) && a.Now().Sub(d.Published) > startAge {
		a.Logger.WarnContext(ctx, "token of a saga whose start is gone", "token", t.ID)
		return nil // its tokens were deleted long after its end
	}
	return err
}

// startAge is how old a token is at least of whose saga no start is found for good: reads of a cluster may lag behind for seconds.
const startAge = time.Minute

// unregisteredFor is how long a token of an unknown version comes again, in case another process of the service knows it, or will in a moment: versions roll out process by process.
const unregisteredFor = 20 * time.Second

// unregistered sets a token aside whose definition this program does not have. The saga shows an incident; replay it when the version is registered.
func unregistered(t *participant.Token, d *broker.Delivery, now time.Time) error {
	p := broker.Problem{Reason: ReasonDefinition, Description: fmt.Sprintf("definition %s version %s is not registered; register it, also beside a newer one, and replay this", t.Definition, t.Version)}
	if now.Sub(d.Published) < unregisteredFor {
		return &broker.Retry{Problem: p, After: min(backoff(d.Count), 2*time.Second)}
	}
	return &broker.Rejection{Problem: p}
}

// ReasonDefinition is given to what belongs to a definition that no program has registered.
const ReasonDefinition = "skald.definition_missing"

// Hear takes one token in and does what follows from it. It may be heard any number of times, in any order.
func (a *Agent) Hear(ctx context.Context, t participant.Token) error {
	m := a.scores.of(&t)
	if m == nil || !a.concerns(m, &t) {
		return nil
	}
	hear := []participant.Token{t}
	i, ok := m.Plan.Index(t.Step)
	switch {
	case t.Step == participant.StepStart && a.first(m) == 0:
		// It is needed when a step's turn comes, and lies on the broker for as long as the saga does. Writing it down now would cost a commit.
		a.starts.put(t.Saga, t)
		return nil
	case ok && t.Kind == participant.TokenDone && a.before[m].Has(i):
		start, err := a.start(ctx, t.Saga)
		if err != nil {
			return err
		}
		hear = []participant.Token{start, t}
	}
	return a.work(ctx, t.Saga, hear)
}

// first is the set of the participant's steps that follow nothing.
func (a *Agent) first(m *machine.Machine) (first plan.Set) {
	for i := range a.own[m].All {
		if m.Plan.Preds[i] == 0 {
			first |= plan.One(i)
		}
	}
	return first
}

// start is a saga's start token.
func (a *Agent) start(ctx context.Context, saga journal.SagaID) (participant.Token, error) {
	if t, ok := a.starts.get(saga); ok {
		return t, nil
	}
	t, err := findStart(ctx, a.Broker, a.Topic, saga)
	if err == nil {
		a.starts.put(saga, t)
	}
	return t, err
}

// concerns says whether the participant's moves depend on a token: its own, what its steps wait for on the way forward, and what they wait for on the
// way back. All others would only cost a transaction.
func (a *Agent) concerns(m *machine.Machine, t *participant.Token) bool {
	own := a.own[m]
	if own == 0 {
		return false
	}
	switch t.Step {
	case participant.StepStart:
		return t.Kind != participant.TokenUndone // every step's input is made of it
	case participant.StepEnd:
		return t.Kind == participant.TokenSkipped && own&a.undoable(m)&lastSteps(m.Plan) != 0
	}
	i, ok := m.Plan.Index(t.Step)
	if !ok {
		return false
	}
	if own.Has(i) {
		return true
	}
	switch t.Kind {
	case participant.TokenDone:
		return a.before[m].Has(i)
	case participant.TokenUndone:
		return m.Plan.Preds[i]&own&a.undoable(m) != 0
	case participant.TokenRefused, participant.TokenSkipped, participant.TokenFailed:
		return a.before[m].Has(i) || m.Plan.Preds[i]&own&a.undoable(m) != 0
	}
	return false
}

// undoable is the set of steps that tell undone.
func (a *Agent) undoable(m *machine.Machine) plan.Set {
	return m.Plan.Of(participant.Compensatable) | m.Plan.Of(participant.ReadOnly)
}

// lastSteps is the set of steps that nothing follows.
func lastSteps(p *plan.Plan) (last plan.Set) {
	for i := range p.Steps {
		if p.Succs[i] == 0 {
			last |= plan.One(i)
		}
	}
	return last
}
