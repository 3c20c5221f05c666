package sqlparticipant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/participant"
)

// status says what a barrier row stands for. The numbers are durable.
type status int16

const (
	running   status = 0 // claimed in a transaction that is not committed: no other transaction ever reads it
	acted     status = 1 // the action took effect; the row has its result
	declined  status = 2 // the action was refused; the row has the refusal
	undone    status = 3 // the action took effect and was undone
	tombstone status = 4 // the compensation came first: the action must never take effect
)

// row is a barrier row. There is one per saga and step, for the action and its compensation together: the primary
// key is then what makes each wait for the other.
type row struct {
	operation      string // the action's durable name
	status         status
	input, result  []byte
	reason, detail string
}

// barrier is one call in its transaction.
type barrier struct {
	p       *Participant
	tx      transaction
	op      *operation
	call    participant.Call
	now     time.Time
	guard   *guarded // of the handler, once it runs
	emitted atomic.Bool
}

// answer returns the call's answer. The transaction is to be committed if there is no error, and rolled back otherwise.
func (b *barrier) answer(ctx context.Context) (participant.Answer, error) {
	first := running
	if b.op.phase == participant.Compensation {
		first = tombstone
	}
	r, err := b.claim(ctx, first)
	if err != nil {
		return participant.Answer{}, fmt.Errorf("barrier: %w", err)
	}
	if r != nil && r.operation != b.op.Action {
		return participant.Answer{}, notKept{refused(participant.Refusal{Reason: participant.ReasonConflict, Detail: fmt.Sprintf(
			"saga %s used step %s for operation %s before", b.call.Saga, b.call.Step, r.operation)})}
	}
	switch {
	case b.op.phase == participant.Compensation && r == nil:
		return b.overtake()
	case b.op.phase == participant.Compensation:
		return b.undo(ctx, r)
	case r == nil:
		return b.act(ctx)
	}
	return participant.Answer{}, notKept{b.repeat(r)}
}

// claim inserts the saga's and step's row. If there is one it returns it, locked; it waits for a transaction that works on it.
func (b *barrier) claim(ctx context.Context, s status) (*row, error) {
	now := b.now.UnixMicro()
	n, err := b.tx.run(ctx, b.p.sql.claim, string(b.call.Saga), b.call.Step, b.op.Action, int64(s), b.call.Input, now, now)
	if err != nil || n == 1 {
		return nil, err
	}
	var r *row
	err = b.tx.each(ctx, func(columns []any) error {
		r = &row{text(columns[0]), status(number(columns[1])), blob(columns[2]), blob(columns[3]), text(columns[4]), text(columns[5])}
		return nil
	}, b.p.sql.find, string(b.call.Saga), b.call.Step)
	if err == nil && r == nil {
		err = errors.New("it is gone")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the row of saga %s, step %s: %w", b.call.Saga, b.call.Step, err)
	}
	return r, nil
}

// repeat answers an action whose row exists.
func (b *barrier) repeat(r *row) participant.Answer {
	if r.status == undone || r.status == tombstone {
		return refused(participant.Refusal{Reason: participant.ReasonCompensated, Detail: "its compensation came before it"})
	}
	if !sameJSON(r.input, b.call.Input) {
		return refused(participant.Refusal{Reason: participant.ReasonConflict, Detail: "this key was used with another input; what it did then stands"})
	}
	if r.status == declined {
		return refused(participant.Refusal{Reason: r.reason, Detail: r.detail})
	}
	return done(r.result)
}

// act runs the action for the first time.
func (b *barrier) act(ctx context.Context) (participant.Answer, error) {
	stores := b.op.Kind != participant.Retriable // a retriable step's refusal is not for good
	result, err := b.do(ctx)
	if refusal, ok := refusalOf(err); ok {
		if !stores {
			return participant.Answer{}, notKept{refused(refusal)}
		}
		return b.decline(ctx, refusal)
	}
	if err != nil {
		return participant.Answer{}, err
	}
	if err := b.settle(ctx, acted, result, participant.Refusal{}); err != nil {
		return participant.Answer{}, err
	}
	return done(result), b.emit(ctx, b.op.Success, "", result)
}

// decline undoes what the handler changed and stores its refusal.
func (b *barrier) decline(ctx context.Context, r participant.Refusal) (participant.Answer, error) {
	if b.guard != nil {
		if err := b.guard.undo(ctx); err != nil {
			return participant.Answer{}, err
		}
	}
	b.emitted.Store(false)
	if err := b.settle(ctx, declined, nil, r); err != nil {
		return participant.Answer{}, err
	}
	data, err := withdrawal(r)
	if err != nil {
		return participant.Answer{}, err
	}
	return refused(r), b.emit(ctx, b.op.Failure, "", data)
}

func (b *barrier) settle(ctx context.Context, s status, result []byte, r participant.Refusal) error {
	return b.change(ctx, b.p.sql.settle, int64(s), result, r.Reason, r.Detail, string(b.call.Saga), b.call.Step)
}

// change updates the row. It has to be there: a database that rolled the transaction back by itself (SQLite does, on some errors that a handler may have
// swallowed) must not be taken for success.
func (b *barrier) change(ctx context.Context, statement string, args ...any) error {
	n, err := b.tx.run(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("barrier: %w", err)
	}
	if n != 1 {
		return errors.New("barrier: its row is gone: the transaction was rolled back while the handler was working")
	}
	return nil
}

// overtake answers a compensation that is the first to come: the tombstone is its whole effect.
func (b *barrier) overtake() (participant.Answer, error) {
	if !isNull(b.call.Result) {
		return participant.Answer{}, notKept{refused(participant.Refusal{Reason: participant.ReasonForgotten,
			Detail: "the caller knows a result of the action, and nothing is known of the action here: pruned too early, or restored from an older backup"})}
	}
	return done(null()), nil
}

// undo answers a compensation whose row exists.
func (b *barrier) undo(ctx context.Context, r *row) (participant.Answer, error) {
	if r.status != acted {
		return participant.Answer{}, notKept{done(null())}
	}
	input := r.input
	if !isNull(b.call.Input) && !sameJSON(b.call.Input, input) {
		input = b.call.Input
	}
	_, err := b.p.handle(ctx, b, func(ctx context.Context, tx participant.Tx) ([]byte, error) {
		return nil, b.op.Undo(ctx, tx, input, r.result)
	})
	if refusal, ok := refusalOf(err); ok {
		return participant.Answer{}, notKept{refused(refusal)}
	}
	if err != nil {
		return participant.Answer{}, err
	}
	if err := b.change(ctx, b.p.sql.undone, int64(undone), b.now.UnixMicro(), string(b.call.Saga), b.call.Step); err != nil {
		return participant.Answer{}, err
	}
	data, err := withdrawal(participant.Refusal{Reason: participant.ReasonCompensated})
	if err != nil {
		return participant.Answer{}, err
	}
	return done(null()), b.emit(ctx, b.op.Undone, "", data)
}

// withdrawal is the data of the event that says that an action was refused or undone, in JSON.
func withdrawal(r participant.Refusal) ([]byte, error) {
	return json.Marshal(struct {
		Reason string `json:"reason"`
		Detail string `json:"detail"`
	}{r.Reason, r.Detail})
}
