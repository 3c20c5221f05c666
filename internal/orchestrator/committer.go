package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/store"
)

// committer writes the records of all sagas in order, as many as there are in one commit. A saga's records that wait are one append. What nothing
// waits for lingers a moment for company; what somebody waits for is committed at once, or right after the commit under way.
type committer struct {
	o *Orchestrator

	mu     sync.Mutex
	queue  []*pending
	urgent bool
	busy   bool        // a goroutine is committing
	linger func() bool // stops the timer; nil without one
	idle   sync.Cond   // signalled when busy ends
}

// pending is one saga's next append and who is told of it.
type pending struct {
	run    *run // nil for a saga that this coordinator cannot drive
	append store.Append
	told   []func(error) // called once, after the commit or its failure
}

func newCommitter(o *Orchestrator) *committer {
	c := &committer{o: o}
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
		p = &pending{run: r, append: store.Append{New: r.fresh, From: r.committed + 1}}
		r.queued, r.fresh = p, false
		c.queue = append(c.queue, p)
	}
	p.append.Records = append(p.append.Records, records...)
	p.append.Summary = r.summary
	if told != nil {
		p.told = append(p.told, told)
	}
	r.committed = r.summary.Seq
	c.urgent = c.urgent || urgent || told != nil
	c.wake()
}

// hurry commits what lingers: something waits for it now.
func (c *committer) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.urgent = true
	c.wake()
}

// queueOrphan queues a record of a saga that this coordinator cannot drive.
func (c *committer) queueOrphan(a store.Append) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, &pending{append: a})
	c.wake()
}

// wake starts what is needed to get the queue committed. The lock is held.
func (c *committer) wake() {
	if c.busy || len(c.queue) == 0 {
		return
	}
	if c.urgent {
		if c.linger != nil {
			c.linger()
			c.linger = nil
		}
		c.busy = true
		c.o.Threads.Go(c.run)
		return
	}
	if c.linger == nil {
		c.linger = c.o.Clock.AfterFunc(c.o.Linger, c.lingered)
	}
}

// lingered commits what waited for company.
func (c *committer) lingered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.linger, c.urgent = nil, true
	c.wake()
}

// run commits until nothing urgent is left.
func (c *committer) run() {
	for {
		c.mu.Lock()
		if len(c.queue) == 0 || !c.urgent {
			c.busy = false
			c.wake()
			c.idle.Broadcast()
			c.mu.Unlock()
			return
		}
		batch := c.queue
		c.queue, c.urgent = nil, false
		for _, p := range batch {
			if p.run != nil {
				p.run.queued = nil
			}
		}
		c.mu.Unlock()
		c.commit(batch)
	}
}

func (c *committer) commit(batch []*pending) {
	appends := make([]store.Append, 0, len(batch))
	kept := batch[:0]
	for _, p := range batch {
		if p.run != nil && p.run.rejected != nil { // its start was rejected by an earlier commit
			p.tell(p.run.rejected)
			continue
		}
		appends, kept = append(appends, p.append), append(kept, p)
	}
	if len(kept) == 0 {
		return
	}
	began := c.o.Clock.Now()
	rejected, err := c.write(appends)
	c.o.Observer.Committed(len(kept), c.o.Clock.Now().Sub(began))
	for i, p := range kept {
		switch {
		case err != nil:
			p.tell(err)
		case rejected != nil && rejected[i] != nil:
			c.reject(p, rejected[i])
		default:
			p.tell(nil)
			if p.run != nil {
				p.run.committedTo(p.append.Summary.Seq)
			}
			c.o.watchers.notify(p.append.Summary.ID)
		}
	}
}

// reject takes in that one append was not written. For a start that is an answer; anything else means that somebody else wrote
// to the saga, and this coordinator no longer knows what is true.
func (c *committer) reject(p *pending, err error) {
	switch {
	case p.run == nil: // its incident was opened twice at once; the first stands
	case p.append.New:
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

// drain commits everything that is queued and waits for it.
func (c *committer) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.busy || len(c.queue) > 0 {
		c.urgent = true
		c.wake()
		if c.busy {
			c.idle.Wait()
		}
	}
}

// backlog counts the sagas whose records wait for a commit.
func (c *committer) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}
