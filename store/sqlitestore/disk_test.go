//go:build linux

package sqlitestore

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/skaldhq/skald/internal/owndisk"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// turn is the rest of a saga's journal when it is turned back after three steps, and longer than most.
func turn(s *storetest.Saga, n int) store.Append {
	if n == 6 {
		return s.End(store.Compensated, storetest.Epoch0())
	}
	return s.With(func(m *store.Summary) { m.State = store.Compensating }).Append(1, 400)
}

// TestF20_SagasUnderWayEndOnAFullDisk fills the disk while sagas are under way: all of them come to their ends on the room that the ballast gives back, no other is begun, and everything goes on once there is room.
// Without a ballast they wait. Both times the store can be closed and opened on the full disk.
func TestF20_SagasUnderWayEndOnAFullDisk(t *testing.T) {
	owndisk.Run(t, "64m", func(t *testing.T, dir string) {
		for _, ballast := range []int64{0, -1} {
			cfg := Config{Path: filepath.Join(dir, fmt.Sprintf("%d.db", ballast)), Ballast: ballast}
			s, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "there is ballast", func() bool { return ballast < 0 || hasBallast(s) })
			epoch := acquire(t, s)
			const many = 3000
			var sagas []*storetest.Saga
			var starts []store.Append
			for n := range many {
				sagas = append(sagas, storetest.NewSaga(fmt.Sprintf("%d-%d", ballast, n)))
				starts = append(starts, sagas[n].Append(2, 900))
			}
			for batch := range slices.Chunk(starts, together) {
				commit(t, s, epoch, batch...)
			}
			empty, err := owndisk.Fill(dir)
			if err != nil {
				t.Fatal(err)
			}
			ended, err := compensate(t, s, epoch, sagas)
			t.Logf("with a ballast of %d: %d of %d sagas were compensated on a full disk (%v)", cfg.Ballast, ended, many, err)
			if ballast < 0 {
				if !errors.Is(err, store.ErrFull) || s.Reserved() {
					t.Fatalf("%d of %d were compensated without room: %v", ended, many, err)
				}
				if err := errors.Join(empty(), s.Close()); err != nil {
					t.Error(err)
				}
				continue
			}
			if ended != many || err != nil || !s.Reserved() {
				t.Fatalf("%d of %d were compensated: %v", ended, many, err)
			}
			late := storetest.NewSaga("late").Start()
			rejected, err := s.Commit(t.Context(), epoch, []store.Append{late, starts[0]})
			if err != nil || len(rejected) != 2 || !errors.Is(rejected[0], store.ErrFull) || !errors.Is(rejected[1], store.ErrExists) {
				t.Fatalf("starts on a full disk: %v, %v", rejected, err)
			}
			if err := empty(); err != nil {
				t.Error(err)
			}
			eventually(t, "there is ballast again", func() bool { return hasBallast(s) })
			commit(t, s, epoch, late)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			openFull(t, dir, cfg)
		}
	})
}

// together is how many appends are in a commit.
const together = 25

// compensate goes on with all sagas, in turns, and returns how many came to their ends.
func compensate(t *testing.T, s *Store, epoch uint64, sagas []*storetest.Saga) (ended int, err error) {
	t.Helper()
	for from := 0; from < len(sagas); from += together {
		for n := range 7 {
			var appends []store.Append
			for _, saga := range sagas[from : from+together] {
				appends = append(appends, turn(saga, n))
			}
			if rejected, err := s.Commit(t.Context(), epoch, appends); rejected != nil || err != nil {
				return ended, errors.Join(append(rejected, err)...)
			}
		}
		ended += together
	}
	return ended, nil
}

// openFull opens a store on a full disk, and goes on with a saga there.
func openFull(t *testing.T, dir string, cfg Config) {
	t.Helper()
	empty, err := owndisk.Fill(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := empty(); err != nil {
			t.Error(err)
		}
	}()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("on a full disk: %v", err)
	}
	epoch := acquire(t, s)
	late := storetest.NewSaga("late")
	late.Start()
	commit(t, s, epoch, late.End(store.Compensated, storetest.Epoch0()))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
