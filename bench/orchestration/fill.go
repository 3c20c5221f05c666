package orchestration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// dueOf is how many open sagas come to one whose retry is due at once; the others sleep for a day.
const dueOf = 100

// fill puts sagas into a store through its contract, much faster than by running them. Each has the journal of one that was really run, in as many appends.
func (p *part) fill(ctx context.Context) (err error) {
	events, summary, err := p.example(ctx)
	if err != nil {
		return err
	}
	s, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(p.Dir, "journals.db"), Cached: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	epoch, err := s.Acquire(ctx)
	if err != nil {
		return err
	}
	var batch []store.Append
	for i := range p.N {
		due := day
		if i%dueOf == 0 {
			due = 0
		}
		batch = append(batch, again(events, summary, time.Now(), due)...)
		if len(batch) < 1000 && i < p.N-1 {
			continue
		}
		rejected, err := s.Commit(ctx, epoch, batch)
		if err := errors.Join(append(rejected, err)...); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return nil
}

// example runs one saga: to its end, or to where it sleeps.
func (p *part) example(ctx context.Context) (events []journal.Event, s store.Summary, err error) {
	dir, err := os.MkdirTemp(p.Dir, "example-")
	if err != nil {
		return nil, s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := openLibrary(ctx, &part{Dir: dir, Address: p.Address})
	if err != nil {
		return nil, s, err
	}
	defer func() { err = errors.Join(err, l.stop(context.WithoutCancel(ctx))) }()
	run, err := l.saga.Start(ctx, l.engine, order{SKU: "CAF-001", Amount: 1, Sleep: p.Open})
	if err != nil {
		return nil, s, err
	}
	enough := errors.New("enough was seen")
	err = l.engine.Watch(ctx, run.ID, 0, func(e skald.Event) error {
		events = append(events, e)
		if e.Kind == journal.StepRetrying {
			return enough
		}
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		return nil, s, err
	}
	page, err := l.store.List(ctx, store.Filter{ID: run.ID})
	if err != nil {
		return nil, s, err
	}
	if len(page.Sagas) != 1 {
		return nil, s, fmt.Errorf("saga %s is on %d pages", run.ID, len(page.Sagas))
	}
	return events, page.Sagas[0], nil
}

// again is a saga like another one, begun at another time: in one append for its start, one for its middle and, if it ended, one for its end. A retry is due after
// a while.
func again(events []journal.Event, s store.Summary, start time.Time, due time.Duration) []store.Append {
	s.ID = journal.SagaID(uuid.Must(uuid.NewV7()).String())
	s.Chain = journal.FirstChain(s.ID)
	moved := start.Sub(s.Started)
	ended := s.State.Ended()
	final := s
	var all []store.Append
	for i := range events {
		e := events[i]
		e.Time = e.Time.Add(moved)
		if !e.At.IsZero() {
			e.At = start.Add(due)
		}
		if i == 0 || i == 2 || ended && i == len(events)-1 {
			all = append(all, store.Append{New: i == 0, From: e.Seq})
		}
		a := &all[len(all)-1]
		a.Records, s.Chain = journal.Append(a.Records, s.Chain, &e)
		a.Summary = s
		a.Summary.Seq, a.Summary.Started, a.Summary.Updated = e.Seq, start, e.Time
		if i < len(events)-1 {
			a.Summary.State, a.Summary.Ended = store.Running, time.Time{}
		} else if ended {
			a.Summary.State, a.Summary.Ended = final.State, e.Time
		} else {
			a.Summary.Wake = start.Add(due)
		}
	}
	return all
}
