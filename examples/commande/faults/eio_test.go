//go:build linux

package faults_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestF21_SyncThatFailsEndsTheProgram has the disk fail to sync a database from some sync on, while customers order: the program ends at once and by itself, and never syncs that database again, because a
// disk that failed once may then say that all is well. The next start goes on from what is durable.
func TestF21_SyncThatFailsEndsTheProgram(t *testing.T) {
	t.Parallel()
	needStrace(t)
	folder, chance := prepared(t), chosen(t)
	for _, c := range []struct {
		database string
		n        int // the sync that fails, and all after it; counted for each thread
	}{
		{"orchestrator", 1}, {"orchestrator", 2}, {"orchestrator", 3}, {"orchestrator", 6}, {"orchestrator", 12},
		{"events", 1}, {"events", 4}, {"paiement", 2}, {"inventaire", 1}, {"inventaire", 4},
	} {
		t.Run(fmt.Sprintf("%s from sync %d on", c.database, c.n), func(t *testing.T) {
			data, s := copied(t, folder), newShop(t)
			load := customersOf(t, s, chance, 6)
			failsToSync(t, s, data, c.database, c.n)
			s.closes()
			p := start(t, data)
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

// failsToSync runs the program for customers until the disk fails.
func failsToSync(t *testing.T, s *shop, data, database string, n int) {
	t.Helper()
	report, failed := new(text), make(chan time.Time, 1)
	p, told := underStrace(t, data, fmt.Sprintf("error=EIO:when=%d+", n), []string{database + ".db", database + ".db-wal"}, func(*process) io.Writer {
		return io.MultiWriter(report, &counter{word: "EIO", n: 1, then: func() { failed <- time.Now() }})
	})
	select {
	case <-p.ready:
		s.opens(p)
	case <-p.ended:
	}
	if code := p.code(t); code != 1 || !strings.Contains(p.problems.String(), "The order system has failed") && !strings.Contains(p.problems.String(), "The order system cannot start") {
		t.Errorf("the program ended with code %d:\n%s", code, p.problems.String())
	}
	ended := time.Now()
	told()
	if _, after, found := strings.Cut(report.String(), "EIO"); !found || strings.Contains(after, "sync(") {
		t.Fatalf("no sync failed, or another followed:\n%s", report.String())
	}
	took := ended.Sub(<-failed)
	t.Logf("it ended %s after the sync had failed", took.Round(time.Millisecond))
	if took > 5*time.Second {
		t.Error("that is not at once")
	}
}
