package skald

import (
	"reflect"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// Operation is a participant's contract for one action: its durable name, what it takes and gives, and how it is undone. Contracts are
// declared once, in a package that callers and the participant both import, with Compensatable, Pivot, Retriable or ReadOnly.
// An Operation is an immutable value.
type Operation[In, Out any] struct {
	step plan.Step
}

// Compensatable declares an action that can be undone. Both names are durable, such as "inventaire.reserve" and "inventaire.release"; the
// part before the first dot names the participant. The compensation receives the action's input and result.
func Compensatable[In, Out any](action, compensation string, opts ...OperationOption) Operation[In, Out] {
	op := declare[In, Out](participant.Compensatable, action, opts)
	op.step.Compensation = compensation
	return op
}

// Pivot declares an action that cannot be undone but may refuse: the point of no return of the sagas that use it. From its intent on,
// only its own refusal turns a saga back.
func Pivot[In, Out any](action string, opts ...OperationOption) Operation[In, Out] {
	return declare[In, Out](participant.Pivot, action, opts)
}

// Retriable declares an action that succeeds in the end: it is asked until it is done, and shows as an incident while it is not. It
// stands after a pivot.
func Retriable[In, Out any](action string, opts ...OperationOption) Operation[In, Out] {
	return declare[In, Out](participant.Retriable, action, opts)
}

// ReadOnly declares a question: it changes nothing, so there is nothing to undo.
func ReadOnly[In, Out any](action string, opts ...OperationOption) Operation[In, Out] {
	return declare[In, Out](participant.ReadOnly, action, opts)
}

func declare[In, Out any](kind participant.Kind, action string, opts []OperationOption) Operation[In, Out] {
	op := Operation[In, Out]{plan.Step{
		Kind: kind, Action: action, Input: shapeOf(reflect.TypeFor[In]()), Output: shapeOf(reflect.TypeFor[Out]()),
	}}
	for _, o := range opts {
		o.operation(&op.step)
	}
	return op
}

// Name is the action's durable name.
func (o Operation[In, Out]) Name() string { return o.step.Action }

// OperationOption says more about an operation.
type OperationOption interface{ operation(s *plan.Step) }

type operationOption func(s *plan.Step)

func (f operationOption) operation(s *plan.Step) { f(s) }

// Emits names the events that the participant publishes with the action's success and with its refusal; an empty name publishes nothing.
func Emits(success, failure string) OperationOption {
	return operationOption(func(s *plan.Step) { s.Events.Success, s.Events.Failure = success, failure })
}

// EmitsUndone names the event that the participant publishes when the compensation has undone the action.
func EmitsUndone(event string) OperationOption {
	return operationOption(func(s *plan.Step) { s.Events.Undone = event })
}

// Reasons declares the reason codes with which the action may be refused or put off (Later). OnReason says what becomes of one. Metrics show a code that nobody declared as "other".
func Reasons(codes ...string) OperationOption {
	return operationOption(func(s *plan.Step) { s.Reasons = append(s.Reasons, codes...) })
}

// StoresAnswers says that a ReadOnly action's participant stores its answers, so that asking again gives the same one. The
// coordinator then need not wait for the answer to be durable before it is used.
func StoresAnswers() OperationOption {
	return operationOption(func(s *plan.Step) { s.Stored = true })
}
