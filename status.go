package skald

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// State says how far a saga is.
type State = store.State

// The states of a saga. The last two are its outcomes.
const (
	Running      = store.Running
	Compensating = store.Compensating
	Completed    = store.Completed
	Compensated  = store.Compensated
)

// Status is what is durable of a saga.
type Status struct {
	ID         SagaID
	Definition string
	Version    string
	Mode       journal.Mode
	Key        string
	State      State
	Cause      string // the step that turned it back; empty if none did
	Reason     string // the reason code of turning back
	Started    time.Time
	Updated    time.Time
	Ended      time.Time // zero while it runs
	Deadline   time.Time // zero without one
	Input      []byte    // JSON
	Steps      []StepStatus
	Incidents  []Incident // open ones
	Seq        uint64     // of the last event
}

// StepStatus is how far a step is. Steps stand in the order of the definition if it is registered, otherwise in that of the journal.
type StepStatus struct {
	journal.StepView
	Kind   string // compensatable, pivot, retriable, readonly; empty if the definition is not registered
	Action string // the operation
	Level  string // what the participant promises: L0, L1, L2
	// Input is what a step that waits for help was called with, as JSON: what an operator gave, or what is mapped from what came before. It is nil for all other steps, and where it cannot be made.
	Input []byte
}

// Incident is an open incident.
type Incident = journal.Incident

// Step returns the status of a step, or nil if there is none of that name.
func (s *Status) Step(name string) *StepStatus {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return &s.Steps[i]
		}
	}
	return nil
}

// ResultOf decodes the result of a step that is done. ok is false if the step is not done.
func ResultOf[R any](s *Status, step string) (result R, ok bool, err error) {
	x := s.Step(step)
	if x == nil || x.Settled.IsZero() || x.Result == nil {
		return result, false, nil
	}
	if err := json.Unmarshal(x.Result, &result); err != nil {
		return result, false, fmt.Errorf("the result of %s does not fit its type: %w", step, err)
	}
	return result, true, nil
}

// statusOf joins what the journal and the definition say. p is nil if the definition is not registered.
func statusOf(s store.Summary, v *journal.View, p *plan.Plan, level func(operation string) string) Status {
	st := Status{
		ID: s.ID, Definition: v.Definition, Version: v.Version, Mode: v.Mode, Key: v.Key, State: s.State, Cause: v.Cause, Reason: v.Reason,
		Started: v.Started, Updated: v.Updated, Ended: v.Ended, Deadline: v.Deadline, Input: v.Input, Incidents: v.Incidents, Seq: v.Seq,
	}
	if p == nil {
		for _, x := range v.Steps {
			st.Steps = append(st.Steps, StepStatus{StepView: x})
		}
		return st
	}
	st.Steps = make([]StepStatus, 0, len(p.Steps))
	for i := range p.Steps {
		x := StepStatus{
			StepView: journal.StepView{Name: p.Steps[i].Name, State: journal.StepStateWaiting},
			Kind:     p.Steps[i].Kind.String(), Action: p.Steps[i].Action, Level: level(p.Steps[i].Action),
		}
		if seen := v.Step(x.Name); seen != nil {
			x.StepView = *seen
		} else if s.State == Compensating || s.State == Compensated {
			x.State = journal.StepStateSkipped
		}
		st.Steps = append(st.Steps, x)
	}
	for _, x := range v.Incidents {
		if i, ok := p.Index(x.Step); ok && !x.Contradiction() {
			st.Steps[i].Input = inputOf(i, v, p)
		}
	}
	return st
}

// inputOf is what a step was called with, or nil.
func inputOf(i int, v *journal.View, p *plan.Plan) []byte {
	if seen := v.Step(p.Steps[i].Name); seen != nil && seen.Given != nil {
		return seen.Given
	}
	input, err := p.Input(i, v.Input, func(j int) []byte {
		if seen := v.Step(p.Steps[j].Name); seen != nil {
			return seen.Result
		}
		return nil
	})
	if err != nil {
		return nil // the incident says so
	}
	return input
}
