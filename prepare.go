package skald

import (
	"context"
	"errors"

	"github.com/skaldhq/skald/participant"
)

// HandlePrepared is Handle for an action that needs an answer from outside the participant's database, such as a payment gateway's.
// prepare asks for it before the transaction begins, so that a slow answer keeps nobody else waiting, and do gets what it returned.
//
// An error of prepare counts like one of do: Refuse refuses, and any other leaves the result unknown and the call comes again. prepare may run several
// times for one call, also at the same time, and also if do never runs after it: what it asks for outside needs a key (the call's is
// participant.CallOf(ctx)), and must do no harm if the action is refused or never comes. It does not run when the call's answer is stored already.
func HandlePrepared[In, P, Out any](
	op Operation[In, Out],
	prepare func(ctx context.Context, in In) (P, error),
	do func(ctx context.Context, tx participant.Tx, in In, prepared P) (Out, error),
) participant.Handler {
	h := Handle(op, afterPreparing(do))
	h.Prepare = preparing(op, prepare)
	return h
}

// HandleCompensatablePrepared is HandlePrepared for an operation that can be undone. Nothing is prepared for undo.
func HandleCompensatablePrepared[In, P, Out any](
	op Operation[In, Out],
	prepare func(ctx context.Context, in In) (P, error),
	do func(ctx context.Context, tx participant.Tx, in In, prepared P) (Out, error),
	undo func(ctx context.Context, tx participant.Tx, in In, done Out) error,
) participant.Handler {
	h := HandleCompensatable(op, afterPreparing(do), undo)
	h.Prepare = preparing(op, prepare)
	return h
}

// preparedKey and preparation carry what was prepared from one function to the next.
type preparedKey[P any] struct{}

type preparation[P any] struct{ value P }

func preparing[In, P, Out any](op Operation[In, Out], prepare func(context.Context, In) (P, error)) func(context.Context, []byte) (context.Context, error) {
	return func(ctx context.Context, input []byte) (context.Context, error) {
		in, err := decode[In](input, "the input of "+op.step.Action)
		if err != nil {
			return nil, Refuse(ReasonMalformed, "%v", err)
		}
		p, err := prepare(ctx, in)
		if err != nil {
			return nil, err
		}
		return context.WithValue(ctx, preparedKey[P]{}, preparation[P]{p}), nil
	}
}

func afterPreparing[In, P, Out any](do func(context.Context, participant.Tx, In, P) (Out, error)) func(context.Context, participant.Tx, In) (Out, error) {
	return func(ctx context.Context, tx participant.Tx, in In) (Out, error) {
		p, ok := ctx.Value(preparedKey[P]{}).(preparation[P])
		if !ok {
			var none Out
			return none, errors.New("nothing was prepared: serve this handler with a participant that runs Prepare, such as sqlparticipant")
		}
		return do(ctx, tx, in, p.value)
	}
}
