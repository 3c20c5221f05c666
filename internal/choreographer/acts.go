package choreographer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// DefaultActs is the topic on which operators' decisions reach participants.
const DefaultActs = "skald-acts"

// Resolution is an operator's decision about a step.
type Resolution struct {
	Step    string
	Verb    journal.Verb
	By      string
	Reason  string
	Payload []byte // JSON: the new input of VerbReplace, the result of VerbDone
}

// act is a decision on its way to the step's participant. Its fields are durable.
type act struct {
	Step    string          `json:"step"`
	Undo    bool            `json:"undo"` // about the compensation
	Verb    journal.Verb    `json:"verb"`
	By      string          `json:"by"`
	Reason  string          `json:"reason"`
	Payload json.RawMessage `json:"payload,omitempty"`

	round uint64 // of a dead letter: the round of attempts that it ended, from 1; 0 for any
}

// stale says whether it was meant for another round of attempts than the one that was set aside.
func (x *act) stale(w *participant.Waiting) bool {
	return x.round > 0 && (w == nil || !w.Aside || uint64(w.Round)+1 != x.round)
}

// Resolve records an operator's decision in the saga's journal and sends it to the step's participant, unless there is nothing to do but to have seen something. The error wraps machine.ErrVerb if it does not fit the step.
// After any other error it may be recorded; decide again.
func (x *Tracker) Resolve(ctx context.Context, id journal.SagaID, r Resolution) error {
	if r.Verb == journal.VerbSeen {
		return x.see(ctx, id, &r)
	}
	var m broker.Message
	found := false
	err := x.on(ctx, id, occasion{begin: true, ended: true}, func(tr *track) error {
		found = true
		r.Payload = tr.m.Plan.KeptDecision(r.Step, r.Verb, r.Payload)
		i, undo, err := tr.resolvable(&r)
		if err != nil {
			return err
		}
		tr.record(journal.Event{Kind: journal.IncidentResolved, Step: r.Step, Verb: r.Verb, By: r.By, Detail: r.Reason, Payload: r.Payload}, x.Now())
		m, err = x.act(tr, i, act{Step: r.Step, Undo: undo, Verb: r.Verb, By: r.By, Reason: r.Reason, Payload: r.Payload})
		return err
	})
	switch {
	case err != nil:
		return err
	case !found:
		return machine.ErrEnded
	}
	return x.Broker.Publish(ctx, x.Acts, m)
}

func (x *Tracker) act(tr *track, i int, a act) (broker.Message, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return broker.Message{}, fmt.Errorf("%w: the payload is not JSON", machine.ErrVerb)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return broker.Message{}, err
	}
	return broker.Message{
		ID: id.String(), Type: typeAct, Source: x.Name, Saga: tr.summary.ID, Step: a.Step, Time: x.Now(), Data: data,
		Key: broker.NewKey(plan.Owner(tr.m.Plan.Steps[i].Action), string(tr.summary.ID)),
	}, nil
}

// resolvable says whether a decision fits what the step waits for, and whether that is its compensation.
func (x *track) resolvable(r *Resolution) (i int, undo bool, err error) {
	i, ok := x.m.Plan.Index(r.Step)
	switch {
	case x.summary.State.Ended():
		return 0, false, machine.AfterEnd(x.contradicted != 0)
	case !ok:
		return 0, false, fmt.Errorf("%w: name a step of definition %s", machine.ErrVerb, x.m.Plan.Name)
	case !x.open().Has(i):
		return 0, false, machine.WaitsForNothing(r.Step, x.contradicted.Has(i))
	case r.Verb == journal.VerbReplace && len(r.Payload) == 0:
		return 0, false, fmt.Errorf("%w: replacing needs the new input", machine.ErrVerb)
	}
	if err := machine.Full(x.summary.Seq, r.Verb); err != nil {
		return 0, false, err
	}
	undo = x.undoAsked.Has(i)
	kind := x.m.Plan.Steps[i].Kind
	if !undo {
		if err := x.m.Plan.Steps[i].Takes(r.Verb, r.Payload); err != nil {
			return 0, false, err
		}
	}
	switch r.Verb {
	case journal.VerbRetry:
		return i, undo, nil
	case journal.VerbReplace, journal.VerbSkip, journal.VerbDone:
	default:
		return 0, false, machine.NoVerb(r.Verb)
	}
	switch {
	case undo:
	case kind == participant.Compensatable || kind == participant.ReadOnly:
		return 0, false, fmt.Errorf("%w: step %s is %s and ends by itself; retry it, or cancel the saga", machine.ErrVerb, r.Step, kind)
	case kind == participant.Pivot && r.Verb != journal.VerbDone:
		return 0, false, fmt.Errorf("%w: step %s is the pivot; retry it, or mark it done by hand", machine.ErrVerb, r.Step)
	case r.Verb == journal.VerbSkip && x.read(i):
		return 0, false, fmt.Errorf("%w: another step reads the result of %s; mark it done by hand and give the result", machine.ErrVerb, r.Step)
	}
	return i, undo, nil
}

// read says whether any step reads the result of step i.
func (x *track) read(i int) bool {
	for j := range x.m.Plan.Steps {
		for _, k := range x.m.Plan.Steps[j].Reads {
			if k == i {
				return true
			}
		}
	}
	return false
}

// deliverAct carries an operator's decision out.
func (a *Agent) deliverAct(ctx context.Context, d *broker.Delivery) error {
	var x act
	if err := json.Unmarshal(d.Message.Data, &x); err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	x.round = d.Message.Epoch
	start, err := a.start(ctx, d.Message.Saga)
	switch {
	case errors.Is(err, ErrUnknown) && a.Now().Sub(d.Published) > startAge:
		return nil // it ended long ago, and its tokens are gone
	case err != nil:
		return err
	case a.scores.of(&start) == nil:
		return unregistered(&start, d, a.Now())
	case x.Verb == verbLook && a.Now().Sub(d.Published) > nudgeMost:
		return nil // another one has come since
	case x.Verb == verbLook:
		return a.look(ctx, start)
	}
	return a.decided(ctx, start, &x)
}

// verbLook asks a participant to look at a saga again: its step is owed, and nothing was heard of it. A process of an older version, a filter or a lost moment may have let a
// token pass; what was decided is all on the broker.
const verbLook journal.Verb = "look"

// look hears everything that concerns the participant's part in a saga.
func (a *Agent) look(ctx context.Context, start participant.Token) error {
	r, hear := a.role(a.scores.of(&start)), []participant.Token{start}
	if r == nil || r.own == 0 {
		return nil
	}
	all, err := readSaga(ctx, a.Broker, a.Topic, start.Definition, start.Saga)
	if err != nil {
		return err
	}
	for i := range all {
		if r.concerns(all[i].Step, all[i].Kind) {
			hear = append(hear, all[i])
		}
	}
	return a.work(ctx, start.Saga, hear)
}

// Ignored counts the decisions that were passed over since the agent was made: they are about an earlier round of attempts, or came after their step had been decided, as a second copy does.
func (a *Agent) Ignored() uint64 { return a.ignored.Load() }

// decided writes a decision into the desk, and goes on from there. A step that has been decided meanwhile is left as it is.
func (a *Agent) decided(ctx context.Context, start participant.Token, x *act) error {
	id := start.Saga
	written, late := false, false
	next := func(l participant.Ledger) (participant.Work, bool) {
		if written || len(l.Heard) == 0 {
			return a.next(l)
		}
		m := a.scores.of(&l.Heard[0])
		if m == nil {
			return participant.Work{}, false
		}
		p := part{name: a.Name, own: a.role(m).own, now: a.Now, jitter: a.Jitter, heard: join(m, l.Heard), ledger: l}
		i, ok := m.Plan.Index(x.Step)
		move := machine.Act
		if x.Undo {
			move = machine.Undo
		}
		if !ok || !p.own.Has(i) {
			return a.next(l)
		}
		if late = m.Move(&p.tokens, i) != move || p.told(i, move) || x.stale(p.waiting(i, move)); late {
			return a.next(l)
		}
		return p.decided(i, move, x), true
	}
	err := a.workOn(ctx, id, []participant.Token{start}, next, func() { written = true })
	if err == nil && late {
		a.ignored.Add(1)
		a.Logger.DebugContext(ctx, "decision that comes too late ignored", "saga", id, "step", x.Step, "verb", x.Verb)
	}
	return err
}

// decided is the work of an operator's decision about a call that waits.
func (p *part) decided(i int, move machine.Move, x *act) participant.Work {
	name := p.m.Plan.Steps[i].Name
	return participant.Work{Call: participant.Call{Step: name}, Then: func(participant.Answer) participant.Entry {
		if x.Verb == journal.VerbRetry || x.Verb == journal.VerbReplace {
			w := participant.Waiting{Saga: p.ledger.Heard[0].Saga, Step: name, Phase: participant.Action, Since: p.now()}
			if move == machine.Undo {
				w.Phase = participant.Compensation
			}
			if old := p.waiting(i, move); old != nil {
				w = *old
			}
			if w.At = p.now().Truncate(time.Microsecond); w.Aside {
				w.Aside, w.Attempt, w.Round = false, 0, w.Round+1
			}
			if x.Verb == journal.VerbReplace {
				w.Input = x.Payload
			}
			return participant.Entry{Wait: &w}
		}
		t := p.token(i, participant.TokenDone)
		if t.Payload = x.Payload; move == machine.Undo {
			t.Kind, t.Payload = participant.TokenUndone, nil
		}
		t.ID += "/" + x.By
		t.By, t.Verb, t.Detail = x.By, x.Verb, x.Reason
		return participant.Entry{Tell: []participant.Token{t}}
	}}
}
