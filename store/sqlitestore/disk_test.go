//go:build linux

package sqlitestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// ownDisk names, in the environment of a process that may mount disks, the folder to mount one at.
const ownDisk = "SKALD_OWN_DISK"

// onADisk runs a test in a process of its own, on a disk of its own.
func onADisk(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(ownDisk); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
			t.Fatal(err)
		}
		test(t, dir)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), ownDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("this system does not let a process mount a disk of its own: ", err)
	}
	t.Logf("in a process with a disk of its own:\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// fill takes the room that is left on a disk, and returns what gives it back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("filling the disk: %v", err)
	}
	_ = f.Close() // the disk is full, as it should be
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

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
	onADisk(t, func(t *testing.T, dir string) {
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
			empty := fill(t, dir)
			ended, err := compensate(t, s, epoch, sagas)
			t.Logf("with a ballast of %d: %d of %d sagas were compensated on a full disk (%v)", cfg.Ballast, ended, many, err)
			if ballast < 0 {
				if !errors.Is(err, store.ErrFull) || s.Reserved() {
					t.Fatalf("%d of %d were compensated without room: %v", ended, many, err)
				}
				empty()
				if err := s.Close(); err != nil {
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
			empty()
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
	empty := fill(t, dir)
	defer empty()
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
