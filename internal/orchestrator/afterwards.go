package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// A run records nothing after its saga's outcome. What is to be recorded later, that an answer contradicts the journal or that somebody has seen it, is added to the stored journal.

// AnsweredLate takes in an answer to a step's action that came outside of its call: after its time, or once more. It returns when what it leads to is durable, which is nothing if the answer only repeats
// what is recorded, or if the step is still asked: then its own call brings the answer. Nothing that is decided changes. The error is machine.ErrVerb if the saga has no such step.
func (o *Orchestrator) AnsweredLate(ctx context.Context, id journal.SagaID, step string, a participant.Answer) error {
	running := func(r *run) ([]machine.Command, error) {
		i, err := r.m.Step(step)
		if err != nil {
			return nil, err
		}
		if r.s.Phase.Ended() {
			return nil, machine.ErrEnded
		}
		return r.m.Late(&r.s, machine.Answer{Step: i, Answer: r.m.Plan.Steps[i].Taken(participant.Action, a)}, o.commands()), nil
	}
	return o.anytime(ctx, id, running, func(v *journal.View) ([]journal.Event, error) {
		name := versioned(v.Definition, v.Version)
		m := o.book.Load().machines[name]
		if m == nil {
			return nil, fmt.Errorf("%w: %s; register it, also beside a newer one", ErrDefinition, name)
		}
		return m.LateAnswer(v, step, a)
	})
}

// outlived takes in the answer to a call that was still under way at the saga's outcome: an operator had decided its step. The lock is held.
func (r *run) outlived(a machine.Answer) {
	if a.Compensation || len(r.m.Late(&r.s, a, nil)) == 0 {
		return
	}
	step := r.m.Plan.Steps[a.Step].Name
	r.o.spawn(func() {
		if err := r.o.AnsweredLate(r.o.ctx, r.summary.ID, step, a.Answer); err != nil && !r.o.stopping() {
			r.o.Logger.Error("a late answer that contradicts the journal is not recorded", "saga", r.summary.ID, "step", step, "answer", a.Class, "error", err)
		}
	})
}

// anytime does something about a saga, whether it is under way or has ended.
func (o *Orchestrator) anytime(ctx context.Context, id journal.SagaID, running func(*run) ([]machine.Command, error), ended func(*journal.View) ([]journal.Event, error)) error {
	if !o.enter() {
		return ErrStopped
	}
	defer o.leave()
	for {
		err := o.act(ctx, id, running)
		if !errors.Is(err, machine.ErrEnded) {
			return err
		}
		if err := o.Wait(ctx, id); err != nil { // until the outcome is durable, and nobody else writes
			return err
		}
		if err := o.afterwards(ctx, id, ended); !errors.Is(err, errRuns) {
			return err
		}
	}
}

// errRuns says that a saga's id is that of one that is under way: the ended one was pruned.
var errRuns = errors.New("the saga is under way")

// afterwards adds to the journal of a saga that has ended what is found necessary by what it says, and returns when that is durable.
func (o *Orchestrator) afterwards(ctx context.Context, id journal.SagaID, find func(*journal.View) ([]journal.Event, error)) error {
	told, err := o.turn(ctx, id)
	if err != nil {
		return err
	}
	a, events, err := o.addition(ctx, id, find)
	if err != nil || len(events) == 0 {
		told(nil)
		return err
	}
	over := make(chan struct{})
	var outcome error // set before over is closed
	o.committer.addTo(a, true, func(err error) {
		for i := range events {
			if err == nil {
				o.show(&a.Summary, &events[i])
			}
		}
		told(err)
		outcome = err
		close(over)
	})
	if o.Threads.Await(over, ctx.Done(), nil, nil); !closed(over) {
		return ctx.Err()
	}
	return outcome
}

// turn waits until no addition to the saga is on its way, and makes it the caller's turn to make one.
func (o *Orchestrator) turn(ctx context.Context, id journal.SagaID) (told func(error), err error) {
	for {
		told, first := o.additions.add(id)
		if first {
			return told, nil
		}
		there := o.additions.there(id)
		if there == nil {
			continue
		}
		if err := o.durable(ctx, there); err != nil {
			return nil, err
		}
	}
}

// addition is the append that adds what is found necessary.
func (o *Orchestrator) addition(ctx context.Context, id journal.SagaID, find func(*journal.View) ([]journal.Event, error)) (a store.Append, events []journal.Event, err error) {
	var v journal.View
	place := "" // as a run knows it
	a.Summary, err = o.read(ctx, id, func(e journal.Event) error {
		if e.Kind == journal.SagaCompensating || e.Kind == journal.StepAsked && !v.Compensating {
			place = e.Step
		}
		v.Apply(&e)
		return nil
	})
	if err == nil && !a.Summary.State.Ended() {
		err = errRuns
	}
	if err != nil {
		return a, nil, err
	}
	if events, err = find(&v); err != nil {
		return a, nil, err
	}
	s := &a.Summary
	a.From = s.Seq + 1
	now := o.now()
	if now.Before(s.Updated) { // no journal goes back in time, see run.now
		now = s.Updated
	}
	for i := range events {
		e := &events[i]
		e.Seq, e.Time = s.Seq+1, now
		a.Records, s.Chain = journal.Append(a.Records, s.Chain, e)
		s.Seq, s.Updated = e.Seq, e.Time
		v.Apply(e)
	}
	s.Step, s.Incident = place, ""
	if len(v.Incidents) > 0 {
		s.Step, s.Incident = v.Incidents[0].Step, v.Incidents[0].Reason
	}
	return a, events, nil
}

// additions are sagas to whose stored journals records are on their way that belong to no run: that their definition is missing, or what came after their outcome. One addition
// at a time is made to a saga, and nobody may go on with it until it is there.
type additions struct {
	mu  sync.Mutex
	all map[journal.SagaID]chan struct{}
}

// add is false if an addition is on its way already. told is to be called when it is there, or never will be.
func (x *additions) add(id journal.SagaID) (told func(error), ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all[id] != nil {
		return nil, false
	}
	if x.all == nil {
		x.all = make(map[journal.SagaID]chan struct{})
	}
	there := make(chan struct{})
	x.all[id] = there
	return func(error) {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.all, id)
		close(there)
	}, true
}

// there is closed when no addition to the saga is on its way; nil if none is.
func (x *additions) there(id journal.SagaID) <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.all[id]
}
