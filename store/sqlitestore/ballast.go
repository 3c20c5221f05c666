package sqlitestore

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ballastBytes is how much is kept by default, see docs/adr/0025-ballast.md for what was measured.
	ballastBytes = 32 << 20
	// lowBytes is how little room on the disk calls for the ballast.
	lowBytes = 1 << 20
	// lookEvery is how often the room on the disk is looked at while commits are made, and while it is too little.
	lookEvery = time.Second
)

// ballast is a file that only takes up room, so that there is some when the disk is full. Then it is given back, whoever took the rest, and until there is room to make it anew no saga is begun: what it leaves is for
// those that are under way.
type ballast struct {
	path   string
	bytes  int64
	low    atomic.Bool // it was given back, or could not be made
	looked time.Time   // guarded by the writer's turn

	mu     sync.Mutex  // held by who makes it or gives it back
	needed atomic.Bool // a commit found no room while it was being made: that ends
	due    chan struct{}
	quit   chan struct{}
	done   chan struct{}
}

// newBallast begins to look after the ballast of the database at path. Without room on the disk it is given back before anything else is written, so that a store opens on a full disk.
func newBallast(path string, bytes int64) *ballast {
	if bytes < 0 {
		return nil
	}
	b := &ballast{path: path + "-ballast", bytes: bytes, due: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	b.look()
	go b.keep()
	return b
}

// keep makes the ballast, and makes it anew each time that it was given back.
func (b *ballast) keep() {
	defer close(b.done)
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-b.due: // it has just been given back: not at once
		case <-again.C:
			if b.make() == nil {
				continue
			}
		}
		again.Reset(lookEvery)
	}
}

// spent says that no saga is to be begun.
func (b *ballast) spent() bool { return b != nil && b.low.Load() }

// look gives the ballast back when the disk has hardly any room. It is called in the writer's turn.
func (b *ballast) look() {
	if b == nil {
		return
	}
	now := time.Now()
	if now.Sub(b.looked) < lookEvery {
		return
	}
	b.looked = now
	if room, known := roomAt(filepath.Dir(b.path)); known && room < lowBytes {
		b.release()
	}
}

// release gives the ballast back, because there is no room, and says whether that has made some.
func (b *ballast) release() bool {
	if b == nil {
		return false
	}
	if room, known := roomAt(filepath.Dir(b.path)); known && room > b.bytes {
		return false // something else than the disk is the limit
	}
	b.needed.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.needed.Store(false)
	if os.Remove(b.path) != nil {
		return false // it is not there
	}
	b.low.Store(true)
	select {
	case b.due <- struct{}{}:
	default: // its keeper knows
	}
	return true
}

// errNeeded ends the making of the file: its room is needed, or the store is closed.
var errNeeded = errors.New("sqlitestore: no ballast now")

// make makes the file, unless it is there.
func (b *ballast) make() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.low.Store(err != nil) }()
	if info, err := os.Stat(b.path); err == nil && info.Size() == b.bytes {
		return nil
	}
	if room, known := roomAt(filepath.Dir(b.path)); known && room < b.bytes+lowBytes {
		return fmt.Errorf("sqlitestore: %d bytes of room are too few", room)
	}
	f, err := os.OpenFile(b.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(b.fill(f), f.Close())
	if err != nil && !errors.Is(err, errNeeded) { // otherwise whoever needs it removes it
		err = errors.Join(err, os.Remove(b.path))
	}
	return err
}

// fill gives the file its length.
func (b *ballast) fill(f *os.File) error {
	done, err := reserve(f, b.bytes)
	if err == nil && !done {
		err = b.write(f)
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// write fills the file with what no file system makes smaller.
func (b *ballast) write(f *os.File) error {
	noise := rand.NewChaCha8([32]byte{}) //nolint:gosec // no secret
	for left := b.bytes; left > 0; left -= 64 << 10 {
		if _, err := io.CopyN(f, noise, min(left, 64<<10)); err != nil {
			return err
		}
		select {
		case <-b.quit:
			return errNeeded
		default:
		}
		if b.needed.Load() {
			return errNeeded
		}
	}
	return nil
}

// stop leaves the ballast as it is and waits for what is under way.
func (b *ballast) stop() {
	if b != nil {
		close(b.quit)
		<-b.done
	}
}
