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

const (
	recoverPage = 500             // sagas are picked up so many at a time
	dueAgain    = 5 * time.Second // while sleeping sagas are picked up, others become due: it is looked for them no more often
)

// recovery goes on with the unended sagas of the store.
type recovery struct {
	o      *Orchestrator
	only   store.Filter            // which of them
	failed map[journal.SagaID]bool // those that could not be gone on with
	again  []store.Summary         // of those, the ones that could not be read, which may pass
}

// recoverAll goes on with every unended saga of the store that a filter selects: first with those that have something to do, then with those that sleep, oldest first. What cannot be
// read now is tried again.
func (o *Orchestrator) recoverAll(only store.Filter) {
	x := &recovery{o: o, only: only, failed: map[journal.SagaID]bool{}}
	if !x.all() {
		return
	}
	for pause := time.Second; len(x.again) > 0 && !o.stopping(); pause = min(2*pause, 30*time.Second) {
		o.pause(pause)
		again := x.again
		x.again, x.failed = nil, map[journal.SagaID]bool{}
		x.each(again)
	}
}

// all is false if it did not come to the end.
func (x *recovery) all() bool {
	f := x.only
	f.Unended, f.Oldest, f.Limit = true, true, recoverPage
	var next time.Time
	for {
		if began := x.o.now(); !began.Before(next) {
			if !x.due(began) {
				return false
			}
			ended := x.o.now()
			next = ended.Add(max(dueAgain, 4*ended.Sub(began))) // most of the time is for the others
		}
		if more, ok := x.page(&f); !more || !ok {
			return ok
		}
	}
}

// due goes on with what has something to do by now. It is false if it did not come to the end.
func (x *recovery) due(now time.Time) bool {
	f := x.only
	f.Due, f.Oldest, f.Limit = now, true, recoverPage
	for {
		if more, ok := x.page(&f); !more || !ok {
			return ok
		}
	}
}

// page goes on with a page of sagas, and moves the filter to the next one if there are more.
func (x *recovery) page(f *store.Filter) (more, ok bool) {
	page, err := x.o.Store.List(x.o.ctx, *f)
	if err != nil && !x.o.stopping() {
		x.o.fail(fmt.Errorf("list the sagas to go on with: %w", err))
	}
	if err != nil {
		return false, false
	}
	x.each(page.Sagas)
	f.Cursor = page.Next
	return page.Next != "", !x.o.stopping()
}

// each goes on with sagas.
func (x *recovery) each(sagas []store.Summary) {
	for i := range sagas {
		s := &sagas[i]
		if x.o.stopping() {
			return
		}
		if x.failed[s.ID] {
			continue
		}
		err := x.o.recover(x.o.ctx, s)
		if err == nil || x.o.stopping() {
			continue
		}
		x.failed[s.ID] = true
		switch {
		case errors.Is(err, ErrDefinition) || errors.Is(err, store.ErrNotFound):
			continue
		case errors.Is(err, journal.ErrCorrupt):
			x.o.damaged.add(s.ID)
		default:
			x.again = append(x.again, *s)
		}
		x.o.Logger.Error("a saga is not gone on with", "saga", s.ID, "error", err)
	}
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
	if there := o.additions.there(s.ID); there != nil {
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
	cmds := o.commands()
	if r.s.Stuck == ReasonDefinition {
		cmds = append(cmds, machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.IncidentClosed}})
	}
	cmds = append(cmds, machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered, Epoch: o.epoch}})
	o.begin(r.advance(cmds, nil))
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
		r.move(&e)
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
	told, first := o.additions.add(s.ID)
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
	o.committer.addTo(a, false, told)
	o.Observer.Recorded(&a.Summary, &e)
}
