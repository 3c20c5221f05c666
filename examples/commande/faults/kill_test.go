//go:build unix

package faults_test

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestF01_KilledAtRandomLosesNothing kills the program again and again while customers order, and asks it to go on each time: one kill in four meets it while it starts, the others while it works.
func TestF01_KilledAtRandomLosesNothing(t *testing.T) {
	t.Parallel()
	data, chance := prepared(t), chosen(t)
	r := rand.New(rand.NewPCG(chance, 1000))
	s := newShop(t)
	var load *customers
	began, starting := time.Now(), 0
	for n := range *kills {
		p := launch(t, data)
		if n > 0 && r.IntN(4) == 0 {
			p.spare(t, time.Duration(r.IntN(250))*time.Millisecond)
			starting++
		} else {
			p.await(t)
			if n == 0 {
				load = customersOf(t, s, chance, 10)
			}
			s.opens(p)
			some := load.taken.Load() + r.Int64N(3) // on a slow machine too there is something to lose
			eventually(t, "the load is under way", func() bool { return load.taken.Load() >= some })
			p.spare(t, min(time.Duration(r.ExpFloat64()*120)*time.Millisecond, time.Second))
		}
		s.closes()
		p.kill()
	}
	t.Logf("%d kills in %s, %d of them while it started; %d orders acknowledged", *kills, time.Since(began).Round(time.Second), starting, load.taken.Load())
	p := start(t, data)
	acknowledged := load.leave()
	if len(acknowledged) < *kills/2 {
		t.Errorf("only %d orders were acknowledged: that is no load", len(acknowledged))
	}
	b := s.books(t, p)
	t.Logf("every order had its outcome %s after the last start", b.settle(t).Round(10*time.Millisecond))
	b.audit(t, acknowledged)
	p.stop(t)
	sound(t, data)
}

// spare lets the program run for a while, in which it must not end by itself.
func (p *process) spare(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-p.ended:
		t.Fatalf("the program ended by itself: %v\n%s", p.cmd.ProcessState, p.problems.String())
	}
}
