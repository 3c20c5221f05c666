package skald

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// Refuse is the error with which a participant's handler refuses for a business reason: nothing took effect, and it is never asked
// again. The reason is a short stable code, such as "InventaireFail.OutOfStock"; the rest is for people.
func Refuse(reason, format string, args ...any) error {
	return &participant.Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Later is the error with which a participant's handler says that the action cannot be done now: everything is rolled back, and it is asked again no
// earlier than after the pause, with the step's retries. The reason is a short stable code; when the attempts are used up the step ends with it, and OnReason may say
// what then becomes of it.
func Later(reason string, after time.Duration, format string, args ...any) error {
	return &participant.Postponement{Reason: reason, After: after, Detail: fmt.Sprintf(format, args...)}
}

// Working is the error with which a participant's handler says that it is still at it, such as an action that was begun in the world outside and takes its time: everything is
// rolled back, and it is asked again no earlier than after the pause. That counts as no failed attempt: only a deadline ends the asking.
func Working(after time.Duration, format string, args ...any) error {
	return &participant.Postponement{Working: true, After: after, Detail: fmt.Sprintf(format, args...)}
}

// ReasonMalformed refuses a payload that does not fit the operation's type.
const ReasonMalformed = "skald.malformed"

// Handle joins a contract with the function that carries it out, for a participant such as sqlparticipant. do runs in the participant's transaction and
// makes its change through tx; it returns an error made with Refuse to refuse. Any other error rolls back, leaves the
// result unknown to the caller, and the call comes again. The call itself is participant.CallOf(ctx).
func Handle[In, Out any](op Operation[In, Out], do func(ctx context.Context, tx participant.Tx, in In) (Out, error)) participant.Handler {
	h := handler(&op.step)
	h.Do = func(ctx context.Context, tx participant.Tx, input []byte) ([]byte, error) {
		in, err := decode[In](input, "the input of "+op.step.Action)
		if err != nil {
			return nil, Refuse(ReasonMalformed, "%v", err)
		}
		out, err := do(ctx, tx, in)
		if err != nil {
			return nil, err
		}
		return json.Marshal(out)
	}
	return h
}

// HandleCompensatable is Handle for an operation that can be undone. undo receives the action's input and the result that do gave; it is called at
// most once to effect, and only if do took effect. An error made with Refuse opens an incident; any other is asked again.
func HandleCompensatable[In, Out any](
	op Operation[In, Out],
	do func(ctx context.Context, tx participant.Tx, in In) (Out, error),
	undo func(ctx context.Context, tx participant.Tx, in In, done Out) error,
) participant.Handler {
	h := Handle(op, do)
	h.Undo = func(ctx context.Context, tx participant.Tx, input, result []byte) error {
		in, err := decode[In](input, "the input of "+op.step.Action)
		out, err2 := decode[Out](result, "the result of "+op.step.Action)
		if err := errors.Join(err, err2); err != nil {
			return Refuse(ReasonMalformed, "%v", err)
		}
		return undo(ctx, tx, in, out)
	}
	return h
}

func handler(s *plan.Step) participant.Handler {
	return participant.Handler{
		Action: s.Action, Compensation: s.Compensation, Kind: s.Kind, Stored: s.Stored,
		Success: s.Events.Success, Failure: s.Events.Failure, Undone: s.Events.Undone,
	}
}
