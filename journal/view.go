package journal

import (
	"slices"
	"time"
)

// StepState says how far a step is, for people and programs that read a saga.
type StepState string

// The states of a step.
const (
	StepStateWaiting   StepState = "waiting"  // not asked yet
	StepStateRunning   StepState = "running"  // asked, no answer yet
	StepStateRetrying  StepState = "retrying" // the last attempt's result is unknown; another will be made
	StepStateDone      StepState = "done"     // took effect
	StepStateRefused   StepState = "refused"  // refused for a business reason: no effect
	StepStateFailed    StepState = "failed"   // given up with the effect unknown
	StepStateSkipped   StepState = "skipped"  // will never run, or given up by an operator
	StepStateUndoing   StepState = "undoing"  // its compensation is asked for
	StepStateUndone    StepState = "undone"   // nothing of its effect is left
	StepStateLeft      StepState = "left"     // an operator gave its compensation up: what exists of its effect stays
	StepStateUndoRetry StepState = "undo retrying"
)

// View is what a journal says of a saga. It is made by applying the events in order to the zero value; it needs no
// definition, so a saga can be read when its program is gone.
type View struct {
	Definition   string
	Version      string
	Mode         Mode
	Key          string
	Input        []byte
	Started      time.Time
	Updated      time.Time
	Ended        time.Time  // zero while it runs
	Deadline     time.Time  // zero without one
	Compensating bool       // it was decided to turn back
	Outcome      Kind       // SagaCompleted or SagaCompensated; 0 while it runs
	Cause        string     // step that turned it back; empty if none did
	Reason       string     // why it turned back
	Steps        []StepView // in the order in which they were first mentioned
	Decisions    []Decision // in the order in which they were made
	Incidents    []Incident // open ones
	Seq          uint64
}

// StepView is what a journal says of one step.
type StepView struct {
	Name    string
	State   StepState
	Attempt uint32 // attempts made or under way, of the action or, undoing, of the compensation
	Reason  string // of a refusal, a failure or the last unknown result
	Detail  string // words for a person; why, if an operator ended it
	Result  []byte
	Given   []byte    // the input that an operator gave last in place of the mapped one; nil if nobody did
	Asked   time.Time // first
	Settled time.Time // of the action
	Undone  time.Time // zero if it was left
	Next    time.Time // of the next attempt, while retrying
	ByHand  bool      // an operator ended it
	By      string    // who that was
}

// Decision is what a journal says of how a step's action ended, and of what came after that. What became of the step later is in its StepView.
type Decision struct {
	Step  string
	State StepState // done, refused, failed or skipped; empty as long as there is no decision
	Event uint64    // sequence number of the event that decided
	Late  Late      // answers that came later
}

// Late says which answers came after a step was decided. The same answer once more is not evidence of anything, and is not recorded.
type Late uint8

// The answers that may come late.
const (
	LateDone Late = 1 << iota
	LateRefused
)

// LateAnswer is what a StepAnsweredLate says.
func LateAnswer(e *Event) Late {
	if e.Reason == "" {
		return LateDone
	}
	return LateRefused
}

// Incident is something that needs help.
type Incident struct {
	Step   string // empty: the saga as a whole
	Reason string
	Detail string
	Since  time.Time
}

// Contradiction says whether it is about what is decided already, so that nothing waits for it.
func (i *Incident) Contradiction() bool { return i.Reason == ReasonContradiction }

// Step returns the view of a step, or nil if the journal does not mention it.
func (v *View) Step(name string) *StepView {
	for i := range v.Steps {
		if v.Steps[i].Name == name {
			return &v.Steps[i]
		}
	}
	return nil
}

// Contradicted says whether a step has an open contradiction; with an empty name, whether any step has.
func (v *View) Contradicted(step string) bool {
	return slices.ContainsFunc(v.Incidents, func(i Incident) bool { return i.Contradiction() && (step == "" || i.Step == step) })
}

// Apply takes the next event in.
func (v *View) Apply(e *Event) {
	v.Seq, v.Updated = e.Seq, e.Time
	switch e.Kind {
	case SagaStarted:
		v.Definition, v.Version, v.Mode, v.Key, v.Input = e.Definition, e.Version, e.Mode, e.Key, e.Payload
		v.Started, v.Deadline = e.Time, e.At
	case SagaCompensating:
		v.Compensating, v.Cause, v.Reason = true, e.Step, e.Reason
	case SagaCompleted, SagaCompensated:
		v.Outcome, v.Ended = e.Kind, e.Time
	case IncidentOpened:
		v.close(e.Step, e.Reason == ReasonContradiction)
		v.Incidents = append(v.Incidents, Incident{Step: e.Step, Reason: e.Reason, Detail: e.Detail, Since: e.Time})
	case IncidentResolved, IncidentClosed:
		v.close(e.Step, e.Verb == VerbSeen)
		if e.Verb == VerbReplace {
			v.step(e.Step).Given = e.Payload
		}
	case StepAnsweredLate:
		v.decision(e.Step).Late |= LateAnswer(e)
	case SagaRecovered, CancelRequested, DeadlineExpired:
	default:
		if e.Step != "" {
			v.step(e.Step).apply(e)
			v.decided(e)
		}
	}
}

// decided takes in how a step's action ended.
func (v *View) decided(e *Event) {
	if e.Kind >= StepDone && e.Kind <= StepSkipped {
		d := v.decision(e.Step)
		d.State, d.Event = v.Step(e.Step).State, e.Seq
	}
}

// Decision returns what is recorded of a step's decision; the zero value if nothing is.
func (v *View) Decision(step string) Decision {
	if i := slices.IndexFunc(v.Decisions, func(d Decision) bool { return d.Step == step }); i >= 0 {
		return v.Decisions[i]
	}
	return Decision{}
}

func (v *View) decision(step string) *Decision {
	i := slices.IndexFunc(v.Decisions, func(d Decision) bool { return d.Step == step })
	if v.Decisions == nil {
		v.Decisions = make([]Decision, 0, 8)
	}
	if i < 0 {
		i, v.Decisions = len(v.Decisions), append(v.Decisions, Decision{Step: step})
	}
	return &v.Decisions[i]
}

// close takes out a step's incident of one sort.
func (v *View) close(step string, contradiction bool) {
	kept := v.Incidents[:0]
	for _, i := range v.Incidents {
		if i.Step != step || i.Contradiction() != contradiction {
			kept = append(kept, i)
		}
	}
	v.Incidents = kept
}

func (v *View) step(name string) *StepView {
	if s := v.Step(name); s != nil {
		return s
	}
	if v.Steps == nil {
		v.Steps = make([]StepView, 0, 8)
	}
	v.Steps = append(v.Steps, StepView{Name: name, State: StepStateWaiting})
	return &v.Steps[len(v.Steps)-1]
}

func (s *StepView) apply(e *Event) {
	switch e.Kind {
	case StepAsked:
		s.State, s.Attempt, s.Asked = StepStateRunning, 1, e.Time
	case StepRetrying:
		s.State, s.Attempt, s.Next, s.Reason, s.Detail = StepStateRetrying, e.Attempt, e.At, e.Reason, e.Detail
	case StepDone:
		s.settle(StepStateDone, e)
		s.Result = e.Payload
	case StepRefused:
		s.settle(StepStateRefused, e)
	case StepFailed:
		s.settle(StepStateFailed, e)
	case StepSkipped:
		s.settle(StepStateSkipped, e)
	case CompensationAsked:
		s.State, s.Attempt = StepStateUndoing, 1
	case CompensationRetrying:
		s.State, s.Attempt, s.Next, s.Reason, s.Detail = StepStateUndoRetry, e.Attempt, e.At, e.Reason, e.Detail
	case CompensationDone:
		s.end(e)
	default:
	}
}

func (s *StepView) settle(state StepState, e *Event) {
	s.State, s.Settled, s.Next, s.ByHand, s.By = state, e.Time, time.Time{}, e.By != "", e.By
	s.Reason, s.Detail = e.Reason, e.Detail
}

// end takes in that nothing more is asked of a step's compensation. Why the step itself ended stays, unless an operator's words take its place.
func (s *StepView) end(e *Event) {
	s.State, s.Undone, s.Next, s.ByHand, s.By = StepStateUndone, e.Time, time.Time{}, e.By != "", e.By
	if e.Verb == VerbSkip {
		s.State, s.Undone = StepStateLeft, time.Time{}
	}
	if s.ByHand {
		s.Reason, s.Detail = e.Reason, e.Detail
	}
}
