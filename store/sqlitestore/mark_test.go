package sqlitestore

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// restoredFrom replaces the database at path by a backup of it, as an operator does.
func restoredFrom(t *testing.T, path, backup string) {
	t.Helper()
	data, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{path + "-wal", path + "-shm"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// backUp copies the database while it is open.
func backUp(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "backup.db")
	raw(t, path, "VACUUM INTO '"+to+"'")
	return to
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A backup of the very tenure that goes on after it is the one that tenures alone do not show.
func TestF23ADatabaseRestoredFromAnOlderBackupIsFoundAndNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	s := openAt(t, Config{Path: path})
	epoch := acquire(t, s)
	commit(t, s, epoch, storetest.NewSaga("known").Start())
	backup := backUp(t, path)
	commit(t, s, epoch, storetest.NewSaga("lost").Start())
	closed(t, s)

	restoredFrom(t, path, backup)
	for range 2 { // being refused leaves the mark as it is
		_, err := Open(Config{Path: path})
		if !errors.Is(err, store.ErrRestored) || !strings.Contains(err.Error(), "ends at tenure 1, record 1, and") || !strings.Contains(err.Error(), "came to tenure 1, record 2.") {
			t.Fatalf("opened: %v", err)
		}
	}
	var log bytes.Buffer
	s = openAt(t, Config{Path: path, Restored: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if log.Len() > 0 {
		t.Errorf("it is warned of what is right: %s", &log)
	}
	if next := acquire(t, s); next <= epoch+1000 {
		t.Errorf("tenure %d, which a lost one may have had", next)
	}
	if page, err := s.List(t.Context(), store.Filter{}); err != nil || len(page.Sagas) != 1 || page.Sagas[0].ID != "known" {
		t.Errorf("sagas %+v, %v", page.Sagas, err)
	}
	closed(t, s)
	closed(t, openAt(t, Config{Path: path})) // it was said once, and that is enough
}

func TestF23ABackupFromBeforeTheLastStartIsFoundAfterACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	s := openAt(t, Config{Path: path})
	acquire(t, s)
	backup := backUp(t, path)
	closed(t, s)
	s = openAt(t, Config{Path: path})
	acquire(t, s)
	kept, err := os.ReadFile(path + "-mark")
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	restoredFrom(t, path, backup)
	if err := os.WriteFile(path+"-mark", kept, 0o600); err != nil { // a crash leaves it as it was while the store was open
		t.Fatal(err)
	}
	if _, err := Open(Config{Path: path}); !errors.Is(err, store.ErrRestored) {
		t.Errorf("opened: %v", err)
	}
}

func TestADatabaseWhoseSagasWereAllPrunedIsNotTakenForARestoredOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	s := openAt(t, Config{Path: path})
	saga := storetest.NewSaga("short")
	epoch := acquire(t, s)
	commit(t, s, epoch, saga.Start())
	saga.With(func(m *store.Summary) { m.State, m.Ended = store.Completed, m.Updated })
	commit(t, s, epoch, saga.Append(1, 10))
	if n, err := s.Prune(t.Context(), saga.Summary.Ended.Add(time.Hour), 10); n != 1 || err != nil {
		t.Fatalf("pruned %d, %v", n, err)
	}
	closed(t, s)
	s = openAt(t, Config{Path: path})
	commit(t, s, acquire(t, s), storetest.NewSaga("next").Start())
	if got := s.write.reached(); got != (reached{2, 3}) {
		t.Errorf("it came to %s; the numbers of records that were pruned are not given again", got)
	}
}

func TestAMarkThatIsLostOrDamagedFindsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	s := openAt(t, Config{Path: path})
	acquire(t, s)
	closed(t, s)
	good, err := os.ReadFile(path + "-mark")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "skald 1", strings.Replace(string(good), "epoch 1", "epoch 9", 1), string(good) + "x"} {
		if err := os.WriteFile(path+"-mark", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := (&mark{path: path + "-mark"}).read(); got != (reached{}) {
			t.Errorf("%q says %s", text, got)
		}
		closed(t, openAt(t, Config{Path: path}))
	}
}

// What is said once and then stays in a script would switch the finding off for good.
func TestF23ThatNothingWasRestoredIsWarnedOfAtEachStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	var log bytes.Buffer
	restored := Config{Path: path, Restored: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	closing := func(s *Store) {
		commit(t, s, acquire(t, s), storetest.NewSaga(rand.Text()).Start())
		closed(t, s)
	}
	closing(openAt(t, restored)) // without a mark: on another machine it is right
	if log.Len() > 0 {
		t.Errorf("it is warned of what is right: %s", &log)
	}
	for n := range 2 {
		closing(openAt(t, restored))
		if got := strings.Count(log.String(), "nothing was restored since"); got != n+1 {
			t.Errorf("start %d: %d warnings: %s", n+2, got, &log)
		}
	}
	closing(openAt(t, Config{Path: path, Logger: restored.Logger}))
	if got := strings.Count(log.String(), "\n"); got != 2 {
		t.Errorf("without it there is a warning, too: %s", &log)
	}
}
