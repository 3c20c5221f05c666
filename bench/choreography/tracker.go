package choreography

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// batch is how many orders are started before the first of them may begin.
const batch = 800

// withoutTracker measures how fast orders get on after the program is stopped that started them, and with it the tracker and the initiator, beside how fast they do while it runs.
func (b *bed) withoutTracker(ctx context.Context, name string) error {
	if !b.wanted(name) {
		return nil
	}
	b.turn++
	first := b.turn%2 == 0 // each comes first every other time
	rates := map[bool]float64{}
	for _, stopped := range []bool{first, !first} {
		var err error
		if rates[stopped], err = b.confirmed(ctx, stopped); err != nil {
			return err
		}
	}
	b.set.Add(name+".rate", rates[true], "sagas/s")
	b.set.Add(name, rates[true]/rates[false], "x")
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
	s.gate.Lock()
	raise := sync.OnceFunc(s.gate.Unlock)
	defer raise()
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
	raise()
	for s.ends.Load() < batch {
		if rest(ctx, time.Millisecond); ctx.Err() != nil {
			return 0, fmt.Errorf("%d of %d orders were confirmed: %w", s.ends.Load(), batch, ctx.Err())
		}
	}
	return batch / time.Since(began).Seconds(), nil
}
