package eventlog

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/journal"
)

const (
	batch      = 256       // jobs that share a transaction, and so one wait for the disk
	pruneEvery = time.Hour // also once when the log is opened
)

// job is a change to be made durable.
type job struct {
	change func(ctx context.Context, tx *sql.Tx) error
	sagas  []journal.SagaID // whose watchers hear of it
	done   chan error
}

// do hands a change to the writer and waits until it is durable.
func (l *Log) do(ctx context.Context, sagas []journal.SagaID, change func(ctx context.Context, tx *sql.Tx) error) error {
	j := job{change: change, sagas: sagas, done: make(chan error, 1)}
	select {
	case l.jobs <- j:
	case <-l.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-j.done // the writer answers every job that it took
}

// write makes the changes of everybody who waits in one transaction, until the log is closed.
func (l *Log) write() {
	defer close(l.finished)
	prune := time.NewTimer(0)
	defer prune.Stop()
	for {
		select {
		case first := <-l.jobs:
			l.commit(l.gather(first))
		case <-prune.C:
			before := time.Now().Add(-l.retention)
			done := make(chan error, 1) // one that fails is made good in an hour
			l.commit([]job{{done: done, change: func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, `DELETE FROM published WHERE time_us < ?`, before.UnixMicro())
				return err
			}}})
			prune.Reset(pruneEvery)
		case <-l.quit:
			return
		}
	}
}

func (l *Log) gather(first job) []job {
	jobs := []job{first}
	for len(jobs) < batch {
		select {
		case j := <-l.jobs:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

func (l *Log) commit(jobs []job) {
	err := l.transact(jobs)
	if err != nil {
		err = fmt.Errorf("eventlog: %w", err)
	}
	for _, j := range jobs {
		j.done <- err
		for _, id := range j.sagas {
			l.watchers.notify(id)
		}
	}
}

func (l *Log) transact(jobs []job) error {
	ctx := context.Background() // everybody's transaction must not end with somebody's request
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, j := range jobs {
		if err := j.change(ctx, tx); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// Watch returns a channel that has a value whenever the order may have new events. Call stop when they are not needed any more. A slow watcher misses
// nothing: one notice stands for all since the last.
func (l *Log) Watch(order journal.SagaID) (news <-chan struct{}, stop func()) {
	return l.watchers.add(order)
}

type watchers struct {
	mu  sync.Mutex
	all map[journal.SagaID]map[chan struct{}]struct{}
}

func (x *watchers) add(id journal.SagaID) (<-chan struct{}, func()) {
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
	return w, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.all[id], w)
		if len(x.all[id]) == 0 {
			delete(x.all, id)
		}
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
