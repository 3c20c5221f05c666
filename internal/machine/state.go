package machine

import (
	"strings"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
)

// Phase is the direction of a saga.
type Phase uint8

// The phases.
const (
	Running Phase = iota
	Compensating
	Completed
	Compensated
)

// Ended says whether the phase is an outcome.
func (p Phase) Ended() bool { return p >= Completed }

// State is what is known of one saga. It is made by applying the events of its journal, from the zero value on; Flying and what is unexported
// belong to the driver that runs it now.
type State struct {
	Seq      uint64 // of the last event applied
	Phase    Phase
	Cause    int    // step that turned the saga back, -1 if it was none
	Reason   string // of turning back
	Deadline int64  // microseconds; 0 without one
	Floor    uint64 // calls wait until this is durable: the start, the decision to compensate, an operator's decision

	Asked, Done, Refused, Failed, Skipped plan.Set
	Maybe                                 plan.Set // may have been asked by a coordinator that could not record it
	UndoAsked, Undone                     plan.Set
	Flying                                plan.Set // a call is under way

	Turned  bool   // cancelled, or out of time, before the pivot
	Expired bool   // the saga's deadline passed
	Stuck   string // reason of an incident of the whole saga

	Input   []byte
	Results [][]byte
	Steps   []StepState

	recording plan.Set // an event of this step is about to be recorded
	deciding  bool     // a decision or an outcome is about to be recorded
}

// StepState is what is known of one step, or of its compensation once the saga turned back.
type StepState struct {
	Attempt      uint32 // of the call under way or to be made next
	Since        int64  // when it was first asked: microseconds
	Alarm        int64  // when its incident opens if it is not answered: microseconds; 0 never
	Next         int64  // when it is asked again: microseconds; 0 while it is not waiting
	Wait         uint64 // its calls wait until this is durable
	Settled      uint64 // sequence number of the event that decided its action
	Tried        bool   // a call was made, or may have been: until then there is no effect
	Again        bool   // an operator replaced the input while a call was under way
	Held         bool   // waits for an operator
	Expired      bool
	ByHand       bool         // its action was ended by an operator, or by the definition
	Late         journal.Late // answers that came after its action was decided
	Contradicted bool         // a contradiction is open
	Incident     string       // reason of its open incident that keeps it from making progress
	Said         string       // what came of the attempts so far, in the words of the last that had any
	Input        []byte       // replaced by an operator
}

func (s *State) start(p *plan.Plan, e *journal.Event) {
	n := len(p.Steps)
	s.Cause, s.Floor = -1, e.Seq
	s.Input, s.Deadline = e.Payload, micros(e.At)
	s.Results, s.Steps = make([][]byte, n), make([]StepState, n)
}

// settled is the set of steps whose action is decided.
func (s *State) settled() plan.Set { return s.Done | s.Refused | s.Failed | s.Skipped }

// Turning says whether something happened that turns the saga back, whether or not that is decided yet.
func (s *State) Turning() bool { return s.Refused|s.Failed != 0 || s.Turned }

func (s *State) blame(step int, reason string) {
	if s.Reason == "" {
		s.Cause, s.Reason = step, reason
	}
}

func (s *State) retry(i int, e *journal.Event) {
	st := &s.Steps[i]
	st.Attempt, st.Next = e.Attempt+1, micros(e.At)
	st.Tried = st.Tried || e.Reason != ReasonNotAsked
	if words := Words(e); words != "" || e.Reason != ReasonNotAsked {
		st.Said = words
	}
	s.Flying &^= plan.One(i)
	st.Held = st.Next == 0
}

// Words are what an attempt came to, for the incident of a step that makes no progress: its reason code, unless nothing was sent, and its words.
func Words(retrying *journal.Event) string {
	if retrying.Reason == "" || retrying.Reason == ReasonNotAsked {
		return retrying.Detail
	}
	return strings.TrimSuffix(retrying.Reason+": "+retrying.Detail, ": ")
}

func (s *State) incident(i int, reason string) {
	if i < 0 {
		s.Stuck = reason
		return
	}
	if reason == journal.ReasonContradiction {
		s.Steps[i].Contradicted = true
		return
	}
	s.Steps[i].Incident = reason
	if reason == ReasonUnknown {
		s.Steps[i].Held = true
	}
}

// quiet ends what a step waits for, and closes its incident.
func (s *State) quiet(p *plan.Plan, i int, cmds []Command) []Command {
	st := &s.Steps[i]
	s.recording &^= plan.One(i)
	st.Next, st.Held = 0, false
	if s.Phase == Compensating {
		s.Flying &^= plan.One(i)
	}
	if st.Incident == "" {
		return cmds
	}
	return append(cmds, record(journal.IncidentClosed, p.Steps[i].Name))
}

// Incident is the reason of the saga's first open incident, or empty: of the saga as a whole (step is then -1), of a step that makes no progress, or, if there is neither, a
// contradiction; those of steps in their order.
func (s *State) Incident() (step int, reason string) {
	if s.Stuck != "" {
		return -1, s.Stuck
	}
	for i := range s.Steps {
		if s.Steps[i].Incident != "" {
			return i, s.Steps[i].Incident
		}
	}
	for i := range s.Steps {
		if s.Steps[i].Contradicted {
			return i, journal.ReasonContradiction
		}
	}
	return -1, ""
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
