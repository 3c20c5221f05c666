package sqlparticipant

import (
	"context"
	"errors"
	"fmt"

	"github.com/skaldhq/skald/participant"
)

type preparedKey struct{}

// prepared says, in a context, that the handler's Prepare ran for this call.
type prepared struct {
	refusal *participant.Refusal // what it refused with, or nil
}

// prepare runs the handler's Prepare, if there is one and if the answer is not stored. It returns the context for Do.
func (p *Participant) prepare(ctx context.Context, op *operation, c participant.Call) (context.Context, error) {
	if op.Prepare == nil || op.phase != participant.Action {
		return ctx, nil
	}
	var rows int
	if err := p.db.QueryRowContext(ctx, p.sql.known, string(c.Saga), c.Step).Scan(&rows); err != nil {
		return ctx, fmt.Errorf("looking for a stored answer: %w", err)
	}
	if rows > 0 {
		return ctx, nil
	}
	derived := ctx
	_, err := p.recovered(ctx, op, c, func() ([]byte, error) {
		next, err := op.Prepare(ctx, c.Input)
		if next != nil {
			derived = next
		}
		return nil, err
	})
	var said prepared
	if refusal, ok := refusalOf(err); ok {
		said.refusal = &refusal
	} else if err != nil {
		return ctx, err
	}
	return context.WithValue(derived, preparedKey{}, said), nil
}

// do runs the action's handler in the barrier's transaction.
func (b *barrier) do(ctx context.Context) ([]byte, error) {
	if b.op.Prepare != nil {
		said, ran := ctx.Value(preparedKey{}).(prepared)
		switch {
		case !ran: // somebody forgot the row in between
			return nil, errors.New("the stored answer that made preparing needless is gone; ask again")
		case said.refusal != nil:
			return nil, said.refusal
		}
	}
	return b.p.handle(ctx, b, func(ctx context.Context, tx participant.Tx) ([]byte, error) {
		return b.op.Do(ctx, tx, b.call.Input)
	})
}
