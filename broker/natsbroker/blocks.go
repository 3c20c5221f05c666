package natsbroker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/internal/ownfile"
)

// blocks are the files with a stream's messages. The server writes to the one with the highest number, and begins the next when that is full or all in it was deleted; it replaces others, synced, and removes them when all in them was deleted.
type blocks struct {
	dir    string
	fsync  func(*os.File) error
	folder folder
	there  []int    // when all that was written was last synced
	newest int      // the highest number that was seen since; 0: none
	open   *os.File // that one: a file that is open tells of every error in writing it, and nobody else gets its place in the file system
}

// blockSuffix ends the names of blocks, after their numbers.
const blockSuffix = ".blk"

func (b *blocks) path(number int) string {
	return filepath.Join(b.dir, strconv.Itoa(number)+blockSuffix)
}

// flush syncs what was written since the last time; the first time, that is everything.
func (b *blocks) flush() error {
	if b.open != nil && b.folder.same() {
		return b.fsync(b.open)
	}
	if err := b.folder.look(b.dir); err != nil {
		return err
	}
	err := b.flushAll()
	b.folder.settled = b.folder.settled && err == nil
	return err
}

// flushAll is flush when there may be other files than the last time.
func (b *blocks) flushAll() error {
	there, err := numbersIn(b.dir)
	if err != nil {
		return err
	}
	begun := false
	for _, n := range b.since(there) {
		anew, err := b.turnTo(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // all in it was deleted
		}
		if err != nil {
			return err
		}
		begun = begun || anew
		if err := b.fsync(b.open); err != nil {
			return err
		}
	}
	if begun || !slices.Equal(there, b.there) { // also where one is gone: it would come back
		err = ownfile.SyncFolder(b.dir, b.fsync)
	}
	if err == nil {
		b.there = there
	}
	return err
}

// folder says whether there are other files in a folder than before, without listing them, which takes half as long as a sync.
type folder struct {
	open    *os.File
	changed time.Time // what it says of when it last changed
	since   time.Time // when it first said so
	settled bool      // it had said so for long when all in it was last synced: whatever changes later is at another time
}

// grain is longer than any file system takes two moments for one.
const grain = 3 * time.Second

// same says whether a folder is as it was when all in it was last synced.
func (f *folder) same() bool {
	if !f.settled {
		return false
	}
	info, err := f.open.Stat()
	return err == nil && info.ModTime().Equal(f.changed)
}

// look notes how a folder is before it is listed.
func (f *folder) look(dir string) error {
	open, err := os.Open(dir)
	if err != nil {
		return err
	}
	f.release()
	f.open = open
	info, err := open.Stat()
	if err != nil {
		return err
	}
	now := time.Now()
	if at := info.ModTime(); !at.Equal(f.changed) {
		f.changed, f.since = at, now
	}
	f.settled = now.Sub(f.since) > grain
	return nil
}

func (f *folder) release() {
	if f.open != nil {
		_ = f.open.Close() // nothing was written
		f.open, f.settled = nil, false
	}
}

// turnTo opens a block, unless it is open, and says whether it was not.
func (b *blocks) turnTo(number int) (anew bool, err error) {
	if b.open != nil && number == b.newest {
		there, err := os.Stat(b.path(number))
		if err != nil {
			return false, err
		}
		if mine, err := b.open.Stat(); err != nil || os.SameFile(there, mine) {
			return false, err
		}
	}
	f, err := os.Open(b.path(number))
	if err != nil {
		return false, err
	}
	b.releaseNewest()
	b.newest, b.open = number, f
	return true, nil
}

// release closes what is open. Nothing is written through it, so that its error says nothing.
func (b *blocks) release() {
	b.releaseNewest()
	b.folder.release()
}

func (b *blocks) releaseNewest() {
	if b.open != nil {
		_ = b.open.Close()
		b.open = nil
	}
}

// since are those of the blocks that may have been written to since all was synced.
func (b *blocks) since(numbers []int) []int {
	if len(b.there) == 0 {
		return numbers
	}
	at, _ := slices.BinarySearch(numbers, b.there[len(b.there)-1])
	return numbers[at:]
}

// numbersIn are the numbers of the blocks in a folder, in their order.
func numbersIn(folder string) ([]int, error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		text, ok := strings.CutSuffix(name, blockSuffix)
		if n, err := strconv.Atoi(text); ok && err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// renew writes anew what may not have been synced: the system takes for written what it could not write, so that a second sync would say that it is on the disk. The server must not run.
func (b *blocks) renew() error {
	b.release()
	there, err := numbersIn(b.dir)
	if err != nil {
		return err
	}
	for _, n := range b.since(there) {
		data, err := os.ReadFile(b.path(n))
		if err != nil {
			return err
		}
		if err := ownfile.Replace(b.path(n), data, b.fsync); err != nil {
			return err
		}
	}
	return ownfile.SyncFolder(b.dir, b.fsync)
}
