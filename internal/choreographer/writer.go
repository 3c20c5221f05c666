package choreographer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// writer commits the records of many sagas together. Nobody waits for most of them, so it lets them gather for a moment, until somebody does.
type writer struct {
	x     *Tracker
	jobs  chan *job
	hurry chan struct{} // somebody waits for what was handed over
	many  int           // appends that are not kept back: those who have heard as much as they may at a time wait for these, and hear nothing more
}

// job is an append on its way. Those of one saga are handed to the writer in the order of its journal.
type job struct {
	track  *track // nil for an addition to the journal of a saga that has none
	append store.Append
	whole  []byte          // the journal up to what it holds
	events []journal.Event // that it holds, for observers
	urgent bool            // somebody waits
	over   chan struct{}   // closed when it is durable, or failed
	err    error           // set before that
}

// ends says whether it is a saga's outcome.
func (j *job) ends() bool { return j.track != nil && j.append.Summary.State.Ended() }

func newWriter(x *Tracker) *writer {
	return &writer{x, make(chan *job, groupMost), make(chan struct{}, 1), max(1, x.Parallel/2)}
}

const (
	groupMost = 1024                  // appends of one commit
	gathering = 50 * time.Millisecond // how long appends that nobody waits for are kept back
)

var errStopped = errors.New("the tracker is stopping")

// add hands an append over. The result says when it is durable.
func (w *writer) add(ctx context.Context, j *job) (err error) {
	select {
	case w.jobs <- j:
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-w.x.stopped:
		err = errStopped
	}
	j.err = err
	close(j.over)
	return err
}

// wait returns when an append is durable.
func (w *writer) wait(ctx context.Context, j *job) error {
	select {
	case <-j.over:
		return j.err
	case <-ctx.Done(): // it may be written all the same
		return context.Cause(ctx)
	case <-w.x.stopped:
		return errStopped
	}
}

// soon lets an append that was handed over not be kept back.
func (w *writer) soon(j *job) {
	if j.urgent {
		return // it is not
	}
	select {
	case <-j.over:
		return // else the next one would not be, for nothing
	default:
	}
	select {
	case w.hurry <- struct{}{}:
	default:
	}
}

// settled returns when an append is durable or never will be.
func (w *writer) settled(ctx context.Context, j *job) error {
	select {
	case <-j.over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.x.stopped:
		return errStopped
	}
}

// run commits until the context ends or the store fails.
func (w *writer) run(ctx context.Context) error {
	for {
		batch, ok := w.gather(ctx)
		if !ok {
			return nil
		}
		if err := w.commit(ctx, batch); err != nil {
			return err
		}
	}
}

// gather takes what waits, and, as long as nobody waits for any of it, what comes within a moment. It is false when the context ended.
func (w *writer) gather(ctx context.Context) (batch []*job, ok bool) {
	var first *job
	select {
	case first = <-w.jobs:
	case <-ctx.Done():
		return nil, false
	}
	batch = append(batch, first)
	timer := time.NewTimer(gathering)
	defer timer.Stop()
	for urgent := first.urgent; len(batch) < groupMost; urgent = urgent || len(batch) >= w.many {
		select {
		case j := <-w.jobs:
			batch, urgent = append(batch, j), urgent || j.urgent
			continue
		default:
		}
		if urgent {
			return batch, true
		}
		select {
		case j := <-w.jobs:
			batch, urgent = append(batch, j), j.urgent
		case <-w.hurry:
			urgent = true
		case <-timer.C:
			urgent = true
		case <-ctx.Done():
			return nil, false
		}
	}
	return batch, true
}

// commit writes a batch. Without room nothing is written, and the tokens come again; after any other error of the store as a whole only a restart knows what is true.
func (w *writer) commit(ctx context.Context, batch []*job) error {
	appends, place := merge(batch)
	began := w.x.Now()
	rejected, err := w.x.Store.Commit(context.WithoutCancel(ctx), w.x.epoch, appends)
	w.x.Observer.Committed(len(appends), w.x.Now().Sub(began))
	for i, j := range batch {
		result := err
		switch {
		case err != nil:
		case place[i] < 0:
			result = fmt.Errorf("saga %s: what is before event %d was not written; it is read anew", j.append.Summary.ID, j.append.From)
		case rejected != nil && rejected[place[i]] != nil:
			result = fmt.Errorf("saga %s: %w", j.append.Summary.ID, rejected[place[i]])
		}
		if result == nil {
			for k := range j.events {
				w.x.Observer.Recorded(&j.append.Summary, &j.events[k])
			}
			w.x.durable(j)
		}
		j.err = result
		close(j.over)
		w.x.ahead.drop(j)
	}
	if err != nil && !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("the tracker stops: its store failed: %w", err)
	}
	return nil
}

// merge makes one append of those that belong to one saga, and says which of them each job is in; -1 for one that does not follow from the one before, because that
// one failed.
func merge(batch []*job) (appends []store.Append, place []int) {
	at := make(map[journal.SagaID]int, len(batch))
	place = make([]int, len(batch))
	for i, j := range batch {
		k, ok := at[j.append.Summary.ID]
		if !ok {
			at[j.append.Summary.ID], place[i] = len(appends), len(appends)
			appends = append(appends, j.append)
			continue
		}
		if place[i] = k; j.append.From != appends[k].Summary.Seq+1 {
			place[i] = -1
			continue
		}
		// A copy: the records of the first job stay as they are.
		appends[k].Records = append(appends[k].Records[:len(appends[k].Records):len(appends[k].Records)], j.append.Records...)
		appends[k].Summary = j.append.Summary
	}
	return appends, place
}
