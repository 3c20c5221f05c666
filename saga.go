package skald

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// Saga is a definition that has been checked. It is immutable and may be shared by goroutines.
type Saga[In any] struct {
	compiled
}

// Registered is a definition of any input type, as an Engine takes it.
type Registered interface {
	// Name is the definition's durable name.
	Name() string
	// Version is the hash of the definition's canonical form.
	Version() string
	// Steps says what its steps are, in an order that keeps to what each follows. The caller owns it.
	Steps() []StepInfo

	compiledPlan() *plan.Plan
}

// StepInfo says what a step of a definition is.
type StepInfo struct {
	Name         string
	Kind         participant.Kind
	Action       string   // the operation's durable name
	Compensation string   // of kind Compensatable
	Reasons      []string // the reason codes that the operation declares
	Stored       bool     // of kind ReadOnly: the participant stores its answers
	Success      string   // events that the participant publishes, empty where it publishes none
	Failure      string
	Undone       string
}

// Participant names who owns the step's operation: "inventaire" of "inventaire.reserve".
func (s StepInfo) Participant() string { return plan.Owner(s.Action) }

// compiled is the part of a Saga that does not know its types.
type compiled struct{ plan *plan.Plan }

func (c compiled) compiledPlan() *plan.Plan { return c.plan }

// Name is the definition's durable name.
func (c compiled) Name() string { return c.plan.Name }

// Version is a hash over everything the definition says: 16 hexadecimal digits. A running saga keeps the version it was started with.
func (c compiled) Version() string { return c.plan.Version }

// Steps says what the definition's steps are, in an order that keeps to what each follows. The caller owns it.
func (c compiled) Steps() []StepInfo {
	steps := make([]StepInfo, len(c.plan.Steps))
	for i := range steps {
		s := &c.plan.Steps[i]
		steps[i] = StepInfo{Name: s.Name, Kind: s.Kind, Action: s.Action, Compensation: s.Compensation, Reasons: slices.Clone(s.Reasons),
			Stored: s.Stored, Success: s.Events.Success, Failure: s.Events.Failure, Undone: s.Events.Undone}
	}
	return steps
}

// Canonical is the definition as JSON, in the form that its version is the hash of (docs/design.md). The caller owns it.
func (c compiled) Canonical() []byte { return bytes.Clone(c.plan.Canonical) }

// Flow draws the definition as a Mermaid flow chart.
func (c compiled) Flow() string { return c.plan.Flow() }

// Sequence draws the happy path as a Mermaid sequence diagram.
func (c compiled) Sequence() string { return c.plan.Sequence() }

// StartOption says more about a start.
type StartOption interface{ start(q *StartRequest) }

type startOption func(q *StartRequest)

func (f startOption) start(q *StartRequest) { f(q) }

// WithID chooses the saga's id, which makes starting idempotent: the same id and input is the same saga.
func WithID(id SagaID) StartOption {
	return startOption(func(q *StartRequest) { q.ID = id })
}

// WithKey gives the saga a business key to be found by, such as a customer's number. It need not be unique.
func WithKey(key string) StartOption {
	return startOption(func(q *StartRequest) { q.Key = key })
}

// WithTrace gives the saga the W3C traceparent of its caller, which travels with every call.
func WithTrace(traceparent string) StartOption {
	return startOption(func(q *StartRequest) { q.Trace = traceparent })
}

// Start begins a saga and returns once it is durable: it will end, whatever happens to this process. With an id of the caller's own
// (WithID) it may be called again after an error or a lost answer; the run then says that it Existed. *OverloadError and ErrStopped say that nothing
// was kept and the start may be tried again; ErrConflict that the id belongs to another saga.
func (s *Saga[In]) Start(ctx context.Context, c Client, in In, opts ...StartOption) (Run, error) {
	input, err := json.Marshal(in)
	if err != nil {
		return Run{}, fmt.Errorf("encode the input of %s: %w", s.Name(), err)
	}
	q := StartRequest{Definition: s.Name(), Version: s.Version(), Input: input}
	for _, o := range opts {
		o.start(&q)
	}
	started, err := c.Start(ctx, q)
	return Run{ID: started.ID, Existed: started.Existed, client: c}, err
}

// Run is one saga that was started.
type Run struct {
	ID      SagaID
	Existed bool // it had been started before, with the same input

	client Client
}

// Wait returns the saga's status when it has its outcome, or ctx's error. The saga goes on either way.
func (r Run) Wait(ctx context.Context) (Status, error) { return r.client.Wait(ctx, r.ID) }

// Status reads how far the saga is.
func (r Run) Status(ctx context.Context) (Status, error) { return r.client.Status(ctx, r.ID) }
