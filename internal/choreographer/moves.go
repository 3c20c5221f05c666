package choreographer

import (
	"cmp"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// part is what one participant does in one saga: it turns the machine's moves into work for its desk. It is pure but for the clock and chance that it is given.
type part struct {
	name   string   // the participant's
	own    plan.Set // the steps whose operations it owns
	now    func() time.Time
	jitter func() float64
	*heard
	ledger participant.Ledger
}

// next finds the next piece of work in a ledger.
func (p *part) next() (participant.Work, bool) {
	now := p.now()
	for i := range p.own.All {
		move := p.m.Move(&p.tokens, i)
		if move == machine.Rest && p.stale(i) {
			return p.forget(i), true
		}
		if move == machine.Rest || p.told(i, move) {
			continue
		}
		w := p.waiting(i, move)
		if w != nil && dueAt(w, now).After(now) && !(move == machine.Act && p.mayGiveUp(i) && p.turning()) {
			continue
		}
		switch move {
		case machine.Act:
			return p.act(i, w, now), true
		case machine.Skip:
			return p.tell(i, participant.TokenSkipped, "", ""), true
		case machine.Undo:
			return p.undo(i, w, now), true
		case machine.Rest:
		}
	}
	return participant.Work{}, false
}

// told says whether the token that a move leads to is written already: then the broker has to decide first.
func (p *part) told(i int, move machine.Move) bool {
	direction := participant.Forward
	if move == machine.Undo {
		direction = participant.Backward
	}
	for k := range p.ledger.Told {
		if t := &p.ledger.Told[k]; t.Step == p.m.Plan.Steps[i].Name && t.Direction() == direction {
			return true
		}
	}
	return false
}

// stale says whether a call of a step waits that is not to be made any more: somebody else decided the step.
func (p *part) stale(i int) bool {
	for k := range p.ledger.Waiting {
		if p.ledger.Waiting[k].Step == p.m.Plan.Steps[i].Name {
			return true
		}
	}
	return false
}

func (p *part) forget(i int) participant.Work {
	name := p.m.Plan.Steps[i].Name
	return participant.Work{Call: participant.Call{Step: name}, Then: func(participant.Answer) participant.Entry { return participant.Entry{Forget: name} }}
}

// waiting is the call of a move that is to be made again, or nil if it has not been made.
func (p *part) waiting(i int, move machine.Move) *participant.Waiting {
	phase := participant.Action
	if move == machine.Undo {
		phase = participant.Compensation
	}
	for k := range p.ledger.Waiting {
		if w := &p.ledger.Waiting[k]; w.Step == p.m.Plan.Steps[i].Name && w.Phase == phase {
			return w
		}
	}
	return nil
}

// mayGiveUp says whether a step may end without its own answer.
func (p *part) mayGiveUp(i int) bool {
	k := p.m.Plan.Steps[i].Kind
	return k == participant.Compensatable || k == participant.ReadOnly
}

// act is the work of an action: a call, or the decision to make no (further) one.
func (p *part) act(i int, w *participant.Waiting, now time.Time) participant.Work {
	step := &p.m.Plan.Steps[i]
	late := p.late(i, w, now)
	switch {
	case late && p.mayGiveUp(i):
		return p.giveUp(i, machine.ReasonDeadline, "its time had passed before it was done")
	case w != nil && p.mayGiveUp(i) && p.turning():
		return p.giveUp(i, machine.ReasonAbandoned, w.Detail)
	case w != nil && w.Aside: // announced again
		return participant.Work{Call: participant.Call{Step: step.Name}, Then: func(participant.Answer) participant.Entry {
			again := *w
			again.At = now.Add(announceAgain).Truncate(time.Microsecond)
			return participant.Entry{Wait: &again}
		}}
	}
	input, err := p.input(i)
	if w != nil && w.Input != nil {
		input, err = w.Input, nil
	}
	if err != nil {
		if w != nil && p.mayGiveUp(i) { // a call may have been made before
			return p.giveUp(i, machine.ReasonMapping, err.Error())
		}
		if w != nil || step.Kind == participant.Retriable {
			return participant.Work{Call: participant.Call{Step: step.Name}, Then: func(participant.Answer) participant.Entry {
				return p.again(i, participant.Action, w, participant.Answer{Class: participant.Refused, Reason: machine.ReasonMapping, Detail: err.Error()}, step.Retry)
			}}
		}
		return p.tell(i, participant.TokenRefused, machine.ReasonMapping, err.Error())
	}
	c := participant.Call{
		Saga: p.start.Saga, Step: step.Name, Phase: participant.Action, Operation: step.Action, Attempt: attempts(w) + 1,
		Deadline: now.Add(step.Timeout), Input: input, Trace: p.start.Trace,
	}
	if end := p.start.Deadline; p.mayGiveUp(i) && !end.IsZero() && end.Before(c.Deadline) {
		c.Deadline = end
	}
	expire := late && w == nil && step.Kind == participant.Pivot
	return participant.Work{Call: c, Expire: expire, Then: func(a participant.Answer) participant.Entry {
		if expire && a.Class == participant.Refused && a.Reason == participant.ReasonCompensated {
			a.Reason = machine.ReasonDeadline
		}
		return p.acted(i, w, a)
	}}
}

// late says whether the time for a step's action has passed.
func (p *part) late(i int, w *participant.Waiting, now time.Time) bool {
	if end := p.start.Deadline; !end.IsZero() && !now.Before(end) {
		return true
	}
	d := p.m.Plan.Steps[i].Deadline
	return d > 0 && w != nil && !now.Before(w.Since.Add(d))
}

// dueAt is when a call is to be made again: by its plan, or now if that is further ahead than any pause is. Then the clock was set back since it was planned.
func dueAt(w *participant.Waiting, now time.Time) time.Time {
	if w.At.After(now.Add(plan.MaxBackoff + apart)) {
		return now
	}
	return w.At
}

// acted is what an action's answer leads to. A result that cannot be used is none, as for a coordinator: the effect stands behind the participant's barrier, and its answer is asked for again.
func (p *part) acted(i int, w *participant.Waiting, a participant.Answer) participant.Entry {
	step := &p.m.Plan.Steps[i]
	a = step.Taken(participant.Action, a)
	switch {
	case a.Class == participant.Done:
		t := p.token(i, participant.TokenDone)
		t.Payload = a.Result
		return participant.Entry{Tell: []participant.Token{t}}
	case a.Class == participant.Refused && step.Kind != participant.Retriable && a.Reason != participant.ReasonConflict:
		t := p.token(i, participant.TokenRefused)
		t.Reason, t.Detail = a.Reason, a.Detail
		return participant.Entry{Tell: []participant.Token{t}}
	case a.Class == participant.Refused && step.Kind == participant.Retriable && p.remedied(a.Reason, plan.GoOn, 0):
		return p.aside(i, w, a, a.Reason)
	case p.mayGiveUp(i) && !a.Working && step.Retry.Exhausted(attempts(w)+1):
		reason := cmp.Or(a.Reason, machine.ReasonExhausted)
		if p.remedied(reason, plan.Replay, round(w)) {
			return p.aside(i, w, a, reason)
		}
		e := p.giveUp(i, reason, a.Detail).Then(a)
		e.Tell[0].Attempts = attempts(w) + 1
		return e
	}
	return p.again(i, participant.Action, w, a, step.Retry)
}

// remedied says whether the definition's remedy for a reason code is of a sort, and its budget is not used up.
func (p *part) remedied(reason string, does plan.Does, rounds uint32) bool {
	r := p.m.Plan.Remedy(reason)
	return r != nil && r.Does == does && int(rounds) <= max(r.Budget-1, 0)
}

// aside ends the attempts of this round: whoever handles dead letters decides what follows. The letter is announced at once, and again whenever this
// is due, in case a crash came in between.
func (p *part) aside(i int, w *participant.Waiting, a participant.Answer, reason string) participant.Entry {
	e := p.again(i, participant.Action, w, a, p.m.Plan.Steps[i].Retry)
	e.Wait.Aside, e.Wait.Reason, e.Wait.At = true, reason, p.now().Add(announceAgain).Truncate(time.Microsecond)
	return e
}

// announceAgain is how often it is made sure that what was set aside is among the dead letters.
const announceAgain = time.Minute

// giveUp decides a step without an answer of its action: failed, since a call may have taken effect, or refused where there can be no effect.
func (p *part) giveUp(i int, reason, detail string) participant.Work {
	kind := participant.TokenFailed
	if p.m.Plan.Steps[i].Kind == participant.ReadOnly {
		kind = participant.TokenRefused
	}
	return p.tell(i, kind, reason, detail)
}

// undo is the work of a compensation.
func (p *part) undo(i int, w *participant.Waiting, now time.Time) participant.Work {
	step := &p.m.Plan.Steps[i]
	if step.Compensation == "" {
		return p.tell(i, participant.TokenUndone, "", "")
	}
	c := participant.Call{
		Saga: p.ledger.Heard[0].Saga, Step: step.Name, Phase: participant.Compensation, Operation: step.Compensation, Attempt: attempts(w) + 1,
		Deadline: now.Add(step.Timeout), Trace: p.ledger.Heard[0].Trace,
		Result: p.results[i], // of an action that was done, so that a participant that has forgotten it notices
	}
	if w != nil {
		c.Input = w.Input
	}
	return participant.Work{Call: c, Then: func(a participant.Answer) participant.Entry {
		a = step.Taken(participant.Compensation, a)
		if a.Class == participant.Done {
			return participant.Entry{Tell: []participant.Token{p.token(i, participant.TokenUndone)}}
		}
		return p.again(i, participant.Compensation, w, a, step.Undo)
	}}
}

// again plans the next attempt. What was refused although it may not be is asked again at the longest pause.
func (p *part) again(i int, phase participant.Phase, w *participant.Waiting, a participant.Answer, r plan.Retry) participant.Entry {
	now := p.now()
	next := participant.Waiting{
		Saga: p.ledger.Heard[0].Saga, Step: p.m.Plan.Steps[i].Name, Phase: phase, Attempt: attempts(w) + 1, Since: now, Reason: a.Reason, Detail: a.Detail,
		Refused: a.Class == participant.Refused, Round: round(w),
	}
	next.FirstReason, next.FirstDetail = next.Reason, next.Detail
	if w != nil {
		next.Input = w.Input
		if w.Since.Before(now) { // or the clock was set back
			next.Since = w.Since
		}
	}
	if w != nil && w.Attempt > 0 {
		next.FirstReason, next.FirstDetail = w.FirstReason, w.FirstDetail
	}
	pause := r.Delay(next.Attempt)
	if a.Working { // the attempt goes on
		next.Attempt--
	}
	if a.Class == participant.Refused {
		pause = plan.MaxBackoff
	}
	pause = time.Duration(float64(pause) * (1 + r.Jitter*p.jitter()))
	next.At = together(now, min(max(pause, a.RetryAfter), plan.MaxBackoff))
	return participant.Entry{Wait: &next}
}

// apart is what lies between the moments at which pauses end.
const apart = 50 * time.Millisecond

// together is when a pause is over. One of a second or more ends at the next of the moments that lie apart: calls that would be made again one shortly after the other are made at once, and share the transactions of their participant, which are what they cost others.
func together(now time.Time, pause time.Duration) time.Time {
	at := now.Add(pause)
	if pause < time.Second {
		return at
	}
	return at.Add(apart - 1).Truncate(apart)
}

func round(w *participant.Waiting) uint32 {
	if w == nil {
		return 0
	}
	return w.Round
}

func attempts(w *participant.Waiting) uint32 {
	if w == nil {
		return 0
	}
	return w.Attempt
}

// tell is work without a call.
func (p *part) tell(i int, kind participant.TokenKind, reason, detail string) participant.Work {
	t := p.token(i, kind)
	t.Reason, t.Detail = reason, detail
	return participant.Work{Call: participant.Call{Step: t.Step}, Then: func(participant.Answer) participant.Entry {
		return participant.Entry{Tell: []participant.Token{t}}
	}}
}

// token begins a token of a step. It follows from the token that was heard last.
func (p *part) token(i int, kind participant.TokenKind) participant.Token {
	last := &p.ledger.Heard[len(p.ledger.Heard)-1]
	return newToken(last, p.name, p.m.Plan.Steps[i].Name, kind, p.now())
}

// newToken begins a token that follows from another one of the saga.
func newToken(from *participant.Token, source, step string, kind participant.TokenKind, now time.Time) participant.Token {
	return participant.Token{
		ID: string(from.Saga) + "/" + step + "/" + string(kind) + "/" + source, Definition: from.Definition, Version: from.Version, Saga: from.Saga,
		Step: step, Kind: kind, Source: source, Time: now.UTC().Truncate(time.Microsecond), Cause: from.ID, Trace: from.Trace,
	}
}
