package orchestrator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Request asks for a saga.
type Request struct {
	ID         journal.SagaID // empty: one is made
	Definition string
	Version    string // empty: the latest registered
	Input      []byte // JSON
	Key        string // business key
	Trace      string // W3C traceparent of the caller
}

// Start begins a saga and returns when it is durable. A saga with the same id and input that exists already is returned as it is (existed is true); with
// another input or definition the error is ErrConflict. If ctx ends first, the saga may or may not exist; asking again with
// the same id is safe.
func (o *Orchestrator) Start(ctx context.Context, q Request) (id journal.SagaID, existed bool, err error) {
	m, err := o.accept(&q)
	if err != nil {
		return q.ID, false, err
	}
	if !o.enter() {
		return q.ID, false, ErrStopped
	}
	defer o.leave()
	r := &run{
		o: o, m: m, trace: q.Trace, fresh: true, starting: true, whole: true, done: make(chan struct{}), begun: make(chan struct{}),
		summary: store.Summary{ID: q.ID, Chain: journal.FirstChain(q.ID)},
	}
	r.mu.Lock() // nobody who finds it may look before it has begun
	if old := o.runs.add(r); old != nil {
		r.mu.Unlock()
		r, existed = old, true
	} else {
		r.kept, r.unseen = make([]byte, 0, 1<<10), make([]journal.Event, 0, 2) // as much as most have
		o.begin(r.advance(append(o.commands(), started(m, q, o.epoch, o.now())), r.began))
		r.mu.Unlock()
	}
	if o.Threads.Await(r.begun, ctx.Done(), nil, nil); !closed(r.begun) {
		return q.ID, existed, ctx.Err()
	}
	switch {
	case errors.Is(r.startErr, store.ErrExists):
		return q.ID, true, o.sameAsStored(ctx, q)
	case r.startErr == nil && existed:
		return q.ID, true, r.sameAs(q)
	}
	return q.ID, existed, r.startErr
}

// began takes in whether the start is durable.
func (r *run) began(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starting = false
	if r.startErr = err; err != nil {
		r.count(false)
		r.o.forget(r)
		if errors.Is(err, store.ErrExists) {
			r.o.spawn(func() { r.o.passedOver(r.summary.ID) })
		}
	} else {
		for i := range r.unseen {
			r.o.Observer.Recorded(&r.summary, &r.unseen[i])
		}
	}
	r.unseen = nil
	close(r.begun)
}

// sameAs says whether a start asks for the saga that is under way.
func (r *run) sameAs(q Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.summary.Definition != q.Definition || !bytes.Equal(r.s.Input, q.Input) {
		return ErrConflict
	}
	return nil
}

func started(m *machine.Machine, q Request, epoch uint64, now time.Time) machine.Command {
	e := journal.Event{
		Kind: journal.SagaStarted, Definition: m.Plan.Name, Version: m.Plan.Version, Mode: journal.Orchestrated,
		Key: q.Key, Payload: q.Input, Epoch: epoch, Trace: q.Trace,
	}
	if m.Plan.Deadline > 0 {
		e.At = now.Add(m.Plan.Deadline)
	}
	return machine.Command{Do: machine.Record, Event: e}
}

// accept checks a request against everything that can be known before anything is kept.
func (o *Orchestrator) accept(q *Request) (*machine.Machine, error) {
	name := q.Definition
	if q.Version != "" {
		name = versioned(q.Definition, q.Version)
	}
	m, ok := o.book.Load().machines[name]
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %s", ErrDefinition, name)
	case len(q.Input) > journal.MaxPayload:
		return nil, fmt.Errorf("%w: %d bytes, %d are allowed; keep large data elsewhere and pass a reference", ErrTooLarge, len(q.Input), journal.MaxPayload)
	case !json.Valid(q.Input):
		return nil, ErrInput
	case journal.TooDeep(q.Input):
		return nil, fmt.Errorf("%w: it is nested deeper than the %d levels that are allowed", ErrTooLarge, journal.MaxDepth)
	}
	q.Input = m.Plan.KeptInput(q.Input)
	if err := m.Plan.TakesInput(q.Input); err != nil {
		return nil, err
	}
	if len(q.Input) > journal.LargePayload {
		o.Logger.Warn("a saga's input is large; keep large data elsewhere and pass a reference", "saga", q.ID, "definition", q.Definition, "bytes", len(q.Input))
	}
	if err := errors.Join(journal.CheckText("business key", q.Key), journal.CheckText("traceparent", q.Trace)); err != nil {
		return nil, err
	}
	if q.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make a saga id: %w", err)
		}
		q.ID = journal.SagaID(id.String())
	} else if err := journal.CheckID(q.ID); err != nil {
		return nil, err
	}
	return m, o.admit(m)
}

// admit refuses starts while more is under way than can be carried, so that what was accepted goes on.
func (o *Orchestrator) admit(m *machine.Machine) error {
	if err := o.failed(); err != nil {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	if o.full.Load() {
		return noRoom()
	}
	if n := int(o.active.Load()); n >= o.MaxInFlight {
		return &OverloadError{Why: fmt.Sprintf("%d sagas are under way", n), RetryAfter: time.Second}
	}
	if n := o.runs.size(); n >= o.MaxOpen {
		return &OverloadError{Why: fmt.Sprintf("%d sagas have no outcome yet", n), RetryAfter: 30 * time.Second}
	}
	lanes := o.book.Load().lanes
	for i := range m.Plan.Steps {
		owner := plan.Owner(m.Plan.Steps[i].Action)
		if lanes[owner].actions.crowded() {
			return &OverloadError{Why: "too many calls wait for participant " + owner, RetryAfter: 2 * time.Second}
		}
	}
	return nil
}

func noRoom() error { return &OverloadError{Why: "the store has no room", RetryAfter: 5 * time.Second} }

// passedOver goes on with a saga that recovery may have passed over because a repeated start of it was under way. That must not hang on
// whether the caller of the start is still there, or on what it asked for.
func (o *Orchestrator) passedOver(id journal.SagaID) {
	s, err := o.summary(o.ctx, id)
	if err == nil && !s.State.Ended() {
		err = o.recover(o.ctx, &s)
	}
	if err != nil && !o.stopping() {
		o.Logger.Error("a saga is not gone on with", "saga", id, "error", err)
	}
}

// sameAsStored answers a start whose saga the store knows.
func (o *Orchestrator) sameAsStored(ctx context.Context, q Request) error {
	_, v, err := o.find(ctx, q.ID)
	if err != nil {
		return err
	}
	if v.Definition != q.Definition || !bytes.Equal(v.Input, q.Input) {
		return ErrConflict
	}
	return nil
}
