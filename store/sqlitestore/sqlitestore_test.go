package sqlitestore

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

func openAt(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openNew(t *testing.T) *Store {
	t.Helper()
	return openAt(t, Config{Path: filepath.Join(t.TempDir(), "skald.db")})
}

func acquire(t *testing.T, s *Store) uint64 {
	t.Helper()
	epoch, err := s.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

func commit(t *testing.T, s *Store, epoch uint64, appends ...store.Append) {
	t.Helper()
	if rejected, err := s.Commit(t.Context(), epoch, appends); rejected != nil || err != nil {
		t.Fatal(rejected, err)
	}
}

// raw changes the file behind the store's back.
func raw(t *testing.T, path, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "busy_timeout(10000)"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

func TestWritesAreSyncedAndLogged(t *testing.T) {
	s := openNew(t)
	for pragma, want := range map[string]int64{"synchronous": 2, "page_size": pageBytes, "wal_autocheckpoint": 0} {
		if got, err := s.write.conn.int(t.Context(), "PRAGMA "+pragma); err != nil || got != want {
			t.Errorf("%s is %d (%v), want %d", pragma, got, err, want)
		}
	}
	var mode string
	if err := s.readers.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q (%v)", mode, err)
	}
}

func TestReadersCannotWrite(t *testing.T) {
	if _, err := openNew(t).readers.Exec("DELETE FROM sagas"); err == nil {
		t.Error("a connection for reading has written")
	}
}

func TestSecondOpeningIsRefusedWithTheHolder(t *testing.T) {
	s := openNew(t)
	_, err := Open(Config{Path: s.path})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Fatalf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openAt(t, Config{Path: s.path})
}

func TestFilesThatAreNoStoreOfThisProgramAreRefused(t *testing.T) {
	folder := t.TempDir()
	newer, foreign, text := filepath.Join(folder, "newer.db"), filepath.Join(folder, "foreign.db"), filepath.Join(folder, "text.db")
	s, err := Open(Config{Path: newer})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, newer, "PRAGMA user_version = 99")
	raw(t, foreign, "CREATE TABLE other (x)")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, words := range map[string]string{
		newer:                                    "use the newer program",
		foreign:                                  "another program",
		text:                                     "not a database",
		filepath.Join(folder, "missing", "x.db"): "make its folder",
		"":                                       "Config.Path",
	} {
		if s, err := Open(Config{Path: path}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want words %q", path, err, words)
			if s != nil {
				_ = s.Close()
			}
		}
	}
}

// TestFullStoreTakesUpAgain fills a store up to its limit: the commit that finds no room writes nothing and can be tried again.
func TestFullStoreTakesUpAgain(t *testing.T) {
	s := openAt(t, Config{Path: filepath.Join(t.TempDir(), "skald.db"), MaxBytes: 1 << 20})
	epoch := acquire(t, s)
	small := storetest.NewSaga("small")
	commit(t, s, epoch, small.Start())
	large := storetest.NewSaga("large")
	appends := []store.Append{small.Move("b"), large.Append(1, journal.MaxPayload)}
	for range 2 {
		if _, err := s.Commit(t.Context(), epoch, appends); !errors.Is(err, store.ErrFull) {
			t.Fatalf("%v, want ErrFull", err)
		}
	}
	if summary, _, err := s.Journal(t.Context(), "small"); err != nil || summary.Seq != 1 {
		t.Fatalf("a part was written: %d events, %v", summary.Seq, err)
	}
	if _, err := s.write.conn.int(t.Context(), "PRAGMA max_page_count(100000)"); err != nil {
		t.Fatal(err)
	}
	commit(t, s, epoch, appends...)
	for _, saga := range []*storetest.Saga{small, large} {
		if summary, records, err := s.Journal(t.Context(), saga.Summary.ID); err != nil || summary != saga.Summary || len(records) != len(saga.Records) {
			t.Errorf("%s: %v", saga.Summary.ID, err)
		}
	}
}

func TestDamagedJournalsAreFoundAndNamed(t *testing.T) {
	for name, statement := range map[string]string{
		"Changed":  "UPDATE records SET data = zeroblob(length(data)) WHERE n = 2",
		"Lost":     "DELETE FROM records WHERE n = 2",
		"LostLast": "DELETE FROM records WHERE n = 3",
		"LeftOut":  "UPDATE records SET prev = 1 WHERE n = 3",
		"Circle":   "UPDATE records SET prev = 3 WHERE n = 2",
		"Forward":  "UPDATE records SET prev = 4 WHERE n = 3",
		"Rewound":  "UPDATE sagas SET last = 2 WHERE id = 's'",
		"Another":  "UPDATE sagas SET last = 4 WHERE id = 's'",
		"Summary":  "UPDATE sagas SET seq = 9 WHERE id = 's'",
	} {
		t.Run(name, func(t *testing.T) {
			s := openNew(t)
			saga, other := storetest.NewSaga("s"), storetest.NewSaga("other")
			commit(t, s, acquire(t, s), saga.Start(), saga.Move("b"), saga.Move("c"), other.Start())
			raw(t, s.path, statement)
			_, _, err := s.Journal(t.Context(), "s")
			if !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), "saga s:") {
				t.Errorf("%v", err)
			}
			if _, _, err := s.Journal(t.Context(), "other"); err != nil {
				t.Errorf("the other saga: %v", err)
			}
		})
	}
}

func TestCheckFindsADamagedFile(t *testing.T) {
	s := openNew(t)
	epoch := acquire(t, s)
	for i := range 200 {
		commit(t, s, epoch, storetest.NewSaga(fmt.Sprintf("s%d", i)).Append(1, 500))
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatalf("an undamaged file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	for page := 20; page < 30; page++ {
		clear(file[page*pageBytes : page*pageBytes+64])
	}
	if err := os.WriteFile(s.path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, Config{Path: s.path})
	if err := s.Check(t.Context()); err == nil {
		t.Error("nothing was found")
	}
}

// TestLogStaysBounded writes many times what the log may hold before it is folded into the file.
func TestLogStaysBounded(t *testing.T) {
	s := openNew(t)
	epoch := acquire(t, s)
	var largest int64
	for i := range 80 {
		commit(t, s, epoch, storetest.NewSaga(fmt.Sprintf("s%d", i)).Append(1, journal.MaxPayload))
		info, err := os.Stat(s.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	if limit := int64(3 * checkpointPages * pageBytes); largest > limit {
		t.Errorf("the log grew to %d bytes, more than %d", largest, limit)
	}
	if s.write.dead != nil {
		t.Error(s.write.dead)
	}
}

// TestForgottenHeadsAreReadAgain runs more open sagas than the writer remembers.
func TestForgottenHeadsAreReadAgain(t *testing.T) {
	s := openAt(t, Config{Path: filepath.Join(t.TempDir(), "skald.db"), Cached: 3})
	epoch := acquire(t, s)
	var sagas []*storetest.Saga
	for i := range 20 {
		sagas = append(sagas, storetest.NewSaga(fmt.Sprintf("s%d", i)))
		commit(t, s, epoch, sagas[i].Start())
	}
	for range 3 {
		for _, saga := range sagas {
			commit(t, s, epoch, saga.Move("b"))
		}
	}
	if len(s.write.heads) > 3 {
		t.Errorf("%d heads are remembered", len(s.write.heads))
	}
	for _, saga := range sagas {
		if summary, _, err := s.Journal(t.Context(), saga.Summary.ID); err != nil || summary != saga.Summary {
			t.Errorf("%s: %v", saga.Summary.ID, err)
		}
	}
}

func TestDeadWriterStaysDead(t *testing.T) {
	s := openNew(t)
	epoch := acquire(t, s)
	saga := storetest.NewSaga("s")
	commit(t, s, epoch, saga.Start())
	raw(t, s.path, "DROP TABLE records") // stands for a disk that fails in the middle of a transaction
	for range 2 {
		_, err := s.Commit(t.Context(), epoch, []store.Append{saga.Append(1, 0)})
		if err == nil || errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrFenced) || !strings.Contains(err.Error(), "opened again") {
			t.Fatalf("%v", err)
		}
	}
	if _, err := s.Acquire(t.Context()); err == nil {
		t.Error("a dead writer began a tenure")
	}
	if page, err := s.List(t.Context(), store.Filter{}); err != nil || len(page.Sagas) != 1 {
		t.Errorf("reading goes on: %+v, %v", page, err)
	}
}
