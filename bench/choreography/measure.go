package choreography

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/bench/figure"
	"github.com/skaldhq/skald/bench/load"
)

// Config says how much is measured.
type Config struct {
	Dir    string        // where the files lie; it should be on the disk that matters
	Rounds int           // interleaved
	Slice  time.Duration // how long each part of a round takes

	Parts    *regexp.Regexp // of the names of those to measure; nil: all
	Profiles string         // folder for profiles of the processor's time, one for each part of the last round; none
}

// bed is everything that is measured, on fresh files.
type bed struct {
	*system
	Config
	floor  *bare
	byHand *hand
	set    *figure.Set
	turn   int // of withoutTracker
}

// Measure adds the figures of choreographed sagas to a set.
func Measure(ctx context.Context, c Config, set *figure.Set) (err error) {
	dir, err := os.MkdirTemp(c.Dir, "skald-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bed{Config: c, set: set}
	for _, part := range []string{"skald", "floor", "hand"} {
		if err := os.Mkdir(filepath.Join(dir, part), 0o700); err != nil {
			return err
		}
	}
	if b.system, err = open(ctx, filepath.Join(dir, "skald")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.system.stop(context.WithoutCancel(ctx))) }()
	if b.floor, err = openBare(ctx, filepath.Join(dir, "floor")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.floor.stop()) }()
	if b.byHand, err = openHand(ctx, filepath.Join(dir, "hand")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.byHand.stop()) }()
	if _, err := load.Run(ctx, 8, time.Second, func(ctx context.Context) error { return b.one(ctx, order{SKU: "warm"}) }); err != nil { // files, caches and statements
		return err
	}
	for range c.Rounds {
		if err := b.round(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wanted says whether a part is to be measured.
func (b *bed) wanted(name string) bool { return b.Parts == nil || b.Parts.MatchString(name) }

// round measures everything once.
func (b *bed) round(ctx context.Context) error {
	for _, lanes := range []int{1, 64} {
		if err := b.publishes(ctx, fmt.Sprintf("bare.jetstream.c%d", lanes), lanes); err != nil {
			return err
		}
		for _, path := range []string{"happy", "refused"} {
			if err := b.path(ctx, fmt.Sprintf("skald.choreographed.%s.c%d", path, lanes), path, lanes); err != nil {
				return fmt.Errorf("%s, %d in flight: %w", path, lanes, err)
			}
		}
		if err := b.hand(ctx, fmt.Sprintf("hand.jetstream.happy.c%d", lanes), lanes); err != nil {
			return fmt.Errorf("by hand, %d in flight: %w", lanes, err)
		}
	}
	return errors.Join(
		b.besideStuckSagas(ctx, "skald.choreographed.happy.c32.beside_stuck_sagas"),
		b.besideSlowParticipant(ctx, "skald.choreographed.happy.c32.beside_slow_participant"),
		b.besideStuckSession(ctx, "broker.sessions.c32.beside_stuck_session"),
		b.withoutTracker(ctx, "skald.choreographed.happy.batch.tracker_stopped"),
	)
}

// publishes measures the broker alone.
func (b *bed) publishes(ctx context.Context, name string, lanes int) error {
	if !b.wanted(name) {
		return nil
	}
	all, err := b.run(ctx, lanes, func(ctx context.Context) error { return b.floor.one(ctx, uuid.NewString(), 1, 0) })
	b.set.Add(name+".rate", all.rate(), "publishes/s")
	return err
}

// lot is what was done in a time, which includes the ends of what was begun in it.
type lot struct {
	took    []time.Duration
	elapsed time.Duration
}

func (l *lot) rate() float64        { return float64(len(l.took)) / l.elapsed.Seconds() }
func (l *lot) ms(q float64) float64 { return figure.Quantile(l.took, q).Seconds() * 1e3 }

// run does something for a slice of time.
func (b *bed) run(ctx context.Context, lanes int, one func(ctx context.Context) error) (lot, error) {
	began := time.Now()
	took, err := load.Run(ctx, lanes, b.Slice, one)
	return lot{took, time.Since(began)}, err
}

// counts is what a saga took on average.
type counts struct{ publishes, commits, tracker, cpu, allocated, allocations float64 }

// sagas runs sagas for a time.
func (b *bed) sagas(ctx context.Context, lanes int, o order) (lot, counts, error) {
	published := func() int64 { return b.system.broker.decided.Load() + b.system.broker.published.Load() }
	p, c, t, used := published(), b.databaseCommits(), b.tracker.n.Load(), load.CPU()
	bytes, objects := load.Allocated()
	all, err := b.run(ctx, lanes, func(ctx context.Context) error { return b.one(ctx, o) })
	bytesAfter, objectsAfter := load.Allocated()
	n := float64(max(len(all.took), 1))
	return all, counts{
		allocated: float64(bytesAfter-bytes) / 1024 / n, allocations: float64(objectsAfter-objects) / n,
		publishes: float64(published()-p) / n, commits: float64(b.databaseCommits()-c) / n, tracker: float64(b.tracker.n.Load()-t) / n,
		cpu: (load.CPU() - used).Seconds() * 1e3 / n,
	}, err
}

// path measures one way through the order, and the floor of just as many publishes and commits, those of the tracker included.
func (b *bed) path(ctx context.Context, name, path string, lanes int) error {
	if !b.wanted(name) {
		return nil
	}
	stop, err := load.Profile(b.Profiles, name)
	if err != nil {
		return err
	}
	all, per, err := b.sagas(ctx, lanes, order{SKU: "CAF-001", Amount: 1, Refuse: path == "refused"})
	err = errors.Join(err, stop())
	if err != nil {
		return err
	}
	publishes, commits := int(math.Round(per.publishes)), int(math.Round(per.commits+per.tracker))
	floor, err := b.run(ctx, lanes, func(ctx context.Context) error { return b.floor.one(ctx, uuid.NewString(), publishes, commits) })
	if err != nil {
		return err
	}
	b.compare(name, &all, &floor)
	b.set.Add(name+".cpu", per.cpu, "ms")
	b.set.Add(name+".allocated", per.allocated, "KB")
	b.set.Add(name+".allocations", per.allocations, "/saga")
	b.set.Add(name+".publishes", per.publishes, "/saga")
	b.set.Add(name+".commits", per.commits, "/saga")
	b.set.Add(name+".tracker.commits", per.tracker, "/saga")
	return nil
}

// hand measures the order by hand, and the floor of its publishes and commits.
func (b *bed) hand(ctx context.Context, name string, lanes int) error {
	if !b.wanted(name) {
		return nil
	}
	used := load.CPU()
	all, err := b.run(ctx, lanes, func(ctx context.Context) error { return b.byHand.one(ctx, order{SKU: "CAF-001", Amount: 1}) })
	if err != nil {
		return err
	}
	cpu := (load.CPU() - used).Seconds() * 1e3 / float64(max(len(all.took), 1))
	steps := len(handSteps())
	floor, err := b.run(ctx, lanes, func(ctx context.Context) error { return b.floor.one(ctx, uuid.NewString(), 1+steps, steps) })
	if err != nil {
		return err
	}
	b.compare(name, &all, &floor)
	b.set.Add(name+".cpu", cpu, "ms")
	return nil
}

// compare adds the figures that everything has beside its floor.
func (b *bed) compare(name string, all, floor *lot) {
	b.set.Add(name+".rate", all.rate(), "sagas/s")
	b.set.Add(name+".p50", all.ms(.5), "ms")
	b.set.Add(name+".p99", all.ms(.99), "ms")
	b.set.Add(name+".floor.rate", floor.rate(), "sagas/s")
	b.set.Add(name+".floor.p50", floor.ms(.5), "ms")
	b.set.Add(name+".of_floor.rate", all.rate()/floor.rate(), "x")
	b.set.Add(name+".of_floor.p50", all.ms(.5)/floor.ms(.5), "x")
}
