package choreographer

import (
	"context"
	"errors"
	"fmt"

	"github.com/skaldhq/skald/store"
)

// writer commits the records of many sagas together: whatever waits when the commit before is over.
type writer struct {
	x    *Tracker
	jobs chan *job
}

type job struct {
	append store.Append
	done   chan error
}

func newWriter(x *Tracker) *writer { return &writer{x, make(chan *job, groupMost)} }

// groupMost bounds the appends of one commit.
const groupMost = 1024

var errStopped = errors.New("the tracker is stopping")

// write commits an append and returns when it is durable.
func (w *writer) write(ctx context.Context, a store.Append) error {
	j := &job{a, make(chan error, 1)}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.x.stopped:
		return errStopped
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done(): // it may be written all the same: the saga's track is dropped and read anew
		return context.Cause(ctx)
	case <-w.x.stopped:
		return errStopped
	}
}

// run commits until the context ends or the store fails.
func (w *writer) run(ctx context.Context) error {
	for {
		var batch []*job
		select {
		case j := <-w.jobs:
			batch = append(batch, j)
		case <-ctx.Done():
			return nil
		}
		for more := true; more && len(batch) < groupMost; {
			select {
			case j := <-w.jobs:
				batch = append(batch, j)
			default:
				more = false
			}
		}
		if err := w.commit(ctx, batch); err != nil {
			return err
		}
	}
}

// commit writes a batch. Without room nothing is written, and the tokens come again; after any other error of the store as a whole only a restart knows what is true.
func (w *writer) commit(ctx context.Context, batch []*job) error {
	appends := make([]store.Append, len(batch))
	for i, j := range batch {
		appends[i] = j.append
	}
	began := w.x.Now()
	rejected, err := w.x.Store.Commit(context.WithoutCancel(ctx), w.x.epoch, appends)
	w.x.Observer.Committed(len(batch), w.x.Now().Sub(began))
	for i, j := range batch {
		switch {
		case err != nil:
			j.done <- err
		case rejected != nil && rejected[i] != nil:
			j.done <- fmt.Errorf("saga %s: %w", appends[i].Summary.ID, rejected[i])
		default:
			j.done <- nil
		}
	}
	if err != nil && !errors.Is(err, store.ErrFull) {
		return fmt.Errorf("the tracker stops: its store failed: %w", err)
	}
	return nil
}
