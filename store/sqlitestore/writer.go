package sqlitestore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	lib "modernc.org/sqlite/lib"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// head is where a saga's journal ends and its rows are.
type head struct {
	n      int64 // sagas.n
	last   int64 // records.n of its last records
	seq    uint64
	simple bool // as simple says; false if it is not known
}

// run is what a saga runs, as table runs has it.
type run struct {
	definition, version string
	mode                journal.Mode
}

// writer is the one connection that writes, and what it knows without asking. begin and end guard all of it.
type writer struct {
	*prepared
	turn chan struct{} // holds a token while somebody writes
	dead error         // why nothing can be written any more

	epoch  uint64
	sagaN  int64                   // highest sagas.n
	recN   int64                   // highest records.n
	skew   int64                   // highest sagas.n - sagas.started, or more
	heads  map[journal.SagaID]head // of open sagas; bounded
	cached int
	runs   map[run]int64
	wrote  func(pages int) // told of every commit

	ballast *ballast // nil: none is kept
	mark    mark
}

func openWriter(ctx context.Context, path string, cfg Config, b *ballast) (_ *writer, err error) {
	c, err := connect(ctx, path, writerPragmas)
	if err != nil {
		return nil, err
	}
	w := &writer{prepared: prepare(c), turn: make(chan struct{}, 1), cached: cfg.Cached, ballast: b, mark: mark{path: path + "-mark"},
		heads: map[journal.SagaID]head{}, runs: map[run]int64{}}
	if err := w.begins(ctx, path, cfg); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *writer) begins(ctx context.Context, path string, cfg Config) error {
	if err := migrate(ctx, w.conn, path); err != nil {
		return err
	}
	if cfg.MaxBytes > 0 {
		page, err := w.conn.int(ctx, "PRAGMA page_size") // a file keeps that with which it was made
		if err != nil {
			return readError(err)
		}
		if _, err := w.conn.int(ctx, fmt.Sprintf("PRAGMA max_page_count(%d)", max(cfg.MaxBytes/page, 1))); err != nil {
			return readError(err)
		}
	}
	for sql, to := range map[string]*int64{
		"SELECT ifnull(max(n), 0) FROM sagas":            &w.sagaN,
		lastRecord:                                       &w.recN,
		"SELECT value FROM counters WHERE name = 'skew'": &w.skew,
	} {
		n, err := w.conn.int(ctx, sql)
		if err != nil {
			return readError(err)
		}
		*to = n
	}
	epoch, err := w.conn.int(ctx, "SELECT value FROM counters WHERE name = 'epoch'")
	if err != nil {
		return readError(err)
	}
	w.epoch = uint64(epoch)
	if err := w.compare(path, cfg.Restored, cfg.Logger); err != nil {
		return err
	}
	return w.query("SELECT n, definition, version, mode FROM runs", func(row []driver.Value) {
		w.runs[run{text(row[1]), text(row[2]), journal.Mode(text(row[3]))}] = number(row[0])
	})
}

// begin waits for the writer's turn.
func (w *writer) begin(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if w.dead != nil {
		w.end()
		return w.dead
	}
	return nil
}

func (w *writer) end() { <-w.turn }

// transaction runs do and commits it. After an error nothing is written, except after an error of the disk: then it is
// unknown, and the writer is dead, because what the disk holds is only known after opening it again. Without room it gives the ballast back and does it again.
func (w *writer) transaction(do func() error) error {
	w.ballast.look()
	err := w.attempt(do)
	if errors.Is(err, store.ErrFull) && w.ballast.release() {
		err = w.attempt(do)
	}
	return err
}

func (w *writer) attempt(do func() error) error {
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("sqlitestore: beginning to write: %w", err) // nothing was touched
	}
	err := do()
	if err == nil {
		err = w.exec("COMMIT")
	}
	if err == nil {
		return nil
	}
	back := w.exec("ROLLBACK")
	switch {
	case code(err) == lib.SQLITE_FULL:
		return fullError(err)
	case duplicate(err) && back == nil:
		return err
	}
	w.dead = fmt.Errorf("sqlitestore: writing failed: %w; nothing more is written until the store is opened again", err)
	return w.dead
}

func (w *writer) acquire() (uint64, error) {
	next := w.epoch + 1
	err := w.transaction(func() error {
		return w.exec("UPDATE counters SET value = ? WHERE name = 'epoch'", int64(next))
	})
	if err != nil {
		return 0, err
	}
	w.epoch = next
	w.mark.write(w.reached())
	return next, nil
}

// find returns the head of a saga: from memory, or else from the file.
func (w *writer) find(id journal.SagaID) (h head, ok bool, err error) {
	if h, ok = w.heads[id]; ok {
		return h, true, nil
	}
	err = w.query("SELECT n, last, seq FROM sagas WHERE id = ?", func(row []driver.Value) {
		h, ok = head{n: number(row[0]), last: number(row[1]), seq: uint64(number(row[2]))}, true
	}, string(id))
	return h, ok, err
}

// remember keeps the head of an open saga and forgets that of an ended one, which is hardly ever continued.
func (w *writer) remember(id journal.SagaID, h head, state store.State) {
	if state.Ended() {
		delete(w.heads, id)
		return
	}
	if len(w.heads) >= w.cached {
		for other := range w.heads { // any one: the order of a map is as good as another
			delete(w.heads, other)
			break
		}
	}
	w.heads[id] = h
}
