package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// ReasonDefinition is the incident of a saga whose definition no program has registered.
const ReasonDefinition = "skald.definition_missing"

// recoverPage is how many sagas are picked up at a time.
const recoverPage = 500

// recoverAll goes on with every unended saga of the store that a filter selects, oldest first. What cannot be read now is tried again.
func (o *Orchestrator) recoverAll(f store.Filter) {
	f.Unended, f.Oldest, f.Limit = true, true, recoverPage
	var again []store.Summary
	for !o.stopping() {
		page, err := o.Store.List(o.ctx, f)
		if err != nil {
			if !o.stopping() {
				o.fail(fmt.Errorf("list the sagas to go on with: %w", err))
			}
			return
		}
		again = append(again, o.recoverEach(page.Sagas)...)
		if page.Next == "" {
			break
		}
		f.Cursor = page.Next
	}
	for pause := time.Second; len(again) > 0 && !o.stopping(); pause = min(2*pause, 30*time.Second) {
		o.pause(pause)
		again = o.recoverEach(again)
	}
}

// recoverEach goes on with sagas and returns those that could not be read, which may pass.
func (o *Orchestrator) recoverEach(sagas []store.Summary) (again []store.Summary) {
	for i := range sagas {
		if o.stopping() {
			return nil
		}
		s := &sagas[i]
		err := o.recover(o.ctx, s)
		switch {
		case err == nil || o.stopping() || errors.Is(err, ErrDefinition) || errors.Is(err, store.ErrNotFound):
			continue
		case errors.Is(err, journal.ErrCorrupt):
			o.damaged.add(s.ID)
		default:
			again = append(again, *s)
		}
		o.Logger.Error("a saga is not gone on with", "saga", s.ID, "error", err)
	}
	return again
}

// recover goes on with one saga, unless it is under way already or has ended. Its id is taken before its journal is read, so that nobody else picks it
// up meanwhile; whoever finds it waits until begun is closed.
func (o *Orchestrator) recover(ctx context.Context, s *store.Summary) error {
	if s.Mode != journal.Orchestrated {
		return nil
	}
	m, err := o.machineOf(s)
	if err != nil {
		return err
	}
	if there := o.orphans.there(s.ID); there != nil {
		if o.Threads.Await(there, o.halt, nil, nil); o.stopping() {
			return ErrStopped
		}
	}
	r := &run{o: o, m: m, done: make(chan struct{}), begun: make(chan struct{}), summary: store.Summary{ID: s.ID}}
	if o.runs.add(r) != nil {
		return nil
	}
	defer close(r.begun)
	err = r.replay(ctx, s.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || r.s.Phase.Ended() {
		r.startErr = cmp.Or(err, machine.ErrEnded)
		o.runs.remove(s.ID)
		return err
	}
	var cmds []machine.Command
	if r.s.Stuck == ReasonDefinition {
		cmds = append(cmds, machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.IncidentClosed}})
	}
	cmds = append(cmds, machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered, Epoch: o.epoch}})
	r.advance(cmds, nil)
	return nil
}

// machineOf finds the definition of a saga, or opens the incident that says that it is missing.
func (o *Orchestrator) machineOf(s *store.Summary) (*machine.Machine, error) {
	o.looking.RLock()
	defer o.looking.RUnlock()
	m, ok := o.book.Load().machines[versioned(s.Definition, s.Version)]
	if !ok {
		o.orphan(s)
		return nil, fmt.Errorf("%w: %s; register it, also beside a newer one", ErrDefinition, versioned(s.Definition, s.Version))
	}
	return m, nil
}

// replay reads the saga's journal into the run.
func (r *run) replay(ctx context.Context, id journal.SagaID) error {
	var unused []machine.Command
	s, err := r.o.read(ctx, id, func(e journal.Event) error {
		var err error
		unused, err = r.m.Apply(&r.s, &e, unused[:0])
		if e.Kind == journal.SagaStarted {
			r.trace = e.Trace
		}
		return err
	})
	if err != nil {
		return err
	}
	r.summary, r.durable, r.committed = s, s.Seq, s.Seq
	r.ahead = max(s.Updated.Sub(r.o.now()), 0)
	return nil
}

// orphan opens the incident of a saga whose definition is missing.
func (o *Orchestrator) orphan(s *store.Summary) {
	if s.Incident == ReasonDefinition {
		return
	}
	told, first := o.orphans.add(s.ID)
	if !first {
		return
	}
	e := journal.Event{
		Seq: s.Seq + 1, Time: o.now(), Kind: journal.IncidentOpened, Reason: ReasonDefinition,
		Detail: fmt.Sprintf("no program has registered definition %s version %s; register it again, also beside a newer one", s.Definition, s.Version),
	}
	if e.Time.Before(s.Updated) { // no journal goes back in time, see run.now
		e.Time = s.Updated
	}
	a := store.Append{From: e.Seq, Summary: *s}
	a.Records, a.Summary.Chain = journal.Append(nil, s.Chain, &e)
	a.Summary.Seq, a.Summary.Updated, a.Summary.Incident = e.Seq, e.Time, ReasonDefinition
	o.committer.queueOrphan(a, told)
	o.Observer.Recorded(&a.Summary, &e)
}
