// Package machine decides what a saga does next. It is pure: an event goes in, a new state and commands come out; it does no I/O, reads no clock, draws no random
// number and starts no goroutine. Both drivers run it, and so do simulations and tests.
//
// A driver records each event in the journal, applies it, and carries the commands out: Record is an event to record and apply next; Call and
// Compensate are calls, made once everything up to Command.Wait is durable; Announce tells the outcome, on the same condition. An answer is turned into an event by Answered; time is brought in by Wake and Due.
package machine

import (
	"fmt"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Reason codes that the machine gives.
const (
	// ReasonExhausted ends a step whose attempts all had an unknown result.
	ReasonExhausted = "skald.retries_exhausted"
	// ReasonDeadline ends a step or turns a saga back because its deadline passed.
	ReasonDeadline = "skald.deadline"
	// ReasonAbandoned ends the asking of a step because the saga turns back for another cause.
	ReasonAbandoned = "skald.abandoned"
	// ReasonCancelled turns a saga back because somebody asked for it.
	ReasonCancelled = "skald.cancelled"
	// ReasonUnknown ends a step whose participant cannot safely be asked again (level L0).
	ReasonUnknown = "skald.unknown_result"
	// ReasonSlow opens an incident for a step or compensation that must succeed and has not for a while.
	ReasonSlow = "skald.no_progress"
	// ReasonMapping refuses a step whose input could not be made. If a call of it may have been made before, it is no refusal: the step fails,
	// or is held.
	ReasonMapping = "skald.mapping"
	// ReasonNotAsked stands at an attempt of which nothing was sent: the participant is left alone for a while, or there was no connection to it.
	ReasonNotAsked = "skald.not_asked"
)

// Machine runs the sagas of one plan. It is immutable and may be shared.
type Machine struct {
	Plan *plan.Plan

	unsafe   plan.Set // cannot be asked again when the result is unknown
	intent   plan.Set // the intent must be durable before the call
	unstored plan.Set // asked again they might answer otherwise
	strict   plan.Set // the result must be durable before the next call
	undoable plan.Set
}

// New prepares a plan. levels holds what the participant of each step promises.
func New(p *plan.Plan, levels []participant.Level) *Machine {
	m := &Machine{Plan: p, undoable: p.Of(participant.Compensatable)}
	for i := range p.Steps {
		strict := p.Durability == plan.Strict || p.Steps[i].Strict
		readonly := p.Steps[i].Kind == participant.ReadOnly
		if strict {
			m.strict |= plan.One(i)
		}
		if levels[i] == participant.L0 && !readonly {
			m.unsafe |= plan.One(i)
		}
		if levels[i] != participant.L2 && !readonly || i == p.Pivot || strict {
			m.intent |= plan.One(i)
		}
		if levels[i] != participant.L2 || readonly && !p.Steps[i].Stored {
			m.unstored |= plan.One(i)
		}
	}
	return m
}

// Do says what a command asks of the driver.
type Do uint8

// What commands ask for.
const (
	// Record: give Event a sequence number and the time, append it to the journal and apply it.
	Record Do = iota + 1
	// Call: call the step's action.
	Call
	// Compensate: call the step's compensation.
	Compensate
	// Announce: the saga has its outcome; tell whoever waits for it.
	Announce
)

// Command is what a driver is asked to do.
type Command struct {
	Do      Do
	Step    int
	Attempt uint32
	Wait    uint64        // Call, Compensate, Announce: not before this sequence number is durable
	Event   journal.Event // Record: kind, step and what else it says
}

// Apply takes an event into the state and appends what follows from it to cmds. Events of a journal are applied in order; commands made
// while an old journal is read are thrown away, and SagaRecovered asks for everything anew. An error means that the journal
// and the plan do not belong together.
func (m *Machine) Apply(s *State, e *journal.Event, cmds []Command) ([]Command, error) {
	if e.Seq != s.Seq+1 {
		return cmds, fmt.Errorf("machine: event %d after %d", e.Seq, s.Seq)
	}
	i := -1
	if e.Step != "" {
		var ok bool
		if i, ok = m.Plan.Index(e.Step); !ok {
			return cmds, fmt.Errorf("machine: definition %s has no step %q", m.Plan.Name, e.Step)
		}
	} else if e.Kind >= journal.StepAsked && e.Kind < journal.IncidentOpened {
		return cmds, fmt.Errorf("machine: event %d (%s) names no step", e.Seq, e.Kind)
	}
	s.Seq = e.Seq
	return m.apply(s, e, i, cmds), nil
}

func (m *Machine) apply(s *State, e *journal.Event, i int, cmds []Command) []Command {
	switch e.Kind {
	case journal.SagaStarted:
		s.start(m.Plan, e)
	case journal.SagaRecovered:
		return m.recovered(s, cmds)
	case journal.CancelRequested:
		if s.Phase == Running && !m.Passed(s) {
			s.Turned = true
			s.blame(-1, ReasonCancelled)
		}
	case journal.DeadlineExpired:
		return m.expired(s, i, cmds)
	case journal.SagaCompensating:
		s.Phase, s.Floor, s.deciding = Compensating, e.Seq, false
	case journal.SagaCompleted:
		s.Phase = Completed
		return append(cmds, Command{Do: Announce, Wait: e.Seq})
	case journal.SagaCompensated:
		s.Phase = Compensated
		return append(cmds, Command{Do: Announce, Wait: e.Seq})
	case journal.StepAsked:
		return m.asked(s, e, i, cmds)
	case journal.StepRetrying:
		s.retry(i, e)
	case journal.StepDone, journal.StepRefused, journal.StepFailed, journal.StepSkipped:
		cmds = m.settled(s, e, i, cmds)
	case journal.StepAnsweredLate:
		s.Steps[i].Late |= journal.LateAnswer(e)
	case journal.CompensationAsked:
		return m.compensationAsked(s, e, i, cmds)
	case journal.CompensationRetrying:
		s.retry(i, e)
	case journal.CompensationDone:
		s.Undone |= plan.One(i)
		cmds = s.quiet(m.Plan, i, cmds)
	case journal.IncidentOpened:
		s.incident(i, e.Reason)
		return cmds
	case journal.IncidentClosed:
		s.incident(i, "")
		return cmds
	case journal.IncidentResolved:
		return m.resolved(s, e, i, cmds)
	}
	return m.next(s, cmds)
}

// next derives what is owed now. It may be asked at any time: what was already asked for is not asked for again.
func (m *Machine) next(s *State, cmds []Command) []Command {
	switch s.Phase {
	case Running:
		if s.Turning() {
			return m.turn(s, cmds)
		}
		return m.forward(s, cmds)
	case Compensating:
		return m.backward(s, cmds)
	case Completed, Compensated:
	}
	return cmds
}

func (m *Machine) forward(s *State, cmds []Command) []Command {
	passed := s.Done | s.Skipped
	if passed == m.Plan.All() {
		return m.decide(s, record(journal.SagaCompleted, ""), cmds)
	}
	for i := range (m.Plan.All() &^ passed &^ s.Asked).All {
		if m.Plan.Preds[i]&^passed == 0 && !s.recording.Has(i) {
			s.recording |= plan.One(i)
			cmds = append(cmds, record(journal.StepAsked, m.Plan.Steps[i].Name))
		}
	}
	return cmds
}

// turn lets calls that are under way settle, gives up those that only wait for a next attempt, and then decides.
func (m *Machine) turn(s *State, cmds []Command) []Command {
	if waiting := s.Asked &^ s.settled() &^ s.Flying; waiting != 0 {
		for i := range (waiting &^ s.recording).All {
			s.recording |= plan.One(i)
			c := record(journal.StepFailed, m.Plan.Steps[i].Name)
			if !s.Steps[i].Tried {
				c.Event.Kind = journal.StepSkipped // no call was ever made
			}
			c.Event.Reason = ReasonAbandoned
			cmds = append(cmds, c)
		}
		return cmds
	}
	if s.Flying != 0 || s.recording != 0 {
		return cmds
	}
	c := record(journal.SagaCompensating, "")
	if s.Cause >= 0 {
		c.Event.Step = m.Plan.Steps[s.Cause].Name
	}
	c.Event.Reason = s.Reason
	return m.decide(s, c, cmds)
}

// decide asks once for a decision or an outcome to be recorded. An outcome leaves no incident open.
func (m *Machine) decide(s *State, c Command, cmds []Command) []Command {
	if s.deciding {
		return cmds
	}
	s.deciding = true
	if s.Stuck != "" {
		cmds = append(cmds, record(journal.IncidentClosed, ""))
	}
	return append(cmds, c)
}

// Owed is the set of steps that must be undone before a compensating saga has its outcome: all that took effect or may have.
func (m *Machine) Owed(s *State) plan.Set {
	return (s.Asked&^s.Skipped | s.Maybe) &^ s.Refused & m.undoable
}

func (m *Machine) backward(s *State, cmds []Command) []Command {
	owed := m.Owed(s) &^ s.Undone
	if owed == 0 {
		return m.decide(s, record(journal.SagaCompensated, ""), cmds)
	}
	for i := range (owed &^ s.UndoAsked &^ s.recording).All {
		if m.Plan.Desc[i]&owed == 0 {
			s.recording |= plan.One(i)
			cmds = append(cmds, record(journal.CompensationAsked, m.Plan.Steps[i].Name))
		}
	}
	return cmds
}

func record(kind journal.Kind, step string) Command {
	return Command{Do: Record, Event: journal.Event{Kind: kind, Step: step}}
}

func (m *Machine) asked(s *State, e *journal.Event, i int, cmds []Command) []Command {
	s.Asked |= plan.One(i)
	s.recording &^= plan.One(i)
	st := &s.Steps[i]
	m.first(s, i, e)
	st.Tried = s.Maybe.Has(i) // a coordinator that crashed may have called it, and lost the record of that
	if m.intent.Has(i) {
		st.Wait = e.Seq
	}
	for _, j := range m.Plan.Steps[i].Reads {
		if m.unstored.Has(j) {
			st.Wait = max(st.Wait, s.Steps[j].Settled)
		}
	}
	for j := range (m.Plan.Anc[i] & m.strict).All {
		st.Wait = max(st.Wait, s.Steps[j].Settled)
	}
	return m.call(s, i, cmds)
}

func (m *Machine) compensationAsked(s *State, e *journal.Event, i int, cmds []Command) []Command {
	s.UndoAsked |= plan.One(i)
	s.recording &^= plan.One(i)
	st := &s.Steps[i]
	m.first(s, i, e)
	st.Wait, st.Input = 0, nil
	if m.intent.Has(i) {
		st.Wait = e.Seq
	}
	return m.call(s, i, cmds)
}

// first begins the asking for a step or its compensation.
func (m *Machine) first(s *State, i int, e *journal.Event) {
	st := &s.Steps[i]
	st.Attempt, st.Since, st.Tried, st.Again, st.Said = 1, micros(e.Time), false, false, ""
	m.alarm(st, st.Since)
}

// alarm sets when an incident opens if there is no progress.
func (m *Machine) alarm(st *StepState, from int64) {
	st.Alarm = 0
	if after := m.Plan.IncidentAfter; after >= 0 {
		st.Alarm = from + after.Microseconds()
	}
}

// call makes the command for the step's next attempt, in the phase that the saga is in.
func (m *Machine) call(s *State, i int, cmds []Command) []Command {
	st := &s.Steps[i]
	st.Next = 0
	s.Flying |= plan.One(i)
	c := Command{Do: Call, Step: i, Attempt: st.Attempt, Wait: max(s.Floor, st.Wait)}
	if s.Phase == Compensating {
		c.Do = Compensate
	}
	return append(cmds, c)
}

// settled takes in that a step is decided.
func (m *Machine) settled(s *State, e *journal.Event, i int, cmds []Command) []Command {
	b := plan.One(i)
	s.recording &^= b
	st := &s.Steps[i]
	st.Settled, st.ByHand = e.Seq, e.By != ""
	switch e.Kind {
	case journal.StepDone:
		s.Done |= b
		s.Results[i] = e.Payload
		s.Flying &^= b
	case journal.StepRefused:
		s.Refused |= b
		s.Flying &^= b
		s.blame(i, e.Reason)
	case journal.StepSkipped: // by an operator it may be skipped while its call is still under way
		s.Skipped |= b
		if e.Verb == "" {
			s.Flying &^= b
		}
	case journal.StepFailed: // by a deadline it may fail while its call is still under way
		s.Failed |= b
		s.blame(i, e.Reason)
		if e.Reason != ReasonDeadline {
			s.Flying &^= b
		}
	default:
	}
	return s.quiet(m.Plan, i, cmds)
}

// expired takes in that a deadline passed. After the pivot's intent nothing turns back: then it is an incident.
func (m *Machine) expired(s *State, i int, cmds []Command) []Command {
	incident := record(journal.IncidentOpened, "")
	incident.Event.Reason = ReasonDeadline
	if i < 0 {
		s.Expired = true
		if m.Passed(s) || s.Phase != Running {
			return append(cmds, incident)
		}
		s.Turned = true
		s.blame(-1, ReasonDeadline)
		return m.next(s, cmds)
	}
	s.Steps[i].Expired = true
	if k := m.Plan.Steps[i].Kind; s.Phase == Compensating || k == participant.Pivot || k == participant.Retriable {
		incident.Event.Step = m.Plan.Steps[i].Name
		return append(cmds, incident)
	}
	s.recording |= plan.One(i)
	c := record(journal.StepFailed, m.Plan.Steps[i].Name)
	if !s.Steps[i].Tried && !s.Flying.Has(i) {
		c.Event.Kind = journal.StepRefused // no call was ever made: there is no effect
	}
	c.Event.Reason = ReasonDeadline
	return append(cmds, c)
}

// recovered asks anew for everything that is owed, by a coordinator that may not have been the one before.
func (m *Machine) recovered(s *State, cmds []Command) []Command {
	s.Flying, s.recording, s.deciding = 0, 0, false
	if s.Phase == Running && !s.Turning() {
		// The journal's lost end may hold any further call, but for those whose intent is waited for. Once a saga is turning, its journal
		// holds every call it made before.
		s.Maybe |= m.undoable &^ m.intent
	}
	for i := range m.open(s).All {
		s.Steps[i].Tried = true
	}
	if s.Phase == Running && !s.Turning() || s.Phase == Compensating {
		for i := range m.open(s).All {
			cmds = m.again(s, i, cmds)
		}
	}
	return m.next(s, cmds)
}

// open is the set of steps, or of compensations when turning back, that are asked and not answered.
func (m *Machine) open(s *State) plan.Set {
	if s.Phase == Compensating {
		return s.UndoAsked &^ s.Undone
	}
	return s.Asked &^ s.settled()
}

// again makes a call again whose answer was lost with the coordinator, unless its retry is due later or it cannot be asked again safely.
func (m *Machine) again(s *State, i int, cmds []Command) []Command {
	st := &s.Steps[i]
	switch {
	case st.Held || st.Next != 0:
		return cmds
	case !m.unsafe.Has(i):
		return m.call(s, i, cmds)
	case s.Phase == Running && m.Plan.Steps[i].Kind == participant.Compensatable:
		c := record(journal.StepFailed, m.Plan.Steps[i].Name)
		c.Event.Reason = ReasonUnknown
		s.recording |= plan.One(i)
		return append(cmds, c)
	}
	c := record(journal.IncidentOpened, m.Plan.Steps[i].Name)
	c.Event.Reason = ReasonUnknown
	return append(cmds, c)
}

// Passed says whether the saga may have passed its point of no return: from the pivot's intent on, only the pivot's own
// refusal turns it back.
func (m *Machine) Passed(s *State) bool {
	return m.Plan.Pivot >= 0 && s.Asked.Has(m.Plan.Pivot) && !s.Refused.Has(m.Plan.Pivot)
}
