package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skaldhq/skald/internal/relaxed"
)

// errNotSynced says that what was written may not be on the disk, and never will be: a sync that failed is not tried again, because the system may have thrown away what it could not write.
var errNotSynced = errors.New("what the broker wrote cannot be synced")

// syncs sees to it that nobody hears of a message before it is on the disk, for a server that nobody else can reach. The server writes messages one by one, and would sync each by itself; here those that come while a sync is
// under way share the next.
//
// Whoever shows anything of a stream (what was published, decided, read or handed out) waits for it first. What is lost with the power was so never shown. All methods may be called at any time.
type syncs struct {
	server *server.Server
	dir    string // where the server has its streams
	log    *slog.Logger
	fsync  func(*os.File) error

	mu      sync.Mutex
	streams map[string]*streamSync
}

// newSyncs returns the syncs of a server that was started on a folder.
func newSyncs(s *server.Server, dir string, fsync func(*os.File) error, log *slog.Logger) *syncs {
	return &syncs{server: s, dir: filepath.Join(dir, server.JetStreamStoreDir, "$G", "streams"), log: log, fsync: fsync, streams: make(map[string]*streamSync)}
}

// await returns when a stream's messages up to a sequence are on the disk. They must have been written: the server said so, or showed them. An error that wraps errNotSynced is for good.
func (s *syncs) await(ctx context.Context, stream string, seq uint64) error {
	return s.stream(stream).await(ctx, seq)
}

// stream returns the syncs of a stream.
func (s *syncs) stream(name string) *streamSync {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.streams[name]
	if !ok {
		x = &streamSync{blocks: blocks{dir: filepath.Join(s.dir, name, "msgs"), fsync: s.fsync}}
		s.streams[name] = x
		s.relax(name)
	}
	return x
}

// changed is to be called when a stream's configuration may have been.
func (s *syncs) changed(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.streams[name]; known {
		s.relax(name)
	}
}

func (s *syncs) relax(name string) {
	if err := relaxed.Stream(s.server, name); err != nil {
		s.log.Warn("the broker syncs each message by itself", "stream", name, "because", err)
	}
}

// failure is what made a sync fail, if one did.
func (s *syncs) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, x := range s.streams {
		if err := x.failure(); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return nil
}

// renew writes anew what could not be synced. The server must not run.
func (s *syncs) renew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, x := range s.streams {
		if x.failure() == nil {
			continue
		}
		if err := x.blocks.renew(); err != nil {
			return fmt.Errorf("natsbroker: writing stream %s anew after a sync that failed: %w", name, err)
		}
	}
	return nil
}

// streamSync shares the syncs of one stream.
type streamSync struct {
	blocks blocks // used by one at a time

	mu      sync.Mutex
	written uint64        // the highest sequence that is waited for
	synced  uint64        // what is on the disk
	under   chan struct{} // closed when the flush that is under way ends; nil: none is
	failed  error
}

func (s *streamSync) await(ctx context.Context, seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = max(s.written, seq)
	for s.failed == nil && s.synced < seq {
		if s.under == nil {
			s.lead()
			continue
		}
		under := s.under
		s.mu.Unlock()
		select {
		case <-under:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return s.failed
}

func (s *streamSync) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// lead flushes for all that wait. The lock is held, but for the flush.
func (s *streamSync) lead() {
	s.under = make(chan struct{})
	s.mu.Unlock()
	runtime.Gosched() // those who are ready to wait for something share this one
	s.mu.Lock()
	written := s.written
	s.mu.Unlock()
	err := s.blocks.flush()
	s.mu.Lock()
	if err == nil {
		s.synced = written
	} else {
		s.failed = fmt.Errorf("%w: %w", errNotSynced, err)
	}
	close(s.under)
	s.under = nil
}

// blocks are the files with a stream's messages. The server writes to the one with the highest number, and begins another when that is full; it replaces or removes old ones, but syncs what it replaces them by.
type blocks struct {
	dir    string
	fsync  func(*os.File) error
	newest int         // the highest number that was seen; 0: none
	file   os.FileInfo // of that one
}

// blockSuffix ends the names of blocks, after their numbers.
const blockSuffix = ".blk"

func (b *blocks) path(number int) string {
	return filepath.Join(b.dir, strconv.Itoa(number)+blockSuffix)
}

// flush syncs what was written since the last time; the first time, that is everything.
func (b *blocks) flush() error {
	numbers, err := b.written()
	if err != nil {
		return err
	}
	last := b.file
	for _, n := range numbers {
		file, err := b.sync(b.path(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // all in it was deleted
		}
		if err != nil {
			return err
		}
		b.newest, b.file = n, file
	}
	if last == nil || !os.SameFile(last, b.file) {
		_, err = b.sync(b.dir)
	}
	return err
}

// written are the numbers of the blocks that may have been written to since the last time, in their order.
func (b *blocks) written() ([]int, error) {
	dir, err := os.Open(b.dir)
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
	if since := numbers[sort.SearchInts(numbers, b.newest):]; len(since) > 0 {
		return since, nil
	}
	return numbers, nil // the server counts anew
}

func (b *blocks) sync(path string) (os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	return info, errors.Join(err, b.fsync(f), f.Close())
}

// renew writes anew what could not be synced: the system takes for written what it could not write, so that a second sync would say that it is on the disk. The server must not run.
func (b *blocks) renew() error {
	numbers, err := b.written()
	if err != nil {
		return err
	}
	for _, n := range numbers {
		data, err := os.ReadFile(b.path(n))
		if err != nil {
			return err
		}
		if err := b.replace(b.path(n), data); err != nil {
			return err
		}
	}
	_, err = b.sync(b.dir)
	return err
}

func (b *blocks) replace(path string, data []byte) error {
	anew := path + ".anew"
	err := os.WriteFile(anew, data, 0o600)
	if err == nil {
		_, err = b.sync(anew)
	}
	if err == nil {
		err = os.Rename(anew, path)
	}
	if err != nil {
		_ = os.Remove(anew) // the disk may be full
	}
	return err
}
