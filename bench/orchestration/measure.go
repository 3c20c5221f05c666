package orchestration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/skaldhq/skald/bench/figure"
)

// Config says how much is measured.
type Config struct {
	Dir      string         // where the files lie; it should be on the disk that matters
	Rounds   int            // interleaved
	Slice    time.Duration  // how long each part of a round takes, after a third of it to warm up
	History  int            // ended sagas in the store whose throughput is compared with that of an empty one; 0: not
	Open     int            // sagas without an outcome in the store with which the engine is started; 0: not
	Sleeping int            // sagas that sleep in a retry when they are weighed; 0: not
	Parts    *regexp.Regexp // of the names of those to measure, beside the floor; nil: all
	Profiles string         // folder for profiles of the processor's time, one for each part; none
}

// bed is what all parts of a run share.
type bed struct {
	Config
	set     *figure.Set
	address string
	dir     string
	history string // folder of the store with ended sagas
}

// Measure adds the figures of orchestrated sagas to a set. It starts this program again for each part; see Role.
func Measure(ctx context.Context, c Config, set *figure.Set) (err error) {
	b := &bed{Config: c, set: set}
	if b.dir, err = os.MkdirTemp(c.Dir, "skald-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	others, err := startParticipants(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, others.stop()) }()
	b.address = others.address
	if c.History > 0 {
		if b.history, err = b.filled(ctx, c.History, false); err != nil {
			return err
		}
	}
	for range c.Rounds {
		if err := b.round(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the parts to measure.
func (c *Config) wanted() []part {
	return slices.DeleteFunc(parts(), func(p part) bool {
		return c.Parts != nil && !p.bare() && !c.Parts.MatchString(p.name())
	})
}

// parts are what every round measures, in this order, so that what is compared stands close to each other.
func parts() (all []part) {
	for _, lanes := range []int{1, 64} {
		add := func(p part) {
			p.Do, p.Lanes = doLoad, lanes
			all = append(all, p)
		}
		skald := func(through, path string, strict bool) {
			add(part{Subject: subjectSkald, Through: through, Path: path, Strict: strict})
		}
		add(part{Subject: subjectFloor, Path: pathHappy})
		if lanes == 1 {
			add(part{Subject: subjectSynced, Path: pathHappy})
		}
		add(part{Subject: subjectFloor, Through: throughAPI, Path: pathHappy})
		skald(throughLibrary, pathHappy, false)
		skald(throughLibrary, pathRefused, false)
		skald(throughAPI, pathHappy, false)
		skald(throughAPI, pathRefused, false)
		add(part{Subject: subjectHand, Path: pathHappy})
		add(part{Subject: subjectHand, Path: pathRefused})
		skald(throughLibrary, pathHappy, true)
		skald(throughLibrary, pathRefused, true)
		skald(throughAPI, pathHappy, true)
		skald(throughAPI, pathRefused, true)
		skald(throughLibrary, pathPivot, false)
	}
	return all
}

// units of the figures of a part of kind load.
func units() map[string]string {
	return map[string]string{"rate": "sagas/s", "p50": "ms", "p99": "ms", "cpu": "ms", "load_cpu": "ms", "bytes": "B", "waits": "/saga", "commits": "/saga", "rss": "MiB"}
}

// round measures everything once.
func (b *bed) round(ctx context.Context) error {
	bare := map[int]figures{} // by lanes
	for _, p := range b.wanted() {
		f, err := b.run(ctx, p)
		if err != nil {
			return err
		}
		name := p.name()
		for what, unit := range units() {
			if v, ok := f[what]; ok {
				b.set.Add(name+"."+what, v, unit)
			}
		}
		if p.bare() {
			bare[p.Lanes] = f
			continue
		}
		calls := bare[p.Lanes]
		b.set.Add(name+".of_calls.rate", f["rate"]/calls["rate"], "x")
		b.set.Add(name+".of_calls.p50", f["p50"]/calls["p50"], "x")
		b.set.Add(name+".beyond_calls.cpu", f["cpu"]-calls["cpu"], "ms")
	}
	return errors.Join(b.past(ctx), b.asleep(ctx), b.started(ctx))
}

// run does a part on fresh files, unless it has some.
func (b *bed) run(ctx context.Context, p part) (f figures, err error) {
	p.Slice, p.Address, p.Profiles = b.Slice, b.address, b.Profiles
	if p.Dir == "" {
		if p.Dir, err = os.MkdirTemp(b.dir, "part-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(p.Dir)) }()
	}
	return p.run(ctx)
}

// filled makes a store with sagas in it and returns its folder.
func (b *bed) filled(ctx context.Context, n int, open bool) (string, error) {
	dir, err := os.MkdirTemp(b.dir, "filled-")
	if err != nil {
		return "", err
	}
	_, err = b.run(ctx, part{Do: doFill, Dir: dir, N: n, Open: open})
	return dir, err
}

// past compares the throughput with and without ended sagas in the store.
func (b *bed) past(ctx context.Context) error {
	if b.history == "" {
		return nil
	}
	p := part{Do: doLoad, Subject: subjectSkald, Through: throughLibrary, Path: pathHappy, Lanes: 64}
	empty, err := b.run(ctx, p)
	if err != nil {
		return err
	}
	p.Dir = b.history
	full, err := b.run(ctx, p)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("skald.sqlite.lazy.library.history%d.c64", b.History)
	b.set.Add(name+".rate", full["rate"], "sagas/s")
	b.set.Add(name+".of_empty.rate", full["rate"]/empty["rate"], "x")
	return nil
}

// asleep weighs sagas that sleep in a retry.
func (b *bed) asleep(ctx context.Context) error {
	if b.Sleeping == 0 {
		return nil
	}
	f, err := b.run(ctx, part{Do: doSleep, Lanes: 64, N: b.Sleeping, Failures: -1, MaxOpen: 2 * b.Sleeping})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("skald.sqlite.lazy.library.sleeping%d", b.Sleeping)
	b.set.Add(name+".heap", f["heap"], "B/saga")
	b.set.Add(name+".rss", f["rss"], "B/saga")
	return nil
}

// started starts the engine with many open sagas.
func (b *bed) started(ctx context.Context) (err error) {
	if b.Open == 0 {
		return nil
	}
	dir, err := b.filled(ctx, b.Open, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f, err := b.run(ctx, part{Do: doStartup, Dir: dir, N: b.Open, Failures: -1, MaxOpen: 2 * b.Open})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("skald.sqlite.lazy.library.open%d", b.Open)
	b.set.Add(name+".serving", f["serving"], "s")
	b.set.Add(name+".due_asked", f["due"], "s")
	b.set.Add(name+".all_gone_on_with", f["all"], "s")
	b.set.Add(name+".heap", f["heap"], "B/saga")
	return nil
}
