package sqlparticipant

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/participant"
)

// work is what somebody does in a transaction. It returns whether there is something to commit; after an error there is not. It may be called again, in another transaction, when
// this one came to nothing.
type work func(tx transaction) (changed bool, err error)

// safely does work; a panic in it becomes an error, so that it takes neither the one writer nor what shares the transaction with it.
func (w work) safely(tx transaction) (changed bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			changed, err = false, fmt.Errorf("panic: %v", p)
		}
	}()
	return w(tx)
}

// transact does work in a transaction and returns when it is durable. Where the database has one writer, work that waits for it shares one transaction: each in a savepoint of its
// own, so that what one of them does or fails to do does not touch the others, and one sync of the disk for all.
func (p *Participant) transact(ctx context.Context, do work) error {
	if p.writer == nil {
		return p.single(ctx, do)
	}
	if p.lone.Load() >= loneAfter {
		select {
		case p.writer <- struct{}{}: // nobody is there to share it with
			defer func() { <-p.writer }()
			return p.single(ctx, do)
		default:
			p.lone.Store(0)
		}
	}
	j := &shared{ctx: ctx, do: do, done: make(chan struct{})}
	if p.queue.add(j) {
		go p.lead()
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("waiting for the database's one writer: %w", context.Cause(ctx))
		}
		<-j.done // somebody is at it
		return j.err
	}
}

// shared is work that waits for the one writer.
type shared struct {
	ctx   context.Context //nolint:containedctx // it is the waiting caller's
	do    work
	taken atomic.Bool // by a leader, or back by its caller
	err   error
	done  chan struct{}
}

func (j *shared) finish(err error) {
	j.err = err
	close(j.done)
}

// queue is the work that waits, in the order of coming.
type queue struct {
	mu   sync.Mutex
	jobs []*shared
	led  bool          // a leader is there
	more chan struct{} // has an element when there may be work
}

// add says whether there is no leader, so that the caller has to send one.
func (q *queue) add(j *shared) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.jobs = append(q.jobs, j)
	if !q.led {
		q.led = true
		return true
	}
	select {
	case q.more <- struct{}{}:
	default:
	}
	return false
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.jobs) == 0
}

// leave says whether the leader may go: nothing waits. From then on there is none.
func (q *queue) leave() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.led = len(q.jobs) > 0
	return !q.led
}

// groupMost bounds what shares a transaction: all of it waits for the slowest.
const groupMost = 64

// take takes out what is next.
func (q *queue) take() (batch []*shared) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) > 0 && len(batch) < groupMost {
		if j := q.jobs[0]; j.taken.CompareAndSwap(false, true) {
			batch = append(batch, j)
		}
		q.jobs[0] = nil
		q.jobs = q.jobs[1:]
	}
	return batch
}

// lead does what waits, as the one writer, and goes when nothing has come for a while. All work that shares transactions is done in this goroutine: SQLite needs a deep stack, which grows anew in each goroutine that needs it, and shrinks again in those that rest. It owns nothing while it rests, and what is under way somebody waits for.
func (p *Participant) lead() {
	idle := time.NewTimer(leadFor)
	defer idle.Stop()
	for worked := false; ; {
		for p.turn() {
			worked = true
		}
		select {
		case <-p.queue.more:
		case <-idle.C:
			if !worked && p.queue.leave() {
				return
			}
			worked = false
			idle.Reset(leadFor)
		}
	}
}

// loneAfter is after how much work in a row that had nobody to share its transaction with the next does it where it is asked for: the leader need not be woken, and wakes nobody, a twentieth of a saga's time where
// there is one. As soon as somebody else is at it the leader is back: those who are ready would pass by each other, and share far less.
const loneAfter = 32

// leadFor is how long at least a leader stays that has nothing to do.
const leadFor = 100 * time.Millisecond

// turn does what waits, as far as it shares a transaction, and says whether there was anything.
func (p *Participant) turn() bool {
	if p.queue.empty() { // without the writer, which somebody else may want
		return false
	}
	runtime.Gosched() // those that are ready to run, and about to ask for a transaction, share this one; if nobody is, this costs nothing
	p.writer <- struct{}{}
	defer func() { <-p.writer }()
	batch := p.queue.take()
	switch len(batch) {
	case 0:
	case 1:
		p.lone.Add(1)
	default:
		p.lone.Store(0)
	}
	if len(batch) > 1 && p.together(batch) {
		return true
	}
	for _, j := range batch { // alone, or because one of them took the transaction down with it
		j.finish(p.single(j.ctx, j.do))
	}
	return len(batch) > 0
}

// together does work in one transaction. It is false if that was rolled back as a whole before its commit: then nothing was done.
func (p *Participant) together(batch []*shared) bool {
	ctx := context.Background() // no caller's time is the time of all
	tx, err := p.begin(ctx, p.writes())
	if err != nil {
		return false
	}
	defer rollback(tx)
	durable := false
	end, err := p.settle(ctx, tx) // first, so that ledgers that are read have it
	defer func() { end(durable) }()
	if err != nil {
		return false
	}
	errs, changed := make([]error, len(batch)), make([]bool, len(batch))
	for i, j := range batch {
		if changed[i], errs[i] = p.inSavepoint(ctx, tx, j); errors.Is(errs[i], errBroken) {
			return false
		}
	}
	for i, j := range batch {
		if changed[i] && awaitCause(j.ctx) != nil {
			return false // it is nobody else's business
		}
	}
	if slices.Contains(changed, true) {
		err := p.commit(tx)
		durable = err == nil
		for i := range errs {
			if err != nil {
				errs[i] = err
			}
		}
	}
	for i, j := range batch {
		j.finish(errs[i])
	}
	return true
}

// errBroken says that a savepoint could not be ended: the database rolled the whole transaction back, as SQLite does on some errors.
var errBroken = errors.New("the transaction was rolled back")

func (p *Participant) inSavepoint(ctx context.Context, tx transaction, j *shared) (bool, error) {
	if err := j.ctx.Err(); err != nil {
		return false, fmt.Errorf("waiting for the database's one writer: %w", context.Cause(j.ctx))
	}
	if _, err := tx.run(ctx, savepointShared); err != nil {
		return false, errBroken
	}
	changed, err := j.do.safely(tx)
	if err == nil && j.ctx.Err() != nil { // whoever waits for it is gone: leave nothing behind
		err = fmt.Errorf("before committing: %w", context.Cause(j.ctx))
	}
	if err != nil || !changed {
		if _, err := tx.run(ctx, rollbackShared); err != nil {
			return false, errBroken
		}
	}
	if _, err := tx.run(ctx, releaseShared); err != nil {
		return false, errBroken
	}
	return changed && err == nil, err
}

// single does work in a transaction of its own.
func (p *Participant) single(ctx context.Context, do work) error {
	if ctx.Err() != nil {
		return fmt.Errorf("beginning a transaction: %w", context.Cause(ctx))
	}
	tx, err := p.begin(ctx, p.writes())
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer rollback(tx)
	durable := false
	if p.writer != nil { // elsewhere its locks would hold other sagas up until this one is done
		end, err := p.settle(ctx, tx) // first, so that a ledger that is read has it
		defer func() { end(durable) }()
		if err != nil {
			return err
		}
	}
	changed, err := do.safely(tx)
	if err != nil || !changed {
		return err
	}
	if ctx.Err() != nil { // whoever waits for it is gone: leave nothing behind
		return fmt.Errorf("before committing: %w", context.Cause(ctx))
	}
	if err := awaitCause(ctx); err != nil {
		return err
	}
	err = p.commit(tx)
	durable = err == nil
	return err
}

// awaitCause waits until what a context's work follows from is durable, as long as a transaction that others wait for may be kept open.
func awaitCause(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, causeWait)
	defer cancel()
	if err := participant.AwaitCause(ctx); err != nil {
		return fmt.Errorf("before committing: what it follows from is not durable: %w", err)
	}
	return nil
}

// causeWait is longer than a disk takes that works.
const causeWait = 5 * time.Second

func (p *Participant) commit(tx transaction) error {
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	p.commits.Add(1)
	return nil
}

// lasting is the context without its end on SQLite, where statements are short, and an interrupted one takes the whole transaction with it, which others share; a server elsewhere may hang.
func (p *Participant) lasting(ctx context.Context) context.Context {
	if p.dialect == SQLite {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// The savepoints: of work that shares a transaction, of a call in it, and of what a handler does.
const (
	savepointShared  = `SAVEPOINT skald_shared`
	rollbackShared   = `ROLLBACK TO SAVEPOINT skald_shared`
	releaseShared    = `RELEASE SAVEPOINT skald_shared`
	savepointCall    = `SAVEPOINT skald_call`
	rollbackCall     = `ROLLBACK TO SAVEPOINT skald_call`
	savepointHandler = `SAVEPOINT skald_handler`
	rollbackHandler  = `ROLLBACK TO SAVEPOINT skald_handler`
	releaseHandler   = `RELEASE SAVEPOINT skald_handler`
)

// Settle implements participant.Desk: the next commit writes it.
func (p *Participant) Settle(tokens []participant.Token) {
	p.settling.Lock()
	defer p.settling.Unlock()
	p.settled = append(p.settled, tokens...)
}

// settle writes what was settled meanwhile. The caller says in the end whether that is durable; otherwise the next transaction does it.
func (p *Participant) settle(ctx context.Context, tx transaction) (end func(durable bool), err error) {
	p.settling.Lock()
	all := p.settled
	p.settled = nil
	p.settling.Unlock()
	end = func(durable bool) {
		if !durable && len(all) > 0 {
			p.Settle(all)
		}
	}
	for i := range all {
		if _, err := tx.run(ctx, p.sql.heard, p.name, string(all[i].Saga), all[i].Step, string(all[i].Direction()), string(all[i].Kind)); err != nil {
			return end, fmt.Errorf("settling token %s: %w", all[i].ID, err)
		}
	}
	return end, nil
}

// settleNow writes what was settled in a transaction of its own.
func (p *Participant) settleNow(ctx context.Context) error {
	p.settling.Lock()
	behind := len(p.settled) > 0
	p.settling.Unlock()
	if !behind {
		return nil
	}
	return p.transact(ctx, func(tx transaction) (bool, error) {
		if p.writer != nil {
			return true, nil // as every transaction does
		}
		end, err := p.settle(ctx, tx)
		if err != nil {
			end(false)
		}
		return true, err // if the commit fails, the relay tells the tokens again
	})
}
