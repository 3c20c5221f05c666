package machine

import (
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Answer is what came of a Call or Compensate command.
type Answer struct {
	Step         int
	Compensation bool
	participant.Answer
	Now    time.Time
	Jitter float64 // drawn by the driver from -1 to 1; spreads the pause before the next attempt
}

// thinAfter is the number of attempts after which only every tenth is recorded, so that years of retries fit into a journal.
const thinAfter = 100

// Answered turns an answer into what is to be recorded. Late answers are kept as evidence and revive nothing.
func (m *Machine) Answered(s *State, a Answer, cmds []Command) []Command {
	b := plan.One(a.Step)
	if a.Compensation {
		if s.Phase != Compensating || s.Undone.Has(a.Step) {
			return cmds
		}
		return m.compensationAnswered(s, a, cmds)
	}
	if s.settled().Has(a.Step) || s.Phase != Running {
		late := s.Phase == Running && s.Flying.Has(a.Step)
		if late {
			s.Flying &^= b
		}
		if a.Class != participant.Unknown {
			return append(cmds, m.event(a, journal.StepAnsweredLate, a.Reason))
		}
		if late {
			return m.next(s, cmds)
		}
		return cmds
	}
	switch {
	case a.Class == participant.Done:
		return append(cmds, m.event(a, journal.StepDone, ""))
	case a.Class == participant.Refused && m.mayRefuse(a):
		return append(cmds, m.event(a, journal.StepRefused, a.Reason))
	}
	return m.undecided(s, a, cmds)
}

// mayRefuse says whether a refusal turns the saga back. One of a retriable step does not, and a conflict over the key is no
// business refusal.
func (m *Machine) mayRefuse(a Answer) bool {
	return m.Plan.Steps[a.Step].Kind != participant.Retriable && a.Reason != participant.ReasonConflict
}

// undecided goes on after an answer that does not decide the step.
func (m *Machine) undecided(s *State, a Answer, cmds []Command) []Command {
	step := &m.Plan.Steps[a.Step]
	attempt := s.Steps[a.Step].Attempt
	mayFail := step.Kind == participant.Compensatable || step.Kind == participant.ReadOnly
	switch {
	case mayFail && s.Turning():
		return append(cmds, m.event(a, journal.StepFailed, ReasonAbandoned))
	case mayFail && m.unsafe.Has(a.Step):
		return append(cmds, m.event(a, journal.StepFailed, ReasonUnknown))
	case mayFail && step.Retry.Exhausted(attempt):
		reason := ReasonExhausted
		if a.Class == participant.Refused {
			reason = a.Reason
		}
		return append(cmds, m.event(a, journal.StepFailed, reason))
	}
	return m.retry(s, a, step.Retry, journal.StepRetrying, cmds)
}

func (m *Machine) compensationAnswered(s *State, a Answer, cmds []Command) []Command {
	if a.Class == participant.Done {
		return append(cmds, m.event(a, journal.CompensationDone, ""))
	}
	return m.retry(s, a, m.Plan.Steps[a.Step].Undo, journal.CompensationRetrying, cmds)
}

// retry plans the next attempt. What was refused although it may not be is an incident at once and is asked again at the
// longest pause; what cannot be asked again safely is held until an operator decides.
func (m *Machine) retry(s *State, a Answer, r plan.Retry, kind journal.Kind, cmds []Command) []Command {
	st := &s.Steps[a.Step]
	held := m.unsafe.Has(a.Step)
	refused := a.Class == participant.Refused
	pause := r.Delay(st.Attempt)
	if refused {
		pause = plan.MaxBackoff
	}
	pause = time.Duration(float64(pause) * (1 + r.Jitter*a.Jitter))
	pause = min(max(pause, a.RetryAfter), plan.MaxBackoff)
	c := m.event(a, kind, a.Reason)
	c.Event.Attempt, c.Event.Payload = st.Attempt, nil
	if !held {
		c.Event.At = a.Now.Add(pause)
	}
	reason := a.Reason
	if held && reason == "" {
		reason = ReasonUnknown
	}
	opens := (refused || held) && st.Incident != reason
	if !opens && !held && st.Attempt > thinAfter && st.Attempt%10 != 0 {
		s.retry(a.Step, &c.Event)
		return cmds
	}
	cmds = append(cmds, c)
	if opens {
		cmds = append(cmds, m.event(a, journal.IncidentOpened, reason))
		cmds[len(cmds)-1].Event.Payload = nil
	}
	return cmds
}

func (m *Machine) event(a Answer, kind journal.Kind, reason string) Command {
	c := record(kind, m.Plan.Steps[a.Step].Name)
	c.Event.Reason, c.Event.Detail, c.Event.Payload = reason, a.Detail, a.Result
	return c
}
