package choreographer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// ignores says whether there is nothing to do about a token: it does not concern the participant, or this process told it. Of what is refused or failed there may
// be a letter to be written, and a token of a version that this process does not know may concern another one of the service.
func (a *Agent) ignores(e broker.Envelope) bool {
	p, ok := placeOf(e)
	if !ok {
		return false
	}
	if g, mine := a.won.get(e.Key); mine && g.fresh(a.Now()) {
		return g.kind == participant.TokenDone || g.kind == participant.TokenUndone
	}
	versions := a.scores.versions(p.definition)
	if versions == nil {
		return true // of a definition that this participant has no part in
	}
	r := a.role(versions[e.Header(headerVersion)])
	return r != nil && !r.concerns(p.step, kindOf(e.Type))
}

// from is the first moment at which a token may be taken in. What follows from what was done waits until that is durable where the desk commits it, and only there: letters about what was refused or failed do not, and what is
// only remembered is not taken back.
func (a *Agent) from(m broker.Message) broker.Moment {
	r := a.role(a.scores.versions(m.Headers[headerDefinition])[m.Headers[headerVersion]])
	if r != nil && kindOf(m.Type) == participant.TokenDone && (m.Step != participant.StepStart || r.first) {
		return broker.Proposed
	}
	return broker.Durable
}

// remember keeps the start of a saga of which no first step is the participant's: nothing else follows from it.
func (a *Agent) remember(m broker.Message) bool {
	t, err := decode(&m)
	if err != nil || !a.onlyKept(&t) {
		return false
	}
	a.starts.put(t.Saga, t)
	return true
}

// onlyKept says whether nothing follows from a token but that it is remembered.
func (a *Agent) onlyKept(t *participant.Token) bool {
	r := a.role(a.scores.of(t))
	return t.Step == participant.StepStart && t.Kind == participant.TokenDone && r != nil && !r.first
}

// deliver takes a token in. When it returns nil, everything that follows from the token is durable here: the acknowledgement that follows carries no meaning.
func (a *Agent) deliver(ctx context.Context, d *broker.Delivery) error {
	t, err := decode(&d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	if a.scores.versions(t.Definition) == nil {
		return errNoPart // the start of another saga
	}
	if a.scores.of(&t) == nil {
		return unregistered(&t, d, a.Now())
	}
	told, err := a.tells.Enter(ctx, d.Message.Key) // it may be handed out before whoever tells it hears that it has won
	if err != nil {
		return err
	}
	told()
	if g, mine := a.won.get(d.Message.Key); !mine || !g.fresh(a.Now()) { // what follows from its own was done when it was told, a moment ago
		if err := a.contest(ctx, &t); err != nil {
			return err
		}
		if err := a.take(ctx, t, d); err != nil {
			return err
		}
	}
	return a.file(ctx, &t, d)
}

// contest tells what is written here of the step that a token of its own is about, and is not known to be decided: if that contradicts the token it has to be reported before the token takes its place, after which
// nobody knows of it. There is something only after a crash, or where two processes have databases of their own.
func (a *Agent) contest(ctx context.Context, t *participant.Token) error {
	r := a.role(a.scores.of(t))
	if r == nil {
		return nil
	}
	if i, ok := r.m.Plan.Index(t.Step); !ok || !r.own.Has(i) {
		return nil
	}
	untold, err := a.Desk.Untold(ctx, a.Now(), relayBatch)
	if err != nil {
		return err
	}
	same := func(u participant.Token) bool {
		return u.Saga == t.Saga && u.Step == t.Step && u.Direction() == t.Direction()
	}
	if i := slices.IndexFunc(untold, same); i >= 0 {
		_, err = a.tell(ctx, &untold[i])
	}
	return err
}

// take hears a token that was handed out, in the lane it belongs in.
func (a *Agent) take(ctx context.Context, t participant.Token, d *broker.Delivery) error {
	if t.Kind == participant.TokenDone && !a.onlyKept(&t) {
		leave, err := a.actions.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
	}
	hear := a.Hear
	if t.Step == participant.StepStart && (d.Count > 1 || a.Now().Sub(d.Published) > unregisteredFor || a.Now().Sub(t.Time) > unregisteredFor) { // what followed it may have been ignored while its version was not registered
		hear = a.look
	}
	err := hear(ctx, t)
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
	r := a.role(a.scores.of(&t))
	if r == nil || !r.concerns(t.Step, t.Kind) {
		return nil
	}
	if t.Step == participant.StepStart {
		remember := func() {
			if r.before != 0 { // what follows a step of others needs it
				a.starts.put(t.Saga, t)
			}
		}
		if r.first { // otherwise it is needed when a step's turn comes, and lies on the broker for as long as the saga does. Writing it down now would cost a commit.
			if err := a.workOn(ctx, t.Saga, []participant.Token{t}, a.next, remember); err != nil {
				return err
			}
			if err := participant.AwaitCause(ctx); err != nil { // a desk that has nothing to write does not: it may be a start that loses
				return err
			}
		}
		remember()
		return nil
	}
	hear := []participant.Token{t}
	if i, ok := r.m.Plan.Index(t.Step); ok && t.Kind == participant.TokenDone && r.before.Has(i) {
		start, err := a.start(ctx, t.Saga)
		if err != nil {
			return err
		}
		hear = []participant.Token{start, t}
	}
	return a.work(ctx, t.Saga, hear)
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
