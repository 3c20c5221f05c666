package machine

import (
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// A choreographed saga has nobody in the middle: each step's participant decides from the tokens it has heard of. For each step there is at most one
// forward token and at most one backward token, ever; the broker decides which by compare-and-set, so tokens are facts and knowledge of them only
// grows. The rules below are all of the protocol that a participant needs; docs/choreography.md argues why they are right.

// Forward is a step's forward token.
type Forward uint8

// The forward tokens.
const (
	// Untold: there is no token yet.
	Untold Forward = iota
	// Told done: the effect exists.
	ToldDone
	// Told refused: there is no effect and never will be.
	ToldRefused
	// Told failed: the effect is unknown. The step's own participant undoes it or leaves a tombstone, and then tells undone.
	ToldFailed
	// Told skipped: the step never ran and never will.
	ToldSkipped
)

// Tokens is what somebody has heard of a saga. The zero value is nothing.
type Tokens struct {
	Started                        bool // the virtual step start: the saga exists
	Done, Refused, Failed, Skipped plan.Set
	Undone                         plan.Set // the backward tokens
	End                            Forward  // of the virtual step end: done or skipped
	Compensated                    bool     // the backward token of start
}

// Hear takes a step's token in. Hearing it again changes nothing.
func (t *Tokens) Hear(step int, f Forward) {
	b := plan.One(step)
	switch f {
	case ToldDone:
		t.Done |= b
	case ToldRefused:
		t.Refused |= b
	case ToldFailed:
		t.Failed |= b
	case ToldSkipped:
		t.Skipped |= b
	case Untold:
	}
}

// Told is the forward token of a step.
func (t *Tokens) Told(step int) Forward {
	switch b := plan.One(step); {
	case t.Done&b != 0:
		return ToldDone
	case t.Refused&b != 0:
		return ToldRefused
	case t.Failed&b != 0:
		return ToldFailed
	case t.Skipped&b != 0:
		return ToldSkipped
	}
	return Untold
}

// bad is the set of steps whose tokens end the way forward.
func (t *Tokens) bad() plan.Set { return t.Refused | t.Failed | t.Skipped }

// clear is the set of steps of which nothing is left: refused or skipped, or undone.
func (t *Tokens) clear() plan.Set { return t.Refused | t.Skipped | t.Undone }

// Move is what a step's participant has to do now.
type Move uint8

// The moves.
const (
	// Rest: nothing, until more is heard.
	Rest Move = iota
	// Act: carry the action out and tell done, refused or failed.
	Act
	// Skip: tell skipped.
	Skip
	// Undo: carry the compensation out, if there is one, and tell undone.
	Undo
)

// Move says what the participant of a step has to do, by what it has heard. Asking again after it was done but not told gives the same
// move: the barrier makes it harmless.
func (m *Machine) Move(t *Tokens, step int) Move {
	before := plan.Set(0)
	for _, j := range m.Plan.Steps[step].After {
		before |= plan.One(j)
	}
	switch t.Told(step) {
	case Untold:
		switch {
		case m.Plan.Preds[step]&t.bad() != 0:
			return Skip
		case t.Started && before&^t.Done == 0:
			return Act
		}
	case ToldFailed: // whoever said so, and whatever was done here
		if !t.Undone.Has(step) {
			return Undo
		}
	case ToldDone:
		kind := m.Plan.Steps[step].Kind
		if t.Undone.Has(step) || kind == participant.Pivot || kind == participant.Retriable {
			return Rest
		}
		succs := m.Plan.Succs[step]
		if succs == 0 && t.End == ToldSkipped || succs != 0 && succs&^t.clear() == 0 {
			return Undo
		}
	case ToldRefused, ToldSkipped:
	}
	return Rest
}

// MayExpire says whether somebody else than the step's participant may decide a step without a token, and how: a compensatable step
// as failed, a readonly one as refused. A pivot is expired only by its own participant, after a tombstone, and a retriable step never. When the end is told every step was done, and a token that is not there was lost.
func (m *Machine) MayExpire(t *Tokens, step int) Forward {
	if t.Told(step) != Untold || t.End == ToldDone {
		return Untold
	}
	switch m.Plan.Steps[step].Kind {
	case participant.Compensatable:
		return ToldFailed
	case participant.ReadOnly:
		return ToldRefused
	case participant.Pivot, participant.Retriable:
	}
	return Untold
}

// EndMove is what the initiator has to tell of the virtual step end now: done when all last steps are, skipped as soon as one of them ended
// the way forward, Untold as long as neither is known.
func (m *Machine) EndMove(t *Tokens) Forward {
	if t.End != Untold {
		return Untold
	}
	last := plan.Set(0)
	for i := range m.Plan.Steps {
		if m.Plan.Succs[i] == 0 {
			last |= plan.One(i)
		}
	}
	switch {
	case last&^t.Done == 0:
		return ToldDone
	case last&t.bad() != 0:
		return ToldSkipped
	}
	return Untold
}

// AllUndone says whether the initiator may tell that the saga is compensated: end is skipped and all first steps are clear.
func (m *Machine) AllUndone(t *Tokens) bool {
	first := plan.Set(0)
	for i := range m.Plan.Steps {
		if m.Plan.Preds[i] == 0 {
			first |= plan.One(i)
		}
	}
	return t.End == ToldSkipped && first&^t.clear() == 0
}

// IsCompleted says whether the outcome is completed, whoever has told the end: it follows from what the last steps told.
func (m *Machine) IsCompleted(t *Tokens) bool { return t.End == ToldDone || m.EndMove(t) == ToldDone }

// IsCompensated says whether the outcome is compensated, whoever has told so: it follows from what the steps told.
func (m *Machine) IsCompensated(t *Tokens) bool {
	return t.Compensated || m.AllUndone(t) || m.NothingLeft(t)
}

// NothingLeft says whether every step has ended, not all of them as done, and no effect of any is left. What is still to be told then, that a readonly step is clear or the end skipped, undoes nothing.
func (m *Machine) NothingLeft(t *Tokens) bool {
	effects := (t.Done | t.Failed) & m.Plan.Of(participant.Compensatable)
	return t.Done|t.bad() == m.Plan.All() && t.bad() != 0 && effects&^t.Undone == 0
}
