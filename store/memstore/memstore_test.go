package memstore_test

import (
	"errors"
	"testing"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
	"github.com/skaldhq/skald/store/storetest"
)

func TestConformance(t *testing.T) {
	disks := map[store.Store]*memstore.Disk{}
	storetest.Run(t, storetest.Driver{
		Open: func(testing.TB) store.Store {
			disk := memstore.NewDisk()
			s := memstore.Open(disk)
			disks[s] = disk
			return s
		},
		Reopen: func(t testing.TB, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return memstore.Open(disks[s])
		},
	})
}

func TestStoresOnOneDiskFenceEachOther(t *testing.T) {
	disk := memstore.NewDisk()
	a, b := memstore.Open(disk), memstore.Open(disk)
	first, err := a.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Commit(t.Context(), first, nil); !errors.Is(err, store.ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
}

func TestCloneIsTheDiskOfThatMoment(t *testing.T) {
	disk := memstore.NewDisk()
	s := memstore.Open(disk)
	epoch, err := s.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	saga := storetest.NewSaga("s")
	write := func(a store.Append) {
		t.Helper()
		if rejected, err := s.Commit(t.Context(), epoch, []store.Append{a}); rejected != nil || err != nil {
			t.Fatal(rejected, err)
		}
	}
	write(saga.Start())
	then := saga.Summary
	clone := disk.Clone()
	write(saga.Move("b"))
	got, _, err := memstore.Open(clone).Journal(t.Context(), "s")
	if err != nil || got != then {
		t.Errorf("%+v (%v), want %+v", got, err, then)
	}
}
