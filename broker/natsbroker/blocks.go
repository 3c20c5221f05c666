package natsbroker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skaldhq/skald/internal/ownfile"
)

// blocks are the files with a stream's messages. The server writes to the one with the highest number, and begins the next when that is full or all in it was deleted; it replaces others, synced, and removes them when all in them was deleted.
type blocks struct {
	dir    string
	fsync  func(*os.File) error
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
	b.release()
	b.newest, b.open = number, f
	return true, nil
}

// release closes what is open. Nothing is written through it, so that its error says nothing.
func (b *blocks) release() {
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
