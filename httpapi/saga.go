package httpapi

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Saga is how far a saga is: what is durable of it.
type Saga struct {
	ID         skald.SagaID    `json:"id"`
	Definition string          `json:"definition"`
	Version    string          `json:"version"`
	Mode       skald.Mode      `json:"mode"`
	Key        string          `json:"key,omitempty"` // business key
	State      skald.State     `json:"state"`
	Cause      string          `json:"cause,omitempty"`  // the step that turned it back
	Reason     string          `json:"reason,omitempty"` // the reason code of turning back
	Started    time.Time       `json:"started"`
	Updated    time.Time       `json:"updated"`
	Ended      time.Time       `json:"ended,omitzero"` // left out while it runs
	Deadline   time.Time       `json:"deadline,omitzero"`
	Input      json.RawMessage `json:"input"`
	Steps      []Step          `json:"steps"`     // in the order of the definition, or of the journal if it is not registered
	Incidents  []Incident      `json:"incidents"` // open ones
	Seq        uint64          `json:"seq"`       // of the journal's last event
}

// Step is how far a step is.
type Step struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind,omitempty"`   // compensatable, pivot, retriable or readonly; left out if the definition is not registered
	Action  string          `json:"action,omitempty"` // the operation
	Level   string          `json:"level,omitempty"`  // what the participant promises: L0, L1 or L2
	State   string          `json:"state"`            // waiting, running, retrying, done, refused, failed, skipped, undoing, undo_retrying, undone or left
	Attempt uint32          `json:"attempt"`          // made or under way; of the compensation, while that is asked for
	Reason  string          `json:"reason,omitempty"` // reason code of a refusal, a failure or the last unknown result
	Detail  string          `json:"detail,omitempty"` // words for a person
	Result  json.RawMessage `json:"result,omitempty"`
	Input   json.RawMessage `json:"input,omitempty"`  // what a step that waits for help was called with, if it can be told: to be mended and given with replace
	Asked   time.Time       `json:"asked,omitzero"`   // first
	Settled time.Time       `json:"settled,omitzero"` // of the action
	Undone  time.Time       `json:"undone,omitzero"`
	Next    time.Time       `json:"next,omitzero"` // of the next attempt, while retrying
	ByHand  bool            `json:"by_hand"`       // an operator ended it
	By      string          `json:"by,omitempty"`  // who that was
}

// Incident is something that needs help.
type Incident struct {
	Step   string    `json:"step,omitempty"` // left out: the saga as a whole
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"`
	Since  time.Time `json:"since"`
}

// Event is one entry of a saga's journal. Which fields are there depends on its kind; docs/journal-format.md says what each means.
type Event struct {
	Seq        uint64          `json:"seq"` // from 1
	Time       time.Time       `json:"time"`
	Kind       string          `json:"kind"` // such as saga_started, step_done, compensation_done, incident_opened
	Step       string          `json:"step,omitempty"`
	Attempt    uint32          `json:"attempt,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	Detail     string          `json:"detail,omitempty"`
	Payload    json.RawMessage `json:"payload,omitempty"` // the saga's input, a step's result or an operator's replaced input
	At         time.Time       `json:"at,omitzero"`       // of the next attempt, or the saga's deadline
	Definition string          `json:"definition,omitempty"`
	Version    string          `json:"version,omitempty"`
	Mode       skald.Mode      `json:"mode,omitempty"`
	Key        string          `json:"key,omitempty"`
	Trace      string          `json:"trace,omitempty"` // W3C traceparent
	Verb       skald.Verb      `json:"verb,omitempty"`
	By         string          `json:"by,omitempty"`
	Epoch      uint64          `json:"epoch,omitempty"` // tenure of the coordinator that wrote it
}

// EventPage is a part of a journal.
type EventPage struct {
	Events []Event `json:"events"`
	Next   uint64  `json:"next,omitempty"` // pass it as after for what follows; left out when nothing follows yet
}

// Summary is what lists show of a saga.
type Summary struct {
	ID         skald.SagaID `json:"id"`
	Definition string       `json:"definition"`
	Version    string       `json:"version"`
	Mode       skald.Mode   `json:"mode"`
	Key        string       `json:"key,omitempty"`
	State      skald.State  `json:"state"`
	Step       string       `json:"step,omitempty"`     // the step with the oldest open incident; without one, the step it is at, or the cause of turning back
	Reason     string       `json:"reason,omitempty"`   // reason code of turning back
	Incident   string       `json:"incident,omitempty"` // reason code of the oldest open incident
	Started    time.Time    `json:"started"`
	Updated    time.Time    `json:"updated"`
	Ended      time.Time    `json:"ended,omitzero"`
	Seq        uint64       `json:"seq"`
}

// SagaPage is one page of a list.
type SagaPage struct {
	Sagas []Summary `json:"sagas"`
	Next  string    `json:"next,omitempty"` // cursor of the next page; left out on the last
}

// word writes a state or kind of the journal as one word, and spaced reads it.
func word(s string) string   { return strings.ReplaceAll(s, " ", "_") }
func spaced(s string) string { return strings.ReplaceAll(s, "_", " ") }

func sagaOf(s *skald.Status) Saga {
	x := Saga{
		ID: s.ID, Definition: s.Definition, Version: s.Version, Mode: s.Mode, Key: s.Key, State: s.State, Cause: s.Cause, Reason: s.Reason,
		Started: s.Started.UTC(), Updated: s.Updated.UTC(), Ended: s.Ended.UTC(), Deadline: s.Deadline.UTC(), Input: raw(s.Input),
		Steps: make([]Step, len(s.Steps)), Incidents: make([]Incident, len(s.Incidents)), Seq: s.Seq,
	}
	for i := range s.Steps {
		y := &s.Steps[i]
		x.Steps[i] = Step{
			Name: y.Name, Kind: y.Kind, Action: y.Action, Level: y.Level, State: word(string(y.State)), Attempt: y.Attempt, Reason: y.Reason, Detail: y.Detail, Result: raw(y.Result), Input: raw(y.Input),
			Asked: y.Asked.UTC(), Settled: y.Settled.UTC(), Undone: y.Undone.UTC(), Next: y.Next.UTC(), ByHand: y.ByHand, By: y.By,
		}
	}
	for i, y := range s.Incidents {
		x.Incidents[i] = Incident{y.Step, y.Reason, y.Detail, y.Since.UTC()}
	}
	return x
}

// status is the way back.
func (s *Saga) status() skald.Status {
	x := skald.Status{
		ID: s.ID, Definition: s.Definition, Version: s.Version, Mode: s.Mode, Key: s.Key, State: s.State, Cause: s.Cause, Reason: s.Reason,
		Started: s.Started, Updated: s.Updated, Ended: s.Ended, Deadline: s.Deadline, Input: s.Input, Seq: s.Seq,
	}
	for i := range s.Steps {
		y := &s.Steps[i]
		x.Steps = append(x.Steps, skald.StepStatus{Kind: y.Kind, Action: y.Action, Level: y.Level, Input: y.Input, StepView: journal.StepView{
			Name: y.Name, State: journal.StepState(spaced(y.State)), Attempt: y.Attempt, Reason: y.Reason, Detail: y.Detail, Result: y.Result,
			Asked: y.Asked, Settled: y.Settled, Undone: y.Undone, Next: y.Next, ByHand: y.ByHand, By: y.By,
		}})
	}
	for _, y := range s.Incidents {
		x.Incidents = append(x.Incidents, skald.Incident{Step: y.Step, Reason: y.Reason, Detail: y.Detail, Since: y.Since})
	}
	return x
}

func eventOf(e *skald.Event) Event {
	return Event{
		Seq: e.Seq, Time: e.Time.UTC(), Kind: word(e.Kind.String()), Step: e.Step, Attempt: e.Attempt, Reason: e.Reason, Detail: e.Detail, Payload: raw(e.Payload), At: e.At.UTC(),
		Definition: e.Definition, Version: e.Version, Mode: e.Mode, Key: e.Key, Trace: e.Trace, Verb: e.Verb, By: e.By, Epoch: e.Epoch,
	}
}

// event is the way back. A kind that this program does not know yet is 0.
func (e *Event) event() skald.Event {
	return skald.Event{
		Seq: e.Seq, Time: e.Time, Kind: kindOf(e.Kind), Step: e.Step, Attempt: e.Attempt, Reason: e.Reason, Detail: e.Detail, Payload: e.Payload, At: e.At,
		Definition: e.Definition, Version: e.Version, Mode: e.Mode, Key: e.Key, Trace: e.Trace, Verb: e.Verb, By: e.By, Epoch: e.Epoch,
	}
}

func kindOf(name string) journal.Kind {
	name = spaced(name)
	for k := journal.SagaStarted; k <= journal.IncidentClosed; k++ {
		if k.String() == name {
			return k
		}
	}
	return 0
}

func pageOf(p skald.Page) SagaPage {
	x := SagaPage{Sagas: make([]Summary, len(p.Sagas)), Next: p.Next}
	for i := range p.Sagas {
		s := &p.Sagas[i]
		x.Sagas[i] = Summary{s.ID, s.Definition, s.Version, s.Mode, s.Key, s.State, s.Step, s.Reason, s.Incident, s.Started.UTC(), s.Updated.UTC(), s.Ended.UTC(), s.Seq}
	}
	return x
}

// summary is the way back.
func (s *Summary) summary() store.Summary {
	return store.Summary{ID: s.ID, Definition: s.Definition, Version: s.Version, Mode: s.Mode, Key: s.Key, State: s.State, Step: s.Step, Reason: s.Reason, Incident: s.Incident,
		Started: s.Started, Updated: s.Updated, Ended: s.Ended, Seq: s.Seq}
}
