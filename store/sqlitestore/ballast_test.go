package sqlitestore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/waits"
)

// Where room cannot be set aside the file is written, and stops being written when a commit needs the room or the store is closed.
func TestBallastIsWrittenWhereRoomCannotBeSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := &ballast{path: path, bytes: 200_000, quit: make(chan struct{})}
	if err := b.write(f); err != nil {
		t.Fatal(err)
	}
	if is, err := f.Stat(); err != nil || is.Size() != b.bytes {
		t.Errorf("%v, %v; want %d bytes", is, err, b.bytes)
	}
	b.needed.Store(true)
	if err := b.write(f); !errors.Is(err, errNeeded) {
		t.Errorf("while a commit needs the room: %v", err)
	}
	b.needed.Store(false)
	close(b.quit)
	if err := b.write(f); !errors.Is(err, errNeeded) {
		t.Errorf("while the store is closed: %v", err)
	}
}

// A limit of the database's own size says nothing about the disk.
func TestBallastStaysWhereTheDiskHasRoom(t *testing.T) {
	s := openNew(t)
	eventually(t, "there is ballast", func() bool { return hasBallast(s) })
	if s.ballast.release() || !hasBallast(s) {
		t.Error("it was given back on a disk with room")
	}
}

// TestBallastCanBeDoneWithout opens a store without it.
func TestBallastCanBeDoneWithout(t *testing.T) {
	s := openAt(t, Config{Path: filepath.Join(t.TempDir(), "skald.db"), Ballast: -1})
	acquire(t, s)
	if files, err := filepath.Glob(s.path + "-ballast"); err != nil || len(files) > 0 || s.Reserved() {
		t.Errorf("%v, %v", files, err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	waits.Until(t, 30*time.Second, what, is)
}

func hasBallast(s *Store) bool {
	info, err := os.Stat(s.path + "-ballast")
	return err == nil && info.Size() == ballastBytes && !s.Reserved()
}
