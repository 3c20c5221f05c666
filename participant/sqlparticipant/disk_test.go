package sqlparticipant

import (
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
	var n int
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM t`).Scan(&n); err != nil || n != 0 {
		t.Errorf("reading: %d, %v", n, err)
	}
}
