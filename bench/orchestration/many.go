package orchestration

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/skaldhq/skald/bench/load"
)

// patience is how long something may take before it is given up.
const patience = 10 * time.Minute

// until looks again and again, a hundred times a second, whether something has become true.
func until(ctx context.Context, what string, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		}
	}
	return nil
}

// heap is how many bytes live in Go's heap now.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what has a finalizer goes with the second
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// sleep starts sagas whose payment says that it is to be asked in five minutes, and weighs them once all of them sleep.
func (p *part) sleep(ctx context.Context) (f figures, err error) {
	l, err := openLibrary(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.stop(context.WithoutCancel(ctx))) }()
	if _, err := load.Run(ctx, p.Lanes, p.Slice/3, func(ctx context.Context) error { return l.one(ctx, order{SKU: "CAF-001"}) }); err != nil {
		return nil, err
	}
	before, rss := heap(), load.RSS()
	var started atomic.Int64
	enough := errors.New("enough are asleep")
	_, err = load.Run(ctx, p.Lanes, patience, func(ctx context.Context) error {
		n := started.Add(1)
		if n > int64(p.N) {
			return enough
		}
		// A coordinator takes no more starts than its participants can follow.
		if err := until(ctx, "sagas that were started before sleep", func() bool { return n-l.watched.retried.Load() <= int64(4*p.Lanes) }); err != nil {
			return err
		}
		_, err := l.saga.Start(ctx, l.engine, order{SKU: "CAF-001", Amount: 1, Sleep: true})
		return err
	})
	if !errors.Is(err, enough) {
		return nil, err
	}
	err = until(ctx, "all sagas sleep", func() bool { return l.watched.retried.Load() >= int64(p.N) && l.engine.Health().Active == 0 })
	if err != nil {
		return nil, err
	}
	n := float64(p.N)
	return figures{"heap": (heap() - before) / n, "rss": float64(load.RSS()-rss) / n}, nil
}

// startup opens a store that is full of open sagas.
func (p *part) startup(ctx context.Context) (f figures, err error) {
	before := heap()
	began := time.Now()
	l, err := openLibrary(ctx, p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.stop(context.WithoutCancel(ctx))) }()
	if err := l.one(ctx, order{SKU: "CAF-001", Amount: 1}); err != nil {
		return nil, err
	}
	f = figures{"serving": time.Since(began).Seconds()}
	due := int64((p.N + dueOf - 1) / dueOf)
	if err := until(ctx, "all due sagas were asked again", func() bool { return l.watched.retried.Load() >= due }); err != nil {
		return nil, err
	}
	f["due"] = time.Since(began).Seconds()
	if err := until(ctx, "all sagas are gone on with", func() bool {
		h := l.engine.Health()
		return h.InFlight >= p.N && h.Active == 0 && h.Backlog == 0
	}); err != nil {
		return nil, err
	}
	f["all"], f["heap"] = time.Since(began).Seconds(), (heap()-before)/float64(p.N)
	return f, nil
}
