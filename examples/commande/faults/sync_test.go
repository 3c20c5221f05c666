//go:build linux

package faults_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestF01_KilledAtEverySync kills the program at each of its syncs, one run after the other, until a run comes through alive: strace holds each sync up for a moment and tells of it, and at the n-th the program
// is killed. In the runs an order is placed that goes well, and one that is undone. Of the first start on an empty folder, which mostly makes the broker's files, only one sync in
// so many is tried; -every 1 tries all.
func TestF01_KilledAtEverySync(t *testing.T) {
	t.Parallel()
	needStrace(t)
	first := rand.New(rand.NewPCG(chosen(t), 1000)).IntN(*every)
	folder := prepared(t)
	for name, c := range map[string]struct {
		folder      string
		full        map[string]int
		first, step int
	}{
		"first start": {t.TempDir(), delivered(), 1 + first, *every},
		"odd syncs":   {folder, prepares(), 1, 2},
		"even syncs":  {folder, prepares(), 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := c.first; ; n += c.step {
				if !killedAtSync(t, c.folder, c.full, n) {
					t.Logf("there are fewer than %d syncs", n)
					return
				}
			}
		})
	}
}

// killedAtSync runs the script on a copy of a folder, has it killed at the n-th sync, and looks at what is left. It is false if there were not so many.
func killedAtSync(t *testing.T, folder string, full map[string]int, n int) (killed bool) {
	t.Helper()
	data := copied(t, folder)
	defer func() { _ = os.RemoveAll(data) }() // there are many, and what is left goes with the test
	reached := make(chan struct{})
	p, _ := underStrace(t, data, "delay_enter=4ms", nil, func(p *process) io.Writer {
		return &counter{word: "sync(", n: n, then: func() {
			close(reached)
			p.kill()
		}}
	})
	s := newShop(t)
	acknowledged := make(placed)
	select {
	case <-p.ready:
		s.opens(p)
		s.script(t, acknowledged)
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("at sync %d: the program is neither ready nor killed:\n%s", n, p.problems.String())
	}
	select {
	case <-reached:
		killed = true
	default: // the script came to its end
	}
	p.kill()
	if p.cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("at sync %d: the program ended by itself: %v\n%s", n, p.cmd.ProcessState, p.problems.String())
	}
	after := start(t, data)
	s.opens(after)
	s.script(t, acknowledged)
	b := s.books(t, after)
	b.full = full
	b.settle(t)
	if len(acknowledged) != 2 || b.view(t, acknowledged["good"].id).Outcome != "completed" || b.view(t, acknowledged["bad"].id).Outcome != "compensated" {
		t.Errorf("at sync %d: %+v", n, acknowledged)
	}
	if ids, _ := b.orders(t); len(ids) != 2 {
		t.Errorf("at sync %d: two keys made %d orders", n, len(ids))
	}
	b.audit(t, acknowledged)
	after.kill()
	if t.Failed() {
		t.Fatalf("killed at sync %d", n)
	}
	return killed
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
