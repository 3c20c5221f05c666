package machine

import (
	"cmp"
	"math"
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
	Unmapped bool // no call was made, because the input could not be made; Detail says why
	Unsaid   bool // NotAsked, and Detail says nothing of the cause: what came of the call before says more
	Now      time.Time
	Jitter   float64 // drawn by the driver from -1 to 1; spreads the pause before the next attempt
}

// thinAfter is the number of attempts after which only every tenth is recorded, so that years of retries fit into a journal.
const thinAfter = 100

// roomy is the length of a journal from which on attempts are no longer recorded: the rest is kept for what decides.
const roomy = journal.MaxEvents * 9 / 10

// Thinned says whether an attempt is left out of a journal of so many events, unless it opens an incident.
func Thinned(events uint64, attempt uint32) bool {
	return events > roomy || attempt > thinAfter && attempt%10 != 0
}

// Opens says whether a reason opens an incident in a journal of so many events, beside the one that is open for a reason, or none. In a long journal that one says enough: a participant may have a new reason each time.
func Opens(events uint64, open, reason string) bool {
	return reason != open && (open == "" || events <= roomy)
}

// Answered turns an answer into what is to be recorded. Late answers revive nothing, see Late.
func (m *Machine) Answered(s *State, a Answer, cmds []Command) []Command {
	b := plan.One(a.Step)
	st := &s.Steps[a.Step]
	switch {
	case a.NotAsked:
		a.Class, a.Reason = participant.Unknown, ReasonNotAsked
		if a.Unsaid {
			a.Detail = cmp.Or(st.Said, a.Detail)
		}
	case a.Unmapped:
		a.Class, a.Reason = participant.Refused, ReasonMapping
	default:
		st.Tried = true
	}
	if a.Compensation {
		if s.Phase != Compensating || s.Undone.Has(a.Step) {
			return cmds
		}
		return m.compensationAnswered(s, a, cmds)
	}
	if s.Phase == Running {
		s.Flying &^= b & s.settled() // an operator or a deadline decided it while its call was under way
	}
	if s.Phase != Running || s.settled().Has(a.Step) {
		late := m.Late(s, a, cmds)
		if len(late) == len(cmds) {
			return m.next(s, cmds)
		}
		return late
	}
	switch {
	case a.Class == participant.Done:
		return append(cmds, m.event(a, journal.StepDone, ""))
	case a.Class == participant.Refused && m.mayRefuse(st, a):
		return append(cmds, m.event(a, journal.StepRefused, a.Reason))
	}
	return m.undecided(s, a, cmds)
}

// mayRefuse says whether a refusal turns the saga back as one without effect. One of a retriable step does not; a conflict over the key is no
// business refusal; and an input that cannot be made says nothing about calls that were made before.
func (m *Machine) mayRefuse(st *StepState, a Answer) bool {
	return m.Plan.Steps[a.Step].Kind != participant.Retriable && a.Reason != participant.ReasonConflict && !(a.Unmapped && st.Tried)
}

// undecided goes on after an answer that does not decide the step.
func (m *Machine) undecided(s *State, a Answer, cmds []Command) []Command {
	step := &m.Plan.Steps[a.Step]
	attempt := s.Steps[a.Step].Attempt
	mayFail := step.Kind == participant.Compensatable || step.Kind == participant.ReadOnly
	tried := s.Steps[a.Step].Tried
	end := journal.StepFailed
	if !tried {
		end = journal.StepRefused // no call was ever made: there is no effect
	}
	switch {
	case step.Kind == participant.Retriable && a.Class == participant.Refused && m.goesOn(a.Reason):
		return m.goOn(s, a, cmds)
	case !mayFail:
	case s.Turning() && !tried:
		return append(cmds, m.event(a, journal.StepSkipped, ReasonAbandoned))
	case s.Turning():
		return append(cmds, m.event(a, end, ReasonAbandoned))
	case a.Unmapped:
		return append(cmds, m.event(a, end, ReasonMapping))
	case m.unsafe.Has(a.Step) && !a.NotAsked:
		return append(cmds, m.event(a, end, ReasonUnknown))
	case step.Retry.Exhausted(attempt) && !a.Working:
		reason := ReasonExhausted
		if a.Reason != "" && !a.NotAsked {
			reason = a.Reason
		}
		pause, again := m.replays(step, attempt, reason)
		if !again {
			return append(cmds, m.event(a, end, reason))
		}
		a.RetryAfter = max(a.RetryAfter, pause)
	}
	return m.retry(s, a, step.Retry, journal.StepRetrying, cmds)
}

// replays says whether a step goes on although its attempts are used up: in the middle of a round that a remedy began, or because one begins now, after a pause.
func (m *Machine) replays(step *plan.Step, attempt uint32, reason string) (pause time.Duration, again bool) {
	rounds, made := int(attempt)/step.Retry.Attempts, int(attempt)%step.Retry.Attempts
	if made > 0 {
		return 0, true
	}
	r := m.Plan.Remedy(reason)
	if r == nil || r.Does != plan.Replay || rounds > r.Budget {
		return 0, false
	}
	return r.Pause, true
}

func (m *Machine) goesOn(reason string) bool {
	r := m.Plan.Remedy(reason)
	return r != nil && r.Does == plan.GoOn
}

// ByDefinition is who decides where the definition says what becomes of a reason code.
const ByDefinition = "definition"

// goOn ends a retriable step without its effect, as an operator's skip does.
func (m *Machine) goOn(s *State, a Answer, cmds []Command) []Command {
	s.Flying &^= plan.One(a.Step)
	c := m.event(a, journal.IncidentResolved, a.Reason)
	c.Event.Verb, c.Event.By, c.Event.Payload = journal.VerbSkip, ByDefinition, nil
	return append(cmds, c)
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
	again := st.Again
	held := m.unsafe.Has(a.Step) && !a.NotAsked && !again
	refused := a.Class == participant.Refused && !again
	c := m.event(a, kind, a.Reason)
	c.Event.Attempt, c.Event.Payload = st.Attempt, nil
	if a.Working { // the attempt goes on
		c.Event.Attempt--
	}
	made := st.Attempt
	if r.Attempts > 0 { // a round that a remedy began is paced like the first
		made = (made-1)%uint32(r.Attempts) + 1
	}
	pause := pauseAfter(r, made, refused, a)
	if again { // with the input that an operator gave meanwhile
		pause, st.Again = 0, false
	}
	if !held {
		c.Event.At = a.Now.Add(pause)
	}
	reason := a.Reason
	if held && reason == "" {
		reason = ReasonUnknown
	}
	opens := (refused || held) && Opens(s.Seq, st.Incident, reason)
	if Thinned(s.Seq, st.Attempt) && !opens && !held {
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

// pauseAfter is the time until the next attempt, spread by jitter. What the participant asks for is not undercut.
func pauseAfter(r plan.Retry, attempt uint32, refused bool, a Answer) time.Duration {
	pause := r.Delay(attempt)
	if refused {
		pause = plan.MaxBackoff
	}
	pause = time.Duration(float64(pause) * (1 + r.Jitter*a.Jitter))
	asked := time.Duration(float64(a.RetryAfter) * (1 + r.Jitter*math.Abs(a.Jitter)))
	return min(max(pause, asked), plan.MaxBackoff)
}

func (m *Machine) event(a Answer, kind journal.Kind, reason string) Command {
	c := record(kind, m.Plan.Steps[a.Step].Name)
	c.Event.Reason, c.Event.Detail, c.Event.Payload = reason, a.Detail, a.Result
	return c
}
