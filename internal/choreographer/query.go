package choreographer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// ErrStopped says that the tracker has stopped: nothing new is read.
var ErrStopped = errors.New("the tracker has stopped")

// Saga is a saga as it was read.
type Saga struct {
	store.Summary
	View journal.View
}

// Get reads a saga. One that was started a moment ago is found, too.
func (x *Tracker) Get(ctx context.Context, id journal.SagaID) (Saga, error) {
	var v journal.View
	s, err := x.read(ctx, id, func(e journal.Event) error {
		v.Apply(&e)
		return nil
	})
	return Saga{s, v}, err
}

// Known reads a saga that has a journal, or returns store.ErrNotFound.
func (x *Tracker) Known(ctx context.Context, id journal.SagaID) (Saga, error) {
	var v journal.View
	s, err := x.stored(ctx, id, func(e journal.Event) error {
		v.Apply(&e)
		return nil
	})
	return Saga{s, v}, err
}

// Open counts the sagas without an outcome that something was heard of.
func (x *Tracker) Open() int {
	x.mu.Lock()
	tracks := len(x.tracks)
	x.mu.Unlock()
	return max(0, tracks-x.ahead.len())
}

// read reads a saga's journal. If the store has none yet, it hears the saga's start first.
func (x *Tracker) read(ctx context.Context, id journal.SagaID, yield func(journal.Event) error) (store.Summary, error) {
	s, err := x.stored(ctx, id, yield)
	if !errors.Is(err, store.ErrNotFound) {
		return s, err
	}
	begun := x.change(ctx, id, true, func(*track) error { return nil })
	if errors.Is(begun, ErrUnknown) {
		return s, err
	}
	if begun != nil {
		return s, begun
	}
	return readJournal(ctx, x.Store, id, yield)
}

// stored reads a saga's journal from the store, with its end if somebody was told of that.
func (x *Tracker) stored(ctx context.Context, id journal.SagaID, yield func(journal.Event) error) (store.Summary, error) {
	if err := x.Abreast(ctx, id); err != nil {
		return store.Summary{}, err
	}
	return readJournal(ctx, x.Store, id, yield)
}

// Events returns a saga's events from after a sequence number.
func (x *Tracker) Events(ctx context.Context, id journal.SagaID, after uint64) ([]journal.Event, error) {
	var events []journal.Event
	_, err := x.read(ctx, id, func(e journal.Event) error {
		if e.Seq > after {
			events = append(events, e)
		}
		return nil
	})
	return events, err
}

// List lists sagas from the store, as ended if somebody was told so.
func (x *Tracker) List(ctx context.Context, f store.Filter) (store.Page, error) {
	if err := x.Abreast(ctx, f.ID); err != nil {
		return store.Page{}, err
	}
	return x.Store.List(ctx, f)
}

// Watch hands the saga's events to yield, from after the given sequence number, as they become durable, until the outcome, ctx's end or an error of yield. A slow
// receiver holds nobody up.
func (x *Tracker) Watch(ctx context.Context, id journal.SagaID, after uint64, yield func(journal.Event) error) error {
	w := x.watchers.add(id)
	defer x.watchers.remove(id, w)
	for {
		var events []journal.Event
		s, err := x.read(ctx, id, func(e journal.Event) error {
			if e.Seq > after {
				events = append(events, e)
			}
			return nil
		})
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
		if _, err := news(ctx, x, w); err != nil {
			return err
		}
	}
}

// news waits until a watcher is told of something new.
func news[T any](ctx context.Context, x *Tracker, w <-chan T) (told T, err error) {
	select {
	case told = <-w:
		return told, nil
	case <-ctx.Done():
		return told, ctx.Err()
	case <-x.stopped:
		return told, ErrStopped
	}
}

// Started says that a saga was started here a moment ago: whoever waits for it need not look whether it exists.
func (x *Tracker) Started(id journal.SagaID) { x.started.put(id, struct{}{}) }

// Outcome returns a saga when it has its outcome, which is when that is decided and durable, or ctx's error. The saga goes on either way. The journal may be written a moment later; whatever reads it here waits for that.
func (x *Tracker) Outcome(ctx context.Context, id journal.SagaID) (Saga, error) {
	e, err := x.wait(ctx, id)
	switch {
	case err != nil:
		return Saga{}, err
	case e.journal == nil:
		return x.Get(ctx, id)
	}
	var v journal.View
	s, err := decodeJournal(e.summary, e.journal, func(e journal.Event) error {
		v.Apply(&e)
		return nil
	})
	return Saga{s, v}, err
}

// wait returns when the saga has its outcome. What it returns is empty if it was not this tracker that wrote the end meanwhile.
func (x *Tracker) wait(ctx context.Context, id journal.SagaID) (outcome, error) {
	w := x.ends.add(id)
	defer x.ends.remove(id, w)
	if j := x.ahead.of(id); j != nil {
		return outcome{j.append.Summary, j.whole}, nil
	}
	_, ours := x.started.get(id)
	ours = ours && !x.ended(id) // it may have ended before whoever started it said so
	for {
		if !ours {
			s, err := x.Summary(ctx, id)
			if err != nil || s.State.Ended() {
				return outcome{}, err
			}
		}
		ours = false
		looking, cancel := context.WithTimeout(ctx, lookAgain)
		told, err := news(looking, x, w)
		cancel()
		switch {
		case err == nil:
			return told, nil // only ends are told of
		case ctx.Err() != nil:
			return outcome{}, ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return outcome{}, err
		}
	}
}

// outcome is a saga whose end is decided, for those who wait for it.
type outcome struct {
	summary store.Summary
	journal []byte // up to its end
}

// lookAgain is how long a wait goes on without looking: another tracker may have written the end.
const lookAgain = 2 * time.Second

// Summary reads a saga's summary only.
func (x *Tracker) Summary(ctx context.Context, id journal.SagaID) (store.Summary, error) {
	for tries := 0; ; tries++ {
		page, err := x.List(ctx, store.Filter{ID: id, Limit: 1})
		switch {
		case err != nil:
			return store.Summary{}, err
		case len(page.Sagas) > 0:
			return page.Sagas[0], nil
		case tries > 0:
			return store.Summary{}, fmt.Errorf("saga %s: %w", id, store.ErrNotFound)
		}
		if _, err := x.read(ctx, id, func(journal.Event) error { return nil }); err != nil {
			return store.Summary{}, err
		}
	}
}

// watchers tells those who watch a saga that something new is durable, and what. A notice that finds one pending is dropped: the watcher reads everything that is new.
type watchers[T any] struct {
	mu  sync.Mutex
	all map[journal.SagaID]map[chan T]struct{}
}

func (x *watchers[T]) add(id journal.SagaID) chan T {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all == nil {
		x.all = make(map[journal.SagaID]map[chan T]struct{})
	}
	if x.all[id] == nil {
		x.all[id] = make(map[chan T]struct{})
	}
	w := make(chan T, 1)
	x.all[id][w] = struct{}{}
	return w
}

func (x *watchers[T]) remove(id journal.SagaID, w chan T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.all[id], w)
	if len(x.all[id]) == 0 {
		delete(x.all, id)
	}
}

// any says whether somebody watches a saga.
func (x *watchers[T]) any(id journal.SagaID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.all[id]) > 0
}

func (x *watchers[T]) notify(id journal.SagaID, news T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for w := range x.all[id] {
		select {
		case w <- news:
		default:
		}
	}
}

// ahead are the ends that those who waited for them know and that are not in the store yet.
type ahead struct {
	mu   sync.Mutex
	jobs map[journal.SagaID]*job
}

func (x *ahead) put(j *job) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.jobs == nil {
		x.jobs = make(map[journal.SagaID]*job)
	}
	x.jobs[j.append.Summary.ID] = j
}

func (x *ahead) drop(j *job) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if id := j.append.Summary.ID; x.jobs[id] == j {
		delete(x.jobs, id)
	}
}

func (x *ahead) len() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.jobs)
}

// of returns one saga's, or nil.
func (x *ahead) of(id journal.SagaID) *job {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.jobs[id]
}

func (x *ahead) all() []*job {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Values(x.jobs))
}

// Abreast returns when the store has a saga's end if somebody was told of it, or without an id those of all sagas: nobody is to read afterwards that it runs. Whoever reads the tracker's store past the tracker calls it first.
func (x *Tracker) Abreast(ctx context.Context, id journal.SagaID) error {
	var told []*job
	if id == "" {
		told = x.ahead.all()
	} else if j := x.ahead.of(id); j != nil {
		told = append(told, j)
	}
	for _, j := range told {
		x.writer.soon(j)
		if err := x.writer.settled(ctx, j); err != nil && !errors.Is(err, errStopped) { // then the store has all that it will have
			return err
		}
	}
	return nil
}
