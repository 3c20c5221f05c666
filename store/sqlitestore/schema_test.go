package sqlitestore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// A file of schema 1 knows of no saga when it wakes: all of them are due, and what is written from then on says it.
func TestFileOfTheFirstSchemaIsGoneOnWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	s, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	saga := storetest.NewSaga("old")
	commit(t, s, acquire(t, s), saga.Start())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw(t, path, "ALTER TABLE sagas DROP COLUMN wake")
	raw(t, path, "PRAGMA user_version = 1")

	s = openAt(t, Config{Path: path})
	due := store.Filter{Due: storetest.Epoch0()}
	page, err := s.List(t.Context(), due)
	if diff := cmp.Diff([]store.Summary{saga.Summary}, page.Sagas); err != nil || diff != "" {
		t.Errorf("due (-want +got): %v\n%s", err, diff)
	}
	saga.With(func(m *store.Summary) { m.Wake = storetest.Epoch0().Add(time.Minute) })
	commit(t, s, acquire(t, s), saga.Append(1, 10))
	if page, err := s.List(t.Context(), due); err != nil || len(page.Sagas) != 0 {
		t.Errorf("%d sagas are due before they wake: %v", len(page.Sagas), err)
	}
}
