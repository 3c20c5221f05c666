package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/store"
)

// committer writes the records of each saga in order, those of many sagas in one commit. A saga's records that wait are one append. What nothing waits for lingers a while for
// company, which mostly is the saga's own next record that something waits for. That is committed at once, or right after the commit under way; while many sagas are at work it, too,
// waits for others, for a moment.
type committer struct {
	o *Orchestrator

	mu       sync.Mutex
	queue    []*pending // in the order in which they began to wait
	urgent   int        // of those, how many something waits for
	since    time.Time  // when the first of them became urgent
	busy     bool       // the committing goroutine is at work, or has been told to be
	draining bool
	at       time.Time   // when the timer fires
	timer    func() bool // stops it; nil without one
	idle     sync.Cond   // signalled when busy ends
	spare    []*pending  // appends to be used again

	work  chan struct{} // has room for one: tells the committing goroutine that something is due
	quit  chan struct{} // closed to end it
	ended chan struct{} // closed when it has

	appends []store.Append // of the commit under way; used by the committing goroutine only
}

// pending is one saga's next append and who is told of it.
type pending struct {
	run    *run // nil for an addition
	append store.Append
	told   []func(error) // called once, after the commit or its failure
	since  time.Time     // when it was queued
	urgent bool          // something waits for it
}

func newCommitter(o *Orchestrator) *committer {
	c := &committer{o: o, work: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	c.idle.L = &c.mu
	return c
}

// add queues records of a saga that continue what it queued before; urgent ones are waited for. The run's lock is held, which keeps its
// records in order.
func (c *committer) add(r *run, records []byte, urgent bool, told func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := r.queued
	if p == nil {
		p = c.begin(r, records)
	} else { // of a journal that is kept in memory the room behind holds these very records already
		p.append.Records = append(p.append.Records, records...)
	}
	p.append.Summary = r.summary
	if told != nil {
		p.told = append(p.told, told)
	}
	r.committed = r.summary.Seq
	if urgent || told != nil {
		c.hasten(p)
	}
	c.wake()
}

// begin queues a saga's next append. The lock is held.
func (c *committer) begin(r *run, records []byte) *pending {
	p := &pending{}
	if last := len(c.spare) - 1; last >= 0 {
		p, c.spare = c.spare[last], c.spare[:last]
	}
	p.run, p.since = r, c.o.Clock.Now()
	p.append = store.Append{New: r.fresh, From: r.committed + 1, Records: records}
	r.queued, r.fresh = p, false
	c.queue = append(c.queue, p)
	return p
}

// hurry commits what a saga has queued: something waits for it now. What it does not have queued is committed already, or is being committed.
func (c *committer) hurry(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.queued != nil {
		c.hasten(r.queued)
		c.wake()
	}
}

// hasten makes a queued append urgent. The lock is held.
func (c *committer) hasten(p *pending) {
	if p.urgent {
		return
	}
	p.urgent = true
	if c.urgent++; c.urgent == 1 {
		c.since = c.o.Clock.Now()
	}
}

// addTo queues records of a saga that has no run; urgent ones are waited for.
func (c *committer) addTo(a store.Append, urgent bool, told func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &pending{append: a, told: []func(error){told}, since: c.o.Clock.Now()}
	c.queue = append(c.queue, p)
	if urgent {
		c.hasten(p)
	}
	c.wake()
}

// crowd is how many sagas must be at work for urgent records to wait for each other. With fewer, hardly any would come.
const crowd = 16

// due is when the next commit is to begin. The lock is held, and the queue is not empty.
func (c *committer) due() time.Time {
	switch {
	case c.draining:
		return time.Time{}
	case c.urgent == 0:
		return c.queue[0].since.Add(c.o.Linger)
	}
	if working := int(c.o.active.Load()); working < crowd || c.urgent >= working {
		return c.since
	}
	return c.since.Add(c.o.Gather)
}

// wake sees to it that the queue is committed when it is due. The lock is held.
func (c *committer) wake() {
	if c.busy || len(c.queue) == 0 {
		return
	}
	due := c.due()
	wait := due.Sub(c.o.Clock.Now())
	switch {
	case wait <= 0:
		c.disarm()
		c.busy = true
		c.work <- struct{}{}
	case c.timer == nil || due.Before(c.at):
		c.disarm()
		c.at, c.timer = due, c.o.Clock.AfterFunc(wait, c.fired)
	}
}

func (c *committer) disarm() {
	if c.timer != nil {
		c.timer()
		c.timer = nil
	}
}

// fired commits what waited for company.
func (c *committer) fired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	c.wake()
}

// run commits what is due until it is told to end. It is one goroutine for all commits: what a store needs of stack is not grown anew for each.
func (c *committer) run() {
	defer close(c.ended)
	for !closed(c.quit) {
		c.o.Threads.Await(c.work, c.quit, nil, nil)
		for batch := c.next(); len(batch) > 0; batch = c.next() {
			c.commit(batch)
		}
	}
}

// next is what is to be committed now. If that is nothing the committing goroutine has no work until it is told.
func (c *committer) next() []*pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 && !c.due().After(c.o.Clock.Now()) {
		return c.take()
	}
	c.busy = false
	c.wake()
	c.idle.Broadcast()
	return nil
}

// take removes from the queue what is to be committed now: what is urgent and what has lingered, or everything if nothing is urgent. The lock is held.
func (c *committer) take() []*pending {
	batch, rest := c.queue, []*pending(nil)
	if c.urgent > 0 && !c.draining {
		lingered := c.o.Clock.Now().Add(-c.o.Linger)
		batch = make([]*pending, 0, len(c.queue))
		for _, p := range c.queue {
			if p.urgent || !p.since.After(lingered) {
				batch = append(batch, p)
			} else {
				rest = append(rest, p)
			}
		}
	}
	for _, p := range batch {
		if p.run != nil {
			p.run.queued = nil
		}
	}
	c.queue, c.urgent = rest, 0
	return batch
}

func (c *committer) commit(batch []*pending) {
	c.appends = c.appends[:0]
	kept := batch[:0]
	for _, p := range batch {
		if p.run != nil && p.run.rejected != nil { // its start was rejected by an earlier commit
			p.tell(p.run.rejected)
			continue
		}
		c.appends, kept = append(c.appends, p.append), append(kept, p)
	}
	if len(kept) == 0 {
		return
	}
	began := c.o.Clock.Now()
	rejected, err := c.write(c.appends)
	c.o.Observer.Committed(len(kept), c.o.Clock.Now().Sub(began))
	clear(c.appends)
	for i, p := range kept {
		switch {
		case err != nil:
			p.tell(err)
		case rejected != nil && rejected[i] != nil:
			c.reject(p, rejected[i])
		default:
			if p.append.New {
				c.o.low.Store(false)
			}
			p.tell(nil)
			if p.run != nil {
				p.run.committedTo(p.append.Summary.Seq)
			}
			c.o.watchers.notify(p.append.Summary.ID)
		}
	}
	c.reuse(kept)
}

// reuse takes appends back that are written and told of.
func (c *committer) reuse(batch []*pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range batch {
		clear(p.told)
		*p = pending{told: p.told[:0]}
	}
	c.spare = append(c.spare, batch[:min(len(batch), maxSpare-len(c.spare))]...)
}

// maxSpare bounds the appends that are kept to be used again.
const maxSpare = 256

// reject takes in that one append was not written. For a start that is an answer; anything else means that somebody else wrote
// to the saga, and this coordinator no longer knows what is true.
func (c *committer) reject(p *pending, err error) {
	switch {
	case p.run == nil: // the saga was pruned meanwhile, or its incident was opened twice at once and the first stands
	case p.append.New:
		if errors.Is(err, store.ErrFull) {
			if !c.o.low.Swap(true) {
				c.o.Logger.Error("the store has hardly any room and keeps it for sagas under way; starts are refused until there is more", "error", err)
			}
			err = fmt.Errorf("%w (%w)", noRoom(), err)
		}
		p.run.rejected = err
	default:
		c.o.fail(fmt.Errorf("saga %s: %w", p.append.Summary.ID, err))
	}
	p.tell(err)
}

func (p *pending) tell(err error) {
	for _, f := range p.told {
		f(err)
	}
}

// write commits, again and again while there is no room: nothing was written then, and nothing may be lost. Any other error
// leaves it open what was written, so that only a restart, which reads it, can go on.
func (c *committer) write(appends []store.Append) ([]error, error) {
	if err := c.o.failed(); err != nil {
		return nil, err
	}
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		rejected, err := c.o.Store.Commit(context.WithoutCancel(c.o.ctx), c.o.epoch, appends)
		if err == nil {
			c.o.full.Store(false)
			return rejected, nil
		}
		if !errors.Is(err, store.ErrFull) || c.o.stopping() {
			c.o.fail(err)
			return nil, err
		}
		if !c.o.full.Swap(true) {
			c.o.Logger.Error("the store has no room; starts are refused until it has", "error", err)
		}
		c.o.pause(pause)
	}
}

// drain commits everything that is queued, waits for it and ends the committing goroutine.
func (c *committer) drain() {
	c.mu.Lock()
	c.draining = true
	for c.busy || len(c.queue) > 0 {
		c.wake()
		c.idle.Wait()
	}
	c.mu.Unlock()
	close(c.quit)
	<-c.ended
}

// backlog counts the sagas whose records wait for a commit.
func (c *committer) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}
