//go:build unix

package faults_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skaldhq/skald/store/sqlitestore"
)

// shortest is the shortest time that the program is stopped for.
const shortest = time.Second

// TestF17_StoppedAndContinuedLosesNothing stops the program in the middle of orders, as a machine that sleeps or a debugger does, for one second to twenty, and lets it go on. While it is stopped customers lose patience and ask again,
// and somebody starts the program a second time on the same data.
func TestF17_StoppedAndContinuedLosesNothing(t *testing.T) {
	t.Parallel()
	data, chance := prepared(t), chosen(t)
	r := rand.New(rand.NewPCG(chance, 1000))
	p, s := start(t, data), newShop(t)
	b := s.books(t, p)
	s.opens(p)
	load := customersOf(t, s, chance, 8)
	among := func() time.Duration { // more short ones than long ones
		return time.Duration(float64(shortest) * math.Pow(float64(*longest)/float64(shortest), r.Float64()))
	}
	var asleep time.Duration
	stops := []time.Duration{shortest, among(), *longest, among()}
	for n, d := range stops {
		more := load.taken.Load() + 10
		eventually(t, "the load is under way", func() bool { return load.taken.Load() >= more })
		p.spare(t, time.Duration(r.IntN(300))*time.Millisecond)
		p.signal(syscall.SIGSTOP)
		began := time.Now()
		if n == 0 {
			p.refusesOthers(t, data)
		}
		p.spare(t, d)
		p.signal(syscall.SIGCONT)
		asleep += time.Since(began)
	}
	more := load.taken.Load() + 10
	eventually(t, "it goes on", func() bool { return load.taken.Load() >= more })
	acknowledged := load.leave()
	t.Logf("stopped for %v, %s in all; %d orders acknowledged", stops, asleep.Round(time.Millisecond), len(acknowledged))
	b.settle(t)
	b.audit(t, acknowledged)
	p.stop(t)
	sound(t, data)
}

// refusesOthers checks that a stopped program keeps its data to itself: a second one is refused before it changed anything, so that there is nothing for the sleeper to be surprised by.
func (p *process) refusesOthers(t *testing.T, data string) {
	t.Helper()
	holder := fmt.Sprintf("is open in process %d; stop it first", p.cmd.Process.Pid)
	second := launch(t, data)
	if code := second.code(t); code != 1 || !strings.Contains(second.problems.String(), holder) {
		t.Errorf("a second program on the same data ended with code %d; want 1 and %q:\n%s", code, holder, second.problems.String())
	}
	journals, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(data, "orchestrator.db")})
	if err == nil {
		_ = journals.Close() // that it could be opened is the fault
	}
	if err == nil || !strings.Contains(err.Error(), holder) {
		t.Errorf("opening the journals beside it: %v; want %q", err, holder)
	}
}
