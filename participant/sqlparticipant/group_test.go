package sqlparticipant

import (
	"context"
	"errors"
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

// TestNothingIsCommittedBeforeItsCause does work that follows from what may not be durable yet: alone, and beside other work.
func TestNothingIsCommittedBeforeItsCause(t *testing.T) {
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
	there := func() (n int) {
		if err := db.QueryRow(`SELECT count(*) FROM done`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	next := 0
	insert := func(ctx context.Context, began func()) error {
		next++
		n := next
		return p.transact(ctx, func(tx transaction) (bool, error) {
			began()
			_, err := tx.run(ctx, `INSERT INTO done (n) VALUES (?)`, n)
			return true, err
		})
	}
	for _, alone := range []bool{false, true} {
		if alone {
			p.lone.Store(loneAfter)
		}
		before := there()
		began, durable, ended := make(chan struct{}), make(chan error), make(chan error)
		ctx := participant.WithCause(t.Context(), func(context.Context) error { return <-durable })
		go func() { ended <- insert(ctx, func() { close(began) }) }()
		<-began
		if n := there() - before; n != 0 {
			t.Errorf("alone %t: %d rows before the cause is durable", alone, n)
		}
		durable <- nil
		if err := <-ended; err != nil || there()-before != 1 {
			t.Errorf("alone %t: %d rows when it is (%v)", alone, there()-before, err)
		}
		lost := errors.New("lost")
		ctx = participant.WithCause(t.Context(), func(context.Context) error { return lost })
		if err := insert(ctx, func() {}); !errors.Is(err, lost) || there()-before != 1 {
			t.Errorf("alone %t: %d rows, one of them of what was lost (%v)", alone, there()-before, err)
		}
	}
	batch := []*shared{{ctx: t.Context()}, {ctx: participant.WithCause(t.Context(), func(context.Context) error { return errors.New("lost") })}}
	for i, j := range batch {
		j.done = make(chan struct{})
		j.do = func(tx transaction) (bool, error) {
			_, err := tx.run(j.ctx, `INSERT INTO done (n) VALUES (?)`, 100+i)
			return true, err
		}
	}
	before := there()
	if p.together(batch) || there() != before {
		t.Errorf("together, with one whose cause is lost: %d rows more", there()-before)
	}
}
