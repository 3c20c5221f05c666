package natsbroker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// log is a folder with blocks, and which of them were synced.
type blockLog struct {
	blocks
	synced []string
}

func newBlockLog(t *testing.T, numbers ...int) *blockLog {
	l := &blockLog{blocks: blocks{dir: t.TempDir()}}
	l.fsync = func(f *os.File) error {
		l.synced = append(l.synced, filepath.Base(f.Name()))
		return nil
	}
	for _, n := range numbers {
		l.write(t, n)
	}
	return l
}

func (l *blockLog) write(t *testing.T, number int) {
	t.Helper()
	if err := os.WriteFile(l.path(number), []byte("block"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (l *blockLog) want(t *testing.T, names ...string) {
	t.Helper()
	l.synced = nil
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		if name == "." {
			names[i] = filepath.Base(l.dir)
		}
	}
	if !slices.Equal(l.synced, names) {
		t.Errorf("synced %v, want %v", l.synced, names)
	}
}

func TestAllBlocksAreSyncedThatMayHaveBeenWrittenTo(t *testing.T) {
	l := newBlockLog(t, 1, 2, 10)
	l.want(t, "1.blk", "2.blk", "10.blk", ".") // what another process left
	l.want(t, "10.blk")
	l.write(t, 11)
	l.write(t, 12)
	l.want(t, "10.blk", "11.blk", "12.blk", ".")
	if err := errors.Join(os.Remove(l.path(12)), os.Remove(l.path(10))); err != nil {
		t.Fatal(err)
	}
	l.write(t, 13)
	l.want(t, "13.blk", ".")
	for _, n := range []int{1, 2, 11, 13} {
		if err := os.Remove(l.path(n)); err != nil {
			t.Fatal(err)
		}
	}
	l.write(t, 1) // all was deleted: the server counts anew
	l.want(t, "1.blk", ".")
	anew := l.path(1) + ".tmp"
	if err := errors.Join(os.WriteFile(anew, nil, 0o600), os.Rename(anew, l.path(1))); err != nil {
		t.Fatal(err)
	}
	l.want(t, "1.blk", ".")
}

// TestThoseWhoComeDuringASyncShareTheNext: sixty-four wait for two syncs.
func TestThoseWhoComeDuringASyncShareTheNext(t *testing.T) {
	const many = 64
	begun, goOn := make(chan struct{}), make(chan struct{})
	var files atomic.Int64
	s := &streamSync{blocks: blocks{dir: t.TempDir(), fsync: func(f *os.File) error {
		if info, err := f.Stat(); err != nil || info.IsDir() {
			return err
		}
		if files.Add(1) == 1 {
			close(begun)
			<-goOn
		}
		return nil
	}}}
	if err := os.WriteFile(s.blocks.path(1), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	faults := make(chan error, many)
	go func() { faults <- s.await(t.Context(), 1) }()
	<-begun
	for seq := range uint64(many - 1) {
		go func() { faults <- s.await(t.Context(), seq+2) }()
	}
	for s.highest() < many {
		<-time.After(time.Millisecond)
	}
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.await(hurried, many); !errors.Is(err, context.Canceled) {
		t.Errorf("one who does not wait any more: %v", err)
	}
	close(goOn)
	for range many {
		if err := <-faults; err != nil {
			t.Error(err)
		}
	}
	if files.Load() > 3 { // the second may begin before the last of them waits
		t.Errorf("%d syncs for %d who wait, want two", files.Load(), many)
	}
}

func (s *streamSync) highest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

func TestAfterAFailureNothingIsSynced(t *testing.T) {
	files := 0
	s := &streamSync{blocks: blocks{dir: t.TempDir(), fsync: func(*os.File) error {
		files++
		return errors.New("input/output error")
	}}}
	if err := os.WriteFile(s.blocks.path(1), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(3) {
		if err := s.await(t.Context(), seq+1); !errors.Is(err, errNotSynced) {
			t.Errorf("waiting for %d: %v", seq+1, err)
		}
	}
	if files != 1 {
		t.Errorf("%d syncs, want one", files)
	}
}
