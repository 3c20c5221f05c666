package sqlparticipant

import (
	"context"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/skaldhq/skald/participant"
)

// Who has been alone for long does its work by itself; when others come meanwhile, they share a transaction.
func TestWhoIsAloneSharesAgainWhenOthersCome(t *testing.T) {
	db, err := OpenSQLite(filepath.Join(t.TempDir(), "stock.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	do := func(context.Context, participant.Tx, []byte) ([]byte, error) { return nil, nil }
	p, err := New(Config{DB: db, Dialect: SQLite, Name: "stock"}, participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Do: do})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE done (n INTEGER PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	work := func(n int, first func()) error {
		return p.transact(t.Context(), func(tx transaction) (bool, error) {
			first()
			_, err := tx.run(t.Context(), `INSERT INTO done (n) VALUES (?)`, n)
			return true, err
		})
	}
	const alone, others = 2 * loneAfter, 20
	for n := range alone {
		if err := work(n, func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.lone.Load(); n < loneAfter {
		t.Fatalf("%d in a row were alone, want at least %d", n, loneAfter)
	}
	before := p.Commits()
	busy, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	begin := func(n int, first func()) {
		all.Go(func() {
			if err := work(n, first); err != nil {
				t.Error(err)
			}
		})
	}
	begin(alone, func() { close(busy); <-release })
	<-busy
	for n := range others {
		begin(alone+1+n, func() {})
	}
	for waiting := 0; waiting < others; runtime.Gosched() {
		p.queue.mu.Lock()
		waiting = len(p.queue.jobs)
		p.queue.mu.Unlock()
	}
	close(release)
	all.Wait()
	var done int
	if err := db.QueryRow(`SELECT count(*) FROM done`).Scan(&done); err != nil {
		t.Fatal(err)
	}
	if commits := p.Commits() - before; done != alone+1+others || commits != 2 {
		t.Errorf("%d things are done, and the last %d took %d commits, want one for the first and one for all others", done, 1+others, commits)
	}
}
