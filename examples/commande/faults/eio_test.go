//go:build linux

package faults_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestF21_SyncThatFailsEndsTheProgram has the disk fail to sync a database from some sync on, while customers order: the program ends by itself, and at once: nothing is written to that database any more, and it is
// never synced again, because a disk that failed once may then say that all is well. The next start goes on from what is durable.
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
	report := new(text)
	p, told := underStrace(t, data, fmt.Sprintf("error=EIO:when=%d+", n), []string{database + ".db", database + ".db-wal"}, report)
	select {
	case <-p.ready:
		s.opens(p)
	case <-p.ended:
	}
	if code := p.code(t); code != 1 || !strings.Contains(p.problems.String(), "The order system has failed") && !strings.Contains(p.problems.String(), "The order system cannot start") {
		t.Errorf("the program ended with code %d:\n%s", code, p.problems.String())
	}
	told()
	_, after, found := strings.Cut(report.String(), "EIO")
	if !found {
		t.Fatalf("no sync failed:\n%s", report.String())
	}
	for _, call := range strings.Split(writes+","+syncs, ",") {
		if strings.Contains(after, call+"(") { // that it begins; one that was under way may end
			t.Errorf("after a sync had failed there was %s:\n%s", call, report.String())
		}
	}
}
