package sqlitestore_test

import (
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
	"github.com/skaldhq/skald/store/storetest"
)

func TestConformance(t *testing.T) {
	paths := map[store.Store]string{}
	openAt := func(t testing.TB, path string) store.Store {
		s, err := sqlitestore.Open(sqlitestore.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		paths[s] = path
		return s
	}
	storetest.Run(t, storetest.Driver{
		Open: func(t testing.TB) store.Store { return openAt(t, filepath.Join(t.TempDir(), "skald.db")) },
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return openAt(t, paths[s])
		},
	})
}
