package skaldtest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// part is a participant in one world: a model, the handlers of a user over the model's barrier, or a participant of the user's own.
type part struct {
	w     *world
	owner string
	level participant.Level
	user  Participant
	down  time.Duration // it is down until then
	epoch uint64        // the latest that it has heard of; a sidecar refuses older ones
}

const (
	reasonRefused     = "Explored.Refused"
	reasonRefusedUndo = "Explored.NotUndone"
)

func (w *world) newPart(owner string) *part {
	x := &part{w: w, owner: owner, level: participant.L2}
	if make := w.setup.participants[owner]; make != nil {
		x.user = make()
	}
	if l := w.levels[owner]; l != 0 {
		x.level = l
	}
	if x.user.Level != 0 {
		x.level = x.user.Level
	}
	return x
}

func (x *part) close() {
	if x.user.Close != nil {
		x.user.Close()
	}
}

// arrive answers a call that arrived, as a task of the world: it goes on whatever becomes of its caller. late says that the answer is to
// come after the caller's time.
func (x *part) arrive(p *process, c participant.Call) (a participant.Answer, late bool) {
	w := x.w
	step := x.step(c.Saga, c.Step)
	r := w.ledger.of(c.Saga).row(c.Step)
	w.note("arrives "+string(c.Phase), string(c.Saga), c.Step, uint64(c.Attempt))
	if c.Epoch < x.epoch {
		w.saw("F32")
		if x.level == participant.L1 {
			return participant.Answer{Detail: "the call is of an earlier coordinator"}, false
		}
	}
	x.epoch = max(x.epoch, c.Epoch)
	if r.busy && x.barrier(step) {
		if w.saw("F02"); c.Phase == participant.Compensation && r.acting {
			w.saw("F06")
		}
	}
	if x.barrier(step) {
		w.park(func() bool { return !r.busy })
	}
	if r.state == nothing || r.state == acted && c.Phase == participant.Compensation || !x.barrier(step) {
		var stop bool
		if a, stop = x.trouble(p, c, r, step); stop {
			return a, false
		}
	}
	a = x.answer(c, r, step)
	at := atEffect
	if x.level == participant.L1 && a.Class == participant.Done && x.user.Invoker == nil {
		at = atRecord
	}
	switch f, draw := w.site(at, p); f {
	case loseAnswer:
		w.saw("F08")
		return participant.Answer{Detail: "the answer was lost"}, false
	case lateAnswer:
		return a, true
	case sidecar:
		w.saw("F35")
		r.state, r.loose = nothing, true
		return participant.Answer{Detail: "the sidecar died"}, false
	case contradicts:
		w.contradict(c, draw)
	default:
	}
	return a, false
}

func (x *part) step(id journal.SagaID, name string) *plan.Step {
	p := x.w.pinned(id)
	i, _ := p.Index(name)
	return &p.Steps[i]
}

// barrier says whether calls for the step meet a row.
func (x *part) barrier(s *plan.Step) bool {
	return x.user.Invoker == nil && x.level != participant.L0 && (s.Kind != participant.ReadOnly || s.Stored)
}

// trouble is what keeps a call from taking effect, now or for good.
func (x *part) trouble(p *process, c participant.Call, r *row, s *plan.Step) (a participant.Answer, stop bool) {
	w := x.w
	if r.failing > 0 {
		r.failing--
		return participant.Answer{Detail: "it fails", RetryAfter: time.Duration(w.random(3)) * time.Second}, true
	}
	f, draw := w.site(atArrival, p)
	switch f {
	case fail:
		r.failing = int(draw % 12)
		return participant.Answer{Detail: "it fails"}, true
	case slow:
		r.busy, r.acting = true, c.Phase == participant.Action
		w.sleep(time.Duration(draw%20_000) * time.Millisecond)
		r.busy, r.acting = false, false
		return participant.Answer{}, false
	case giant:
		w.saw("F25")
		return participant.Answer{Class: participant.Done, Result: w.tooMuch()}, true
	default:
	}
	always := c.Phase == participant.Action && c.Step == w.refusing && !(s.Kind == participant.Retriable && r.refused) // which must be done in the end
	if own := x.user.Invoker != nil && c.Phase == participant.Action; (f == refuse || always) && !own {                // its refusals are its own, and stored by itself
		r.refused = true
		return x.refusal(c, r, s), true
	}
	return participant.Answer{}, false
}

// tooMuch is more than fits. It is never changed, so every world has the same.
func (w *world) tooMuch() []byte {
	if w.pool.giant == nil {
		w.pool.giant = bytes.Repeat([]byte{'1'}, participant.MaxPayload+1)
	}
	return w.pool.giant
}

// refusal refuses for a business reason. It is stored where the contract says so.
func (x *part) refusal(c participant.Call, r *row, s *plan.Step) participant.Answer {
	if c.Phase == participant.Compensation {
		return participant.Answer{Class: participant.Refused, Reason: reasonRefusedUndo, Detail: "not now"}
	}
	if x.barrier(s) && s.Kind != participant.Retriable {
		r.state, r.reason, r.epoch, r.input = declined, reasonRefused, c.Epoch, bytes.Clone(c.Input)
	}
	return participant.Answer{Class: participant.Refused, Reason: reasonRefused}
}

// answer carries a call out, in one instant.
func (x *part) answer(c participant.Call, r *row, s *plan.Step) participant.Answer {
	switch {
	case x.user.Invoker != nil:
		return x.ask(c, r, s)
	case s.Kind == participant.ReadOnly && !s.Stored:
		r.answers++
		return x.do(c, r, s, r.answers)
	case !x.barrier(s) && c.Phase == participant.Action:
		x.takeEffect(c, r, s)
		return x.do(c, r, s, 1)
	case !x.barrier(s):
		if r.effects > 0 {
			x.undoEffect(c, r, s)
		}
		return x.undo(c, r, s)
	case c.Phase == participant.Compensation:
		return x.compensate(c, r, s)
	}
	return x.act(c, r, s)
}

// act is an action that meets the barrier.
func (x *part) act(c participant.Call, r *row, s *plan.Step) participant.Answer {
	w := x.w
	switch r.state {
	case nothing:
		a := x.do(c, r, s, 1)
		switch {
		case a.Class == participant.Done:
			r.state, r.input, r.result, r.epoch = acted, bytes.Clone(c.Input), a.Result, c.Epoch
			x.takeEffect(c, r, s)
		case a.Class == participant.Refused && s.Kind != participant.Retriable:
			r.state, r.input, r.reason, r.epoch = declined, bytes.Clone(c.Input), a.Reason, c.Epoch
		}
		return a
	case undone, tombstone:
		w.saw("F05")
		return participant.Answer{Class: participant.Refused, Reason: participant.ReasonCompensated}
	default:
	}
	x.repeated(c, r)
	if !bytes.Equal(c.Input, r.input) {
		w.violate("saga %s, step %s was asked with %s at first and then with %s: its mapping is not pure, or reads what may change",
			c.Saga, c.Step, r.input, c.Input)
		return participant.Answer{Class: participant.Refused, Reason: participant.ReasonConflict}
	}
	if r.state == declined {
		return participant.Answer{Class: participant.Refused, Reason: r.reason}
	}
	return participant.Answer{Class: participant.Done, Result: r.result}
}

func (x *part) repeated(c participant.Call, r *row) {
	x.w.saw("F02")
	if c.Epoch > r.epoch {
		x.w.saw("F01")
	}
}

// compensate is a compensation that meets the barrier.
func (x *part) compensate(c participant.Call, r *row, s *plan.Step) participant.Answer {
	switch r.state {
	case acted:
		a := x.undo(c, r, s)
		if a.Class == participant.Done {
			r.state, r.epoch = undone, c.Epoch
			x.undoEffect(c, r, s)
		}
		return a
	case nothing:
		if len(c.Result) > 0 && !r.loose {
			x.w.violate("saga %s, step %s: the coordinator knows the result of an action that never took effect", c.Saga, c.Step)
		}
		x.w.saw("F04")
		r.state, r.epoch = tombstone, c.Epoch
	default:
		x.repeated(c, r)
	}
	return participant.Answer{Class: participant.Done}
}

// do is the action itself: the handler's, or an answer that fits the operation's type.
func (x *part) do(c participant.Call, _ *row, s *plan.Step, n int) participant.Answer {
	if h := x.handler(c.Operation); h != nil {
		ctx := participant.WithCall(context.Background(), c)
		if h.Prepare != nil {
			prepared, err := h.Prepare(ctx, orNull(c.Input))
			if err != nil {
				return answerOf(nil, err)
			}
			ctx = prepared
		}
		return answerOf(h.Do(ctx, noDatabase{}, orNull(c.Input)))
	}
	if s.Output == "" {
		return participant.Answer{Class: participant.Done, Result: fmt.Appendf(nil, `"%s-%d"`, s.Name, n)}
	}
	return participant.Answer{Class: participant.Done, Result: sample(s.Output, n)}
}

func (x *part) undo(c participant.Call, r *row, s *plan.Step) participant.Answer {
	if h := x.handler(s.Action); h != nil && h.Undo != nil {
		a := answerOf(nil, h.Undo(participant.WithCall(context.Background(), c), noDatabase{}, orNull(r.input), orNull(r.result)))
		a.Result = nil
		return a
	}
	return participant.Answer{Class: participant.Done}
}

// takeEffect enters the action's effect, and says what is wrong with its coming now.
func (x *part) takeEffect(c participant.Call, r *row, s *plan.Step) {
	if s.Kind == participant.ReadOnly {
		return
	}
	w := x.w
	r.effects++
	r.acts++
	w.note("effect", string(c.Saga), c.Step, uint64(r.acts))
	if x.level == participant.L0 || r.loose {
		return
	}
	w.checkForward(c.Saga, s, r)
}

func (x *part) undoEffect(c participant.Call, r *row, s *plan.Step) {
	r.effects--
	r.undos++
	x.w.note("undone", string(c.Saga), c.Step, uint64(r.undos))
	x.w.checkBackward(c.Saga, s)
}

// journalOf is for messages.
func journalOf(events iter.Seq[journal.Event]) string {
	var b bytes.Buffer
	for e := range events {
		fmt.Fprintf(&b, "\n    %3d %s %s %s", e.Seq, e.Kind, e.Step, e.Reason)
	}
	return b.String()
}
