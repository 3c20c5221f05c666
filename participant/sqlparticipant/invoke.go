package sqlparticipant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/participant"
)

// Transactions that others got in the way of are tried again here before the caller has to: they had no effect.
const (
	tries      = 4
	tryAfter   = 5 * time.Millisecond // about; doubled each time
	askAgainIn = 200 * time.Millisecond
)

// Invoke answers a call. For one saga and step, whatever the order, number and concurrency of calls:
//
//   - An action takes effect at most once. A repetition gets the stored answer, also a refusal; one that comes while the first is
//     still working waits for it. The same key with another input or operation is refused with participant.ReasonConflict.
//   - A compensation undoes an action that took effect, once, after waiting for one that is still working. If the
//     action was refused or never came there is nothing to undo: it is done, and an action that comes later is refused with
//     participant.ReasonCompensated. A repetition is done.
//   - Undo gets the action's stored input and result. If the call's own input is neither empty nor null and differs from the stored
//     one, Undo gets the call's: that is how an operator's replacement reaches the handler.
//   - A compensation that knows the action's result while there is no trace of the action is refused with
//     participant.ReasonForgotten.
//   - A handler's refusal rolls its changes back. Those of kind Compensatable, Pivot and ReadOnly with Stored are stored as the answer.
//     Those of a Retriable, of a compensation and of a ReadOnly without Stored are not: the handler runs again when asked again.
//   - A handler's *Postponement is participant.Unknown with what it says, with nothing changed.
//   - Any other error of a handler, a panic, and any error of the database is participant.Unknown, with nothing changed
//     unless the commit itself was cut off. A panic is logged with its stack.
//   - A handler's Prepare runs before the transaction, unless there is a stored answer. Calls of the same key do not wait for each
//     other's Prepare; the transaction then decides between them.
//   - A ReadOnly without Stored writes nothing; what its handler tries to write is an error.
//
// It returns when the context ends or the call's deadline passes, which is participant.Unknown.
func (p *Participant) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	op, err := p.operation(c)
	if err != nil {
		return unknown(err.Error())
	}
	if !c.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.Deadline)
		defer cancel()
	}
	if ctx.Err() != nil {
		return unknown("the time for this call had passed before it began")
	}
	c.Input, c.Result = orNull(c.Input), orNull(c.Result)
	ctx, err = p.prepare(participant.WithCall(ctx, c), op, c)
	var answer participant.Answer
	if err == nil {
		answer, err = p.try(ctx, op, c)
	}
	if err == nil {
		return answer
	}
	return p.unanswered(ctx, &c, err)
}

// unanswered is the answer of a call whose result is not known because of an error.
func (p *Participant) unanswered(ctx context.Context, c *participant.Call, err error) participant.Answer {
	var postponed *participant.Postponement
	if errors.As(err, &postponed) && postponed != nil {
		a := postponed.Answer()
		a.Detail = trim(a.Detail)
		return a
	}
	p.log.WarnContext(ctx, "call without a known result", "saga", c.Saga, "step", c.Step, "operation", c.Operation,
		"phase", c.Phase, "attempt", c.Attempt, "error", err)
	answer := unknown(c.Operation + ": " + err.Error())
	if passing(err) {
		answer.RetryAfter = askAgainIn
	}
	return answer
}

func (p *Participant) operation(c participant.Call) (*operation, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	op, ok := p.operations[c.Operation]
	if !ok {
		return nil, fmt.Errorf("%s does not serve %s; it serves %s", p.name, c.Operation, p.serves())
	}
	if op.phase != c.Phase {
		return nil, fmt.Errorf("%s is an operation for phase %q and was called for phase %q", c.Operation, op.phase, c.Phase)
	}
	return op, nil
}

func (p *Participant) serves() string {
	var names []string
	for _, o := range p.Operations() {
		names = append(names, o.Name)
	}
	return strings.Join(names, ", ")
}

// try makes the call in a transaction, and again in another one as long as somebody else gets in its way.
func (p *Participant) try(ctx context.Context, op *operation, c participant.Call) (answer participant.Answer, err error) {
	run := p.write
	if !op.stores() {
		run = p.read
	}
	wait := tryAfter
	for range tries {
		answer, err = run(ctx, op, c)
		if err == nil || !passing(err) {
			return answer, err
		}
		select {
		case <-time.After(rand.N(wait) + wait/2):
			wait *= 2
		case <-ctx.Done():
			return answer, err
		}
	}
	return answer, err
}

// notKept carries an answer out of a transaction that is to be rolled back.
type notKept struct{ answer participant.Answer }

func (notKept) Error() string { return "the answer is not stored" }

// write makes a call in one transaction with the barrier.
func (p *Participant) write(ctx context.Context, op *operation, c participant.Call) (answer participant.Answer, err error) {
	emitted := false
	err = p.transact(ctx, func(tx transaction) (bool, error) {
		b := barrier{p: p, tx: tx, op: op, call: c, now: p.now()}
		answer, err = b.answer(ctx)
		emitted = b.emitted.Load()
		return true, err
	})
	var un notKept
	if errors.As(err, &un) {
		return un.answer, nil
	}
	if err != nil {
		return participant.Answer{}, err
	}
	if emitted {
		p.wake()
	}
	return answer, nil
}

// alone waits until no other call of this process writes, where the database has one writer: queueing here is fair and quick, and the database's own
// waiting is neither. The caller calls release.
func (p *Participant) alone(ctx context.Context) (release func(), err error) {
	if p.writer == nil {
		return func() {}, nil
	}
	select {
	case p.writer <- struct{}{}:
		return func() { <-p.writer }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the database's one writer: %w", context.Cause(ctx))
	}
}

// writes are the options of transactions with a barrier. Read committed is what lets the loser of a race read the winner's row.
func (p *Participant) writes() *sql.TxOptions {
	if p.dialect == PostgreSQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

func unknown(detail string) participant.Answer {
	return participant.Answer{Class: participant.Unknown, Detail: trim(detail)}
}

func done(result []byte) participant.Answer {
	return participant.Answer{Class: participant.Done, Result: slices.Clone(result)}
}

func refused(r participant.Refusal) participant.Answer {
	return participant.Answer{Class: participant.Refused, Reason: r.Reason, Detail: r.Detail}
}
