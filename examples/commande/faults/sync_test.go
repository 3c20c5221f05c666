//go:build linux

package faults_test

import (
	"context"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

// TestF01_KilledAtEverySync kills the program at each of its syncs, in one run after the other: when it is about to begin its n-th, it is ended, and that sync never takes place. In a run it starts, an order is
// placed that goes well, and one that is undone, and it is told to stop. How many syncs that makes is counted first, in a run that nothing disturbs. Of the first start on an empty folder, which mostly makes
// the broker's files, only one sync in so many is tried; -every 1 tries all.
func TestF01_KilledAtEverySync(t *testing.T) {
	t.Parallel()
	first := rand.New(rand.NewPCG(chosen(t), 1000)).IntN(*every)
	folder := prepared(t)
	for name, c := range map[string]sweep{
		"first start": {t.TempDir(), delivered(), 1 + first, *every},
		"odd syncs":   {folder, prepares(), 1, 2},
		"even syncs":  {folder, prepares(), 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// sweep is runs of the script on copies of one folder, each killed some syncs later than the one before.
type sweep struct {
	folder      string
	full        map[string]int // what was in stock
	first, step int
}

// run goes on until a run comes to its end alive. That must not be much earlier than where the undisturbed one did: a few syncs more or less are made as commits happen to meet.
func (s sweep) run(t *testing.T) {
	t.Helper()
	undisturbed := s.killedAt(t, 0)
	least := undisturbed - undisturbed/10
	kills := 0
	for n := s.first; ; n += s.step {
		made := s.killedAt(t, n)
		if made == n {
			kills++
			continue
		}
		if made < least {
			t.Errorf("a run had only %d syncs; undisturbed it has %d", made, undisturbed)
		}
		if n > undisturbed {
			t.Logf("killed at %d syncs; an undisturbed run has %d, and the last one that was to be killed had %d", kills, undisturbed, made)
			return
		}
	}
}

// killedAt runs the script on a copy of the folder, killed at its n-th sync, looks at what is left, and returns how many syncs the program began: n, or fewer if it came to its end before.
func (s sweep) killedAt(t *testing.T, n int) (made int) {
	t.Helper()
	data := copied(t, s.folder)
	defer func() { _ = os.RemoveAll(data) }() // there are many, and what is left goes with the test
	p, customer, acknowledged := hold(t, data, n), newShop(t), make(placed)
	select {
	case <-p.ready:
		customer.opens(p.process)
		customer.script(t, acknowledged)
		p.signal(syscall.SIGTERM)
	case <-p.ended:
	}
	p.code(t)
	p.end(t)
	after := start(t, data)
	customer.opens(after)
	customer.script(t, acknowledged)
	b := customer.books(t, after)
	b.full = s.full
	b.settle(t)
	if len(acknowledged) != 2 || b.view(t, acknowledged["good"].id).Outcome != "completed" || b.view(t, acknowledged["bad"].id).Outcome != "compensated" {
		t.Errorf("%+v", acknowledged)
	}
	if ids, _ := b.orders(t); len(ids) != 2 {
		t.Errorf("two keys made %d orders", len(ids))
	}
	b.audit(t, acknowledged)
	after.kill()
	if t.Failed() {
		t.Fatalf("killed at sync %d", n)
	}
	if killed := p.cmd.ProcessState.ExitCode() == -1; killed != (p.syncs == n) {
		t.Fatalf("killed at sync %d of %d, and it ended so: %v", n, p.syncs, p.cmd.ProcessState)
	}
	return p.syncs
}

// script places two orders, and waits for their ends. What was acknowledged before must be acknowledged as the same.
func (s *shop) script(t *testing.T, acknowledged placed) {
	t.Helper()
	for _, o := range []struct{ key, card string }{{"good", accepted}, {"bad", declined}} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		p := purchaseOf(o.card)
		id, err := s.order(ctx, p, o.key, "Prefer", "wait=30")
		cancel()
		if err != nil {
			t.Error(err)
		}
		if before := acknowledged[o.key].id; before != "" && id != "" && before != id {
			t.Errorf("the key of order %s now stands for %s", before, id)
		}
		if id != "" {
			acknowledged[o.key] = ordered{p, id}
		}
	}
}
