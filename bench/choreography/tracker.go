package choreography

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// batch is how many orders are started before the first of them may begin.
const batch = 800

// withoutTracker measures how fast orders get on after the program is stopped that started them, and with it the tracker and the initiator, beside how fast they do while it runs.
func (b *bed) withoutTracker(ctx context.Context, name string) error {
	if !b.wanted(name) {
		return nil
	}
	first := b.turn%2 == 0 // who comes first, in turns
	b.turn++
	one, err := b.confirmed(ctx, first)
	if err != nil {
		return err
	}
	other, err := b.confirmed(ctx, !first)
	if err != nil {
		return err
	}
	without, with := one, other
	if !first {
		without, with = other, one
	}
	b.set.Add(name+".rate", without, "sagas/s")
	b.set.Add(name, without/with, "x")
	return nil
}

// confirmed is the rate at which orders that were all started before are confirmed, on files of their own.
func (b *bed) confirmed(ctx context.Context, stopped bool) (rate float64, err error) {
	dir, err := os.MkdirTemp(b.Dir, "skald-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := open(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop(context.WithoutCancel(ctx))) }()
	closed := true
	s.gate.Lock()
	defer func() {
		if closed {
			s.gate.Unlock()
		}
	}()
	for range batch {
		if _, err := s.saga.Start(ctx, s.engine, order{SKU: "CAF-001"}); err != nil {
			return 0, err
		}
	}
	if stopped {
		err := s.engine.Stop(ctx)
		if s.engine = nil; err != nil {
			return 0, err
		}
	}
	began := time.Now()
	s.gate.Unlock()
	closed = false
	for s.ends.Load() < batch {
		if rest(ctx, time.Millisecond); ctx.Err() != nil {
			return 0, fmt.Errorf("%d of %d orders were confirmed: %w", s.ends.Load(), batch, ctx.Err())
		}
	}
	return batch / time.Since(began).Seconds(), nil
}
