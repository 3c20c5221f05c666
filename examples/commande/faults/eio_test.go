//go:build linux

package faults_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestF21_SyncThatFailsEndsTheProgram has the disk fail to sync the journal from some sync on, while customers order: the program ends at once and by itself, and never syncs that file again, because a disk
// that failed once may then say that all is well. The next start goes on from what is durable.
func TestF21_SyncThatFailsEndsTheProgram(t *testing.T) {
	t.Parallel()
	needStrace(t)
	folder := prepared(t)
	chance := chosen(t)
	for _, n := range []int{1, 2, 3, 5, 9, 17} { // counted for each thread
		t.Run(fmt.Sprintf("from sync %d of a thread on", n), func(t *testing.T) {
			data := copied(t, folder)
			report, s := new(text), newShop(t)
			failed := make(chan time.Time, 1)
			p := underStrace(t, data, fmt.Sprintf("error=EIO:when=%d+", n), []string{"orchestrator.db", "orchestrator.db-wal"}, func(*process) io.Writer {
				return io.MultiWriter(report, &counter{word: "EIO", n: 1, then: func() { failed <- time.Now() }})
			})
			load := customersOf(t, s, chance, 6)
			select {
			case <-p.ready:
				s.opens(p)
			case <-p.ended:
			}
			if code := p.code(t); code != 1 || !strings.Contains(p.problems.String(), "nothing more is written until the store is opened again") {
				t.Errorf("the program ended with code %d:\n%s", code, p.problems.String())
			}
			if took := time.Since(<-failed); took > 5*time.Second {
				t.Errorf("it ended only %s after the sync had failed", took)
			}
			s.closes()
			if _, after, failed := strings.Cut(report.String(), "EIO"); !failed || strings.Contains(after, "sync(") {
				t.Errorf("synced again after a sync that failed:\n%s", report.String())
			}
			p = start(t, data)
			s.opens(p)
			more := load.taken.Load() + 10
			eventually(t, "the load is under way", func() bool { return load.taken.Load() >= more })
			acknowledged := load.leave()
			b := s.books(t, p)
			b.settle(t)
			b.audit(t, acknowledged)
			p.stop(t)
			sound(t, data)
		})
	}
}
