package sqlparticipant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

var _ participant.Desk = (*Participant)(nil)

// takes bounds how often one Take begins anew: for what had to be done outside its transaction, and for transactions that others got in the way of.
const takes = 10

// Take implements participant.Desk: what was heard, the barrier, the handler's change, its events and the tokens that follow are one transaction.
func (p *Participant) Take(ctx context.Context, saga journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	t := taking{p: p, saga: saga, heard: heard, next: next}
	defer t.end()
	t.guess(ctx)
	wait := tryAfter
	for try := range takes {
		taken, err := t.once(ctx)
		var outside needsOutside
		var way inTheWay
		switch {
		case err == nil:
			return taken, nil
		case errors.As(err, &outside):
			if err := participant.AwaitCause(ctx); err != nil { // others may see what is prepared
				return participant.Taken{}, fmt.Errorf("sqlparticipant: saga %s: what it follows from is not durable: %w", saga, err)
			}
			t.outside(ctx, outside)
		case errors.As(err, &way) && try >= tries: // then it counts as an attempt, as it does when the call comes on another way
			t.outside(ctx, needsOutside(way))
		case !passing(err):
			return participant.Taken{}, fmt.Errorf("sqlparticipant: saga %s: %w", saga, err)
		default:
			pause(ctx, wait)
			wait *= 2
		}
		if ctx.Err() != nil {
			return participant.Taken{}, fmt.Errorf("sqlparticipant: saga %s: %w", saga, context.Cause(ctx))
		}
	}
	return participant.Taken{}, fmt.Errorf("sqlparticipant: saga %s changed while its work was prepared, %d times in a row; take again", saga, takes)
}

// taking is one Take.
type taking struct {
	p     *Participant
	saga  journal.SagaID
	heard []participant.Token
	next  func(participant.Ledger) (participant.Work, bool)
	ready *ready

	cancels []context.CancelFunc
}

// ready is what was done outside the transaction for a call.
type ready struct {
	key    string
	ctx    context.Context // of Do, after Prepare
	answer *participant.Answer
	guess  []byte // the input, of a call that was made on a guess; otherwise nil
}

// fits says whether it was done for a call.
func (r *ready) fits(c *participant.Call) bool {
	return r.key == c.Key() && (r.guess == nil || bytes.Equal(r.guess, c.Input))
}

// guessFor is how old the last of what was heard may be for a guess.
const guessFor = 5 * time.Second

// guess makes a call that stores nothing before anything is known but what was heard, if that is all it seems to wait for. Mostly it is, and saves a transaction that is begun only to find it out;
// otherwise something was read in vain.
func (t *taking) guess(ctx context.Context) {
	if len(t.heard) == 0 || t.p.now().Sub(t.heard[len(t.heard)-1].Time) > guessFor { // one that comes again may have been dealt with long ago
		return
	}
	w, ok := t.next(participant.Ledger{Heard: t.heard})
	if !ok || w.Call.Operation == "" || w.Expire {
		return
	}
	if op, err := t.p.operation(w.Call); err != nil || op.stores() || op.Prepare != nil && participant.AwaitCause(ctx) != nil {
		return
	}
	t.outside(ctx, needsOutside{work: w})
	t.ready.guess = orNull(w.Call.Input)
}

// needsOutside ends a transaction because something has to be done outside it first.
type needsOutside struct {
	work participant.Work
	err  error // of a handler; nil if it has not been asked
}

// inTheWay is an error of a call that goes away by itself within moments, or seems to.
type inTheWay struct {
	work participant.Work
	err  error
}

func (e inTheWay) Error() string { return e.err.Error() }

func (e inTheWay) Unwrap() error { return e.err }

func (needsOutside) Error() string { return "something has to be done outside the transaction first" }

func (t *taking) end() {
	for _, cancel := range t.cancels {
		cancel()
	}
}

// once takes in one transaction.
func (t *taking) once(ctx context.Context) (taken participant.Taken, err error) {
	emitted := false
	err = t.p.transact(ctx, func(tx transaction) (changed bool, err error) {
		l := ledger{p: t.p, tx: tx, now: t.p.now()}
		known, fresh, err := l.read(ctx, t.saga, t.heard)
		if err != nil {
			return false, err
		}
		work, ok := t.next(known)
		if !ok {
			return len(fresh) > 0, l.tokens(ctx, t.saga, fresh, nil)
		}
		taken, emitted, err = t.work(ctx, &l, &known, fresh, work)
		return true, err
	})
	if err != nil {
		return participant.Taken{}, err
	}
	if emitted {
		t.p.wake()
	}
	return taken, nil
}

// work carries a piece of work out and writes what comes of it, and what was heard and is new.
func (t *taking) work(ctx context.Context, l *ledger, known *participant.Ledger, fresh []entry, w participant.Work) (taken participant.Taken, emitted bool, err error) {
	var answer participant.Answer
	if w.Call.Operation != "" {
		if answer, emitted, err = t.answer(ctx, l, w); err != nil {
			return taken, false, err
		}
	}
	taken = participant.Taken{Worked: true, Step: w.Call.Step, Entry: w.Then(answer)}
	return taken, emitted, l.write(ctx, t.saga, known, fresh, &taken.Entry)
}

// answer makes the call in the transaction. It returns needsOutside if that cannot be.
func (t *taking) answer(ctx context.Context, l *ledger, w participant.Work) (participant.Answer, bool, error) {
	c := w.Call
	c.Input, c.Result = orNull(c.Input), orNull(c.Result)
	if t.ready != nil && !t.ready.fits(&c) {
		t.ready = nil
	}
	if t.ready != nil && t.ready.answer != nil {
		return *t.ready.answer, false, nil
	}
	op, err := t.p.operation(c)
	if err != nil {
		return participant.Answer{}, false, needsOutside{w, err}
	}
	if outside := !op.stores() || op.Prepare != nil && op.phase == participant.Action; outside && t.ready == nil && !w.Expire {
		return participant.Answer{}, false, needsOutside{work: w}
	}
	if t.ready == nil {
		t.prepared(ctx, c)
	}
	// Actions that store their answers write only what is kept, or nothing: what is there already stays as it is.
	guard := op.phase == participant.Compensation || op.Kind == participant.Retriable
	if guard {
		if _, err := l.tx.run(ctx, savepointCall); err != nil {
			return participant.Answer{}, false, err
		}
	}
	b := barrier{p: t.p, tx: l.tx, op: op, call: c, now: l.now}
	var answer participant.Answer
	if w.Expire {
		answer, err = b.expire(t.ready.ctx)
	} else {
		answer, err = b.answer(t.ready.ctx)
	}
	var un notKept
	switch {
	case err == nil:
		return answer, b.emitted.Load(), nil
	case errors.As(err, &un):
		if guard {
			_, err = l.tx.run(ctx, rollbackCall)
			return un.answer, false, err
		}
		return un.answer, false, nil
	case passing(err):
		return answer, false, inTheWay{w, err}
	}
	return answer, false, needsOutside{w, err}
}

// prepared begins the time that a call has.
func (t *taking) prepared(ctx context.Context, c participant.Call) {
	t.ready = &ready{key: c.Key(), ctx: participant.WithCall(ctx, c)}
	if !c.Deadline.IsZero() {
		var cancel context.CancelFunc
		t.ready.ctx, cancel = context.WithDeadline(t.ready.ctx, c.Deadline)
		t.cancels = append(t.cancels, cancel)
	}
}

// outside does what a call needs outside the transaction: what its handler prepares or reads, or the note that it failed.
func (t *taking) outside(ctx context.Context, need needsOutside) {
	c := need.work.Call
	c.Input, c.Result = orNull(c.Input), orNull(c.Result)
	t.prepared(ctx, c)
	op, err := t.p.operation(c)
	switch {
	case err != nil:
	case need.err != nil:
		err = need.err
	case !op.stores():
		t.ready.ctx, err = t.p.prepare(t.ready.ctx, op, c)
		if err == nil {
			var answer participant.Answer
			answer, err = t.p.read(t.ready.ctx, op, c)
			t.ready.answer = &answer
		}
	default:
		t.ready.ctx, err = t.p.prepare(t.ready.ctx, op, c)
	}
	if err == nil {
		return
	}
	answer := t.p.unanswered(ctx, &c, err)
	t.ready.answer = &answer
}

// expire makes sure that an action never takes effect, unless it has been answered already.
func (b *barrier) expire(ctx context.Context) (participant.Answer, error) {
	r, err := b.claim(ctx, tombstone)
	switch {
	case err != nil:
		return participant.Answer{}, fmt.Errorf("barrier: %w", err)
	case r == nil:
		return refused(participant.Refusal{Reason: participant.ReasonCompensated, Detail: "its time had passed before it was asked"}), nil
	}
	return participant.Answer{}, notKept{b.repeat(r)}
}
