package sqlitestore

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// A saga to be pruned is looked for outside of the transaction that deletes it. If its participant contradicts itself in between, it is kept until a person has seen that.
func TestASagaWhoseIncidentOpensWhileItIsPrunedIsKept(t *testing.T) {
	s := openAt(t, Config{Path: filepath.Join(t.TempDir(), "skald.db")})
	epoch := acquire(t, s)
	end := storetest.Epoch0().Add(time.Minute)
	kept, gone := storetest.NewSaga("kept"), storetest.NewSaga("gone")
	commit(t, s, epoch, kept.Start(), gone.Start(), kept.End(store.Completed, end), gone.End(store.Completed, end))

	due, err := s.due(t.Context(), 0, microsUp(end.Add(time.Minute)), 10)
	if err != nil || len(due) != 2 {
		t.Fatalf("due are %d (%v)", due, err)
	}
	kept.With(func(m *store.Summary) { m.Incident = "skald.contradiction" })
	commit(t, s, epoch, kept.Append(2, 10))
	if err := s.delete(t.Context(), due); err != nil {
		t.Fatal(err)
	}

	page, err := s.List(t.Context(), store.Filter{})
	if err != nil || len(page.Sagas) != 1 || page.Sagas[0].ID != "kept" {
		t.Fatalf("left are %+v (%v)", page.Sagas, err)
	}
	sum, records, err := s.Journal(t.Context(), "kept")
	if err != nil || !bytes.Equal(records, kept.Records) || sum.Incident != "skald.contradiction" {
		t.Errorf("its journal has %d bytes of %d, its incident is %q (%v)", len(records), len(kept.Records), sum.Incident, err)
	}
}
