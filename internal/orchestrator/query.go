package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Saga is what is durable of a saga.
type Saga struct {
	Summary store.Summary
	View    journal.View
}

// Get reads a saga. It shows what is durable: records that nothing waits for may be missing for a tenth of a second.
func (o *Orchestrator) Get(ctx context.Context, id journal.SagaID) (Saga, error) {
	s, v, err := o.find(ctx, id)
	return Saga{s, v}, err
}

// Events reads a saga's journal from after the given sequence number.
func (o *Orchestrator) Events(ctx context.Context, id journal.SagaID, after uint64) ([]journal.Event, error) {
	_, events, err := o.since(ctx, id, after)
	return events, err
}

func (o *Orchestrator) since(ctx context.Context, id journal.SagaID, after uint64) (s store.Summary, events []journal.Event, err error) {
	s, err = o.read(ctx, id, func(e journal.Event) error {
		if e.Seq > after {
			events = append(events, e)
		}
		return nil
	})
	return s, events, err
}

// Wait returns when the saga has its outcome, or with ctx's error. The saga goes on either way.
func (o *Orchestrator) Wait(ctx context.Context, id journal.SagaID) error {
	_, err := o.ended(ctx, id)
	return err
}

// Outcome waits as Wait does, and returns the saga as it is then. It reads the store only for a saga that was not at work in this process from its start on.
func (o *Orchestrator) Outcome(ctx context.Context, id journal.SagaID) (Saga, error) {
	r, err := o.ended(ctx, id)
	if err != nil {
		return Saga{}, err
	}
	if r != nil {
		if x, ok := r.saga(); ok {
			return x, nil
		}
	}
	return o.Get(ctx, id)
}

// ended waits for a saga's outcome. It returns the run, if it is still in memory.
func (o *Orchestrator) ended(ctx context.Context, id journal.SagaID) (*run, error) {
	r, err := o.begun(ctx, id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, o.waitStored(ctx, id)
	}
	o.Threads.Await(r.done, ctx.Done(), o.dead, o.halt)
	switch {
	case closed(r.done):
		return r, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case closed(o.dead):
		return nil, fmt.Errorf("%w: %w", ErrStopped, o.failed())
	}
	return nil, ErrStopped
}

// begun returns the run of a saga that is under way, or nil. It waits for a start to be decided: one that turns out to be a repeated
// one has another run, or none.
func (o *Orchestrator) begun(ctx context.Context, id journal.SagaID) (*run, error) {
	r := o.runs.get(id)
	if r == nil {
		return nil, nil
	}
	o.Threads.Await(r.begun, ctx.Done(), o.dead, nil)
	switch {
	case closed(r.begun):
		if r.startErr != nil {
			r = nil // somebody else's to find
		}
		return r, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("%w: %w", ErrStopped, o.failed())
}

// waitStored waits for a saga that is not in memory: it has ended, is not picked up yet, or nobody can go on with it.
func (o *Orchestrator) waitStored(ctx context.Context, id journal.SagaID) error {
	w := o.watchers.add(id)
	defer o.watchers.remove(id, w)
	for {
		s, err := o.summary(ctx, id)
		if err != nil || s.State.Ended() {
			return err
		}
		if r := o.runs.get(id); r != nil {
			return o.Wait(ctx, id)
		}
		if err := o.news(ctx, w); err != nil {
			return err
		}
	}
}

// summary reads a summary only.
func (o *Orchestrator) summary(ctx context.Context, id journal.SagaID) (store.Summary, error) {
	page, err := o.Store.List(ctx, store.Filter{ID: id, Limit: 1})
	if err != nil {
		return store.Summary{}, err
	}
	if len(page.Sagas) == 0 {
		return store.Summary{}, fmt.Errorf("saga %s: %w", id, store.ErrNotFound)
	}
	return page.Sagas[0], nil
}

// Watch hands the saga's events to yield, from after the given sequence number, as they become durable, until the outcome, with what was recorded after it by then, ctx's end or an
// error of yield. A slow receiver holds nobody up: events are read from the store when it is ready for them.
func (o *Orchestrator) Watch(ctx context.Context, id journal.SagaID, after uint64, yield func(journal.Event) error) error {
	w := o.watchers.add(id)
	defer o.watchers.remove(id, w)
	for {
		s, events, err := o.since(ctx, id, after)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := yield(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if s.State.Ended() {
			return nil
		}
		if err := o.news(ctx, w); err != nil {
			return err
		}
	}
}

// news waits until a watcher is told of something new.
func (o *Orchestrator) news(ctx context.Context, w <-chan struct{}) error {
	o.Threads.Await(w, ctx.Done(), o.halt, o.dead)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case closed(o.dead):
		return fmt.Errorf("%w: %w", ErrStopped, o.failed())
	case o.stopping():
		return ErrStopped
	}
	return nil
}

// Cancel asks for a saga to be turned back and returns when that is durable. It is an error once the saga has passed its pivot's
// intent or has ended; a saga that turns back already is left as it is.
func (o *Orchestrator) Cancel(ctx context.Context, id journal.SagaID, by, reason string) error {
	if err := errors.Join(journal.CheckText("name of who cancels", by), journal.CheckReason(reason)); err != nil {
		return err
	}
	return o.act(ctx, id, func(r *run) ([]machine.Command, error) {
		if err := r.m.Cancellable(&r.s); err != nil || r.s.Phase != machine.Running || r.s.Turning() {
			return nil, err
		}
		e := journal.Event{Kind: journal.CancelRequested, By: by, Detail: reason, Reason: machine.ReasonCancelled}
		return append(o.commands(), machine.Command{Do: machine.Record, Event: e}), nil
	})
}

// Resolution is an operator's decision about a step, or about the saga as a whole when Step is empty.
type Resolution struct {
	Step    string
	Verb    journal.Verb
	By      string
	Reason  string // required, except to retry
	Payload []byte // the new input (replace) or the result (done): JSON
}

// Check finds what keeps a decision from being kept, whatever the saga.
func (x *Resolution) Check() error {
	if err := errors.Join(journal.CheckText("name of who decides", x.By), journal.CheckReason(x.Reason)); err != nil {
		return err
	}
	if len(x.Payload) > journal.MaxPayload {
		return fmt.Errorf("%w: %d bytes, %d are allowed", ErrTooLarge, len(x.Payload), journal.MaxPayload)
	}
	if journal.TooDeep(x.Payload) {
		return fmt.Errorf("%w: it is nested deeper than the %d levels that are allowed", ErrTooLarge, journal.MaxDepth)
	}
	return nil
}

// Resolve applies an operator's decision and returns when it is durable, which is before anything follows from it.
func (o *Orchestrator) Resolve(ctx context.Context, id journal.SagaID, x Resolution) error {
	if err := x.Check(); err != nil {
		return err
	}
	e := journal.Event{Kind: journal.IncidentResolved, Step: x.Step, Verb: x.Verb, By: x.By, Detail: x.Reason, Payload: x.Payload}
	running := func(r *run) ([]machine.Command, error) {
		if r.s.Phase.Ended() { // what is open then is looked for in the journal
			return nil, machine.ErrEnded
		}
		e.Payload = r.m.Plan.KeptDecision(x.Step, x.Verb, x.Payload)
		return append(o.commands(), machine.Command{Do: machine.Record, Event: e}), r.m.Resolvable(&r.s, x.Verb, x.Step, e.Payload)
	}
	return o.anytime(ctx, id, running, func(v *journal.View) ([]journal.Event, error) {
		return []journal.Event{e}, machine.ResolvableAfterwards(v, x.Verb, x.Step)
	})
}

// act records what is decided about a saga that is under way, which may be nothing, and returns when that is durable.
func (o *Orchestrator) act(ctx context.Context, id journal.SagaID, decide func(*run) ([]machine.Command, error)) error {
	if !o.enter() {
		return ErrStopped
	}
	defer o.leave()
	r, err := o.driven(ctx, id)
	if err != nil {
		return err
	}
	told := make(chan struct{})
	var outcome error // set before told is closed
	r.mu.Lock()
	cmds, err := decide(r)
	if err != nil {
		r.mu.Unlock()
		return err
	}
	if len(cmds) == 0 { // what makes it needless may not be durable yet
		known := r.settled()
		r.mu.Unlock()
		return o.durable(ctx, known)
	}
	o.begin(r.advance(cmds, func(err error) {
		outcome = err
		close(told)
	}))
	r.mu.Unlock()
	if o.Threads.Await(told, ctx.Done(), nil, nil); !closed(told) {
		return ctx.Err()
	}
	return outcome
}

// durable waits until what the channel stands for is durable.
func (o *Orchestrator) durable(ctx context.Context, known <-chan struct{}) error {
	o.Threads.Await(known, ctx.Done(), o.dead, nil)
	switch {
	case closed(known):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrStopped, o.failed())
}

// driven returns the run of a saga, picking it up if recovery has not come to it yet.
func (o *Orchestrator) driven(ctx context.Context, id journal.SagaID) (*run, error) {
	for {
		if r, err := o.begun(ctx, id); r != nil || err != nil {
			return r, err
		}
		s, err := o.summary(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case s.Mode != journal.Orchestrated:
			return nil, fmt.Errorf("saga %s is %s: %w", id, s.Mode, store.ErrNotFound)
		case s.State.Ended():
			return nil, machine.ErrEnded
		}
		if err := o.recover(ctx, &s); err != nil { // somebody else may be at it: then it is waited for
			return nil, err
		}
	}
}

// List lists sagas from the store.
func (o *Orchestrator) List(ctx context.Context, f store.Filter) (store.Page, error) {
	return o.Store.List(ctx, f)
}

// watchers tells those who watch a saga that something new is durable. A notice that finds one pending is dropped: the watcher reads everything
// that is new.
type watchers struct {
	mu  sync.Mutex
	all map[journal.SagaID]map[chan struct{}]struct{}
}

func (x *watchers) add(id journal.SagaID) chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all == nil {
		x.all = make(map[journal.SagaID]map[chan struct{}]struct{})
	}
	if x.all[id] == nil {
		x.all[id] = make(map[chan struct{}]struct{})
	}
	w := make(chan struct{}, 1)
	x.all[id][w] = struct{}{}
	return w
}

func (x *watchers) remove(id journal.SagaID, w chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.all[id], w)
	if len(x.all[id]) == 0 {
		delete(x.all, id)
	}
}

func (x *watchers) notify(id journal.SagaID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for w := range x.all[id] {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}
