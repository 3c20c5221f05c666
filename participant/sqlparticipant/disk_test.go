package sqlparticipant

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	lib "modernc.org/sqlite/lib"
)

// coded is an error as SQLite's are.
type coded int

func (coded) Error() string { return "the disk says no" }

func (c coded) Code() int { return int(c) }

func TestF21_NothingIsWrittenAfterASyncThatFailed(t *testing.T) {
	db, err := OpenSQLite(filepath.Join(t.TempDir(), "a.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `CREATE TABLE t (n INTEGER) STRICT`); err != nil {
		t.Fatal(err)
	}
	d, ok := db.Driver().(*disk)
	if !ok {
		t.Fatalf("the database is made by a %T", db.Driver())
	}
	for _, harmless := range []error{nil, errors.New("?"), coded(lib.SQLITE_FULL), coded(lib.SQLITE_BUSY), coded(lib.SQLITE_IOERR_READ)} {
		if err := d.look(harmless); !errors.Is(err, harmless) || d.alive() != nil {
			t.Errorf("%v became %v, and the disk is %v", harmless, err, d.alive())
		}
	}
	before, err := db.PrepareContext(t.Context(), `INSERT INTO t VALUES (?) RETURNING n`)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	begun, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.look(coded(lib.SQLITE_IOERR_FSYNC)); !errors.Is(err, coded(lib.SQLITE_IOERR_FSYNC)) || !strings.Contains(err.Error(), "until a new process opens it") {
		t.Errorf("a sync that failed is told as %v", err)
	}
	select {
	case <-Failed(db):
	default:
		t.Error("nobody is told")
	}
	if err := begun.Commit(); err == nil {
		t.Error("what was begun before was committed")
	}
	if _, err := db.BeginTx(t.Context(), nil); !errors.Is(err, coded(lib.SQLITE_IOERR_FSYNC)) {
		t.Errorf("a transaction begins: %v", err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO t VALUES (1)`); !errors.Is(err, coded(lib.SQLITE_IOERR_FSYNC)) {
		t.Errorf("a statement writes: %v", err)
	}
	if _, err := before.ExecContext(t.Context(), 1); !errors.Is(err, coded(lib.SQLITE_IOERR_FSYNC)) {
		t.Errorf("a statement that was prepared before writes: %v", err)
	}
	var n int
	for what, row := range map[string]*sql.Row{"a query": db.QueryRowContext(t.Context(), `INSERT INTO t VALUES (1) RETURNING n`), "one that was prepared before": before.QueryRowContext(t.Context(), 1)} {
		if err := row.Scan(&n); err == nil || !strings.Contains(err.Error(), "readonly") {
			t.Errorf("%s writes: %v", what, err)
		}
	}
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM t`).Scan(&n); err != nil || n != 0 {
		t.Errorf("reading: %d, %v", n, err)
	}
}

// badDisk is a connection whose disk does not sync what statements write that are no part of a transaction.
type badDisk struct{ fullConn }

func (badDisk) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return badRows{}, nil
}

func (badDisk) PrepareContext(context.Context, string) (driver.Stmt, error) {
	return badStatement{}, nil
}

type badStatement struct{ statement }

func (badStatement) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	return nil, coded(lib.SQLITE_IOERR_FSYNC)
}

func (badStatement) QueryContext(context.Context, []driver.NamedValue) (driver.Rows, error) {
	return badRows{}, nil
}

type badRows struct{ fullRows }

func (badRows) Next([]driver.Value) error { return coded(lib.SQLITE_IOERR_FSYNC) }

// Whichever way a statement takes, it is noticed that its sync failed.
func TestF21_ASyncThatFailsIsNoticedOfEveryStatement(t *testing.T) {
	ctx := t.Context()
	for what, run := range map[string]func(c *connection) error{
		"a query": func(c *connection) error {
			rows, err := c.QueryContext(ctx, `INSERT INTO t VALUES (1) RETURNING n`, nil)
			return errors.Join(err, rows.Next(nil))
		},
		"a prepared statement": func(c *connection) error {
			s, err := c.PrepareContext(ctx, `INSERT INTO t VALUES (1)`)
			_, err2 := s.(statement).ExecContext(ctx, nil)
			return errors.Join(err, err2)
		},
		"a prepared query": func(c *connection) error {
			s, err := c.PrepareContext(ctx, `INSERT INTO t VALUES (1) RETURNING n`)
			rows, err2 := s.(statement).QueryContext(ctx, nil)
			return errors.Join(err, err2, rows.Next(nil))
		},
	} {
		d := &disk{path: "a.db", failed: make(chan struct{})}
		if err := run(&connection{fullConn: badDisk{}, disk: d}); !errors.Is(err, coded(lib.SQLITE_IOERR_FSYNC)) {
			t.Errorf("%s: %v", what, err)
		}
		select {
		case <-d.failed:
		default:
			t.Errorf("%s: nobody is told", what)
		}
	}
}
