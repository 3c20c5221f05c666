package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/relaxed"
)

// errNotSynced says that what was written may not be on the disk yet. A repetition asks the server that runs then: what could not be synced is written anew before that one is started.
var errNotSynced = errors.New("what the broker wrote is not on the disk yet")

// syncs sees to it that nobody hears of a kept topic's message before it is on the disk, for a server that nobody else can reach. The server writes messages one by one, and would sync each by itself; here those that
// come while a sync is under way share the next.
//
// Whoever shows anything of a stream (what was decided, read or handed out) waits for it first. So what is lost with the power was never shown. Each run of the server has syncs of its own: what was heard of one server is waited
// for there, since a later one may have given its sequence to something else. All methods may be called at any time.
type syncs struct {
	server *server.Server
	folder string // with the server's streams
	fsync  func(*os.File) error
	failed func(error) // told before anybody else that a sync has failed

	mu      sync.Mutex
	streams map[string]*streamSync
	ended   bool
}

// await returns when a stream's messages up to a sequence, which must have been written, are on the disk.
func (s *syncs) await(ctx context.Context, stream string, seq uint64) error {
	return s.reach(ctx, stream, seq, func(x *streamSync) { go x.flush() })
}

// sync is await for somebody who need not hear the end of its context while the disk is asked: it does that itself, if nobody else does, and neither it nor who waits has to be woken on another processor.
func (s *syncs) sync(ctx context.Context, stream string, seq uint64) error {
	return s.reach(ctx, stream, seq, func(x *streamSync) {
		x.flush()
		runtime.Gosched() // those who wait go on first: they have work to do, and whoever decided something has done its own
	})
}

func (s *syncs) reach(ctx context.Context, stream string, seq uint64, flush func(*streamSync)) error {
	if s == nil {
		return nil // the server syncs by itself
	}
	x, err := s.stream(stream)
	if err != nil {
		return err
	}
	return x.reach(ctx, seq, flush)
}

// flush returns when all that was written of a stream before is on the disk, deletions too.
func (s *syncs) flush(ctx context.Context, stream string) error {
	return s.await(ctx, stream, everything)
}

// stream returns the syncs of a stream, which is relaxed from then on.
func (s *syncs) stream(name string) (*streamSync, error) {
	if x, err := s.known(name, nil); x != nil || err != nil {
		return x, err
	}
	stream, err := relaxed.Find(s.server, name)
	if err != nil {
		return nil, fmt.Errorf("natsbroker: %w", err)
	}
	return s.known(name, stream)
}

// known returns the syncs of a stream that is known, or of one that was found.
func (s *syncs) known(name string, found *relaxed.Stream) (*streamSync, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, fmt.Errorf("%w: the server is started anew", errNotSynced)
	}
	x, ok := s.streams[name]
	if !ok && found != nil {
		x = &streamSync{stream: found, blocks: blocks{dir: filepath.Join(s.folder, name, "msgs"), fsync: s.fsync}, failing: s.failed}
		s.streams[name] = x
		found.Relax()
	}
	return x, nil
}

// over says whether the server has ended, so that nothing more becomes durable here.
func (s *syncs) over() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// changed is to be called when a stream's configuration may have been.
func (s *syncs) changed(name string) {
	if s == nil {
		return
	}
	if x, known := s.all()[name]; known {
		x.stream.Relax()
	}
}

// failure is what made a sync fail, ours or one of the server's own, if one did.
func (s *syncs) failure() error {
	for name, x := range s.all() {
		if err := x.failure(); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return nil
}

func (s *syncs) all() map[string]*streamSync {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.streams)
}

// end waits for the syncs under way, and lets no others begin.
func (s *syncs) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	for _, x := range s.all() {
		x.end()
	}
}

// renew writes anew what could not be synced. The server has ended, and so have the syncs.
func (s *syncs) renew() error {
	for name, x := range s.all() {
		if x.failure() == nil {
			continue
		}
		if err := x.blocks.renew(); err != nil {
			return fmt.Errorf("natsbroker: writing stream %s anew after a sync that failed: %w", name, err)
		}
	}
	return nil
}

// finish syncs what is left of streams whose syncs have not failed. The server has ended, and so have the syncs.
func (s *syncs) finish() {
	for _, x := range s.all() {
		x.finish()
	}
}

// everything is a sequence that no message has.
const everything = ^uint64(0)

// written is a stream as the server has written it: a relaxed.Stream.
type written interface {
	Relax()
	Last() uint64
	Failed() error
}

// streamSync shares the syncs of one stream.
type streamSync struct {
	stream  written
	blocks  blocks      // used by whoever flushes
	failing func(error) // told before anybody else that a sync has failed

	mu     sync.Mutex
	asked  uint64        // flushes that were asked for
	done   uint64        // of these, those that were made
	synced uint64        // the highest sequence that is known to be on the disk
	under  chan struct{} // closed when the flush that is under way ends; nil: none is
	next   chan struct{} // closed when one ends, whichever is the next to; nil: nobody waits for that
	failed error
	ended  bool
}

// reach returns when all up to a sequence is on the disk. It lets flush be made where none is under way.
func (x *streamSync) reach(ctx context.Context, seq uint64, flush func(*streamSync)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if broker.IsUnhurried(ctx) {
		x.linger(ctx, seq)
	}
	if x.synced >= seq {
		return nil
	}
	x.asked++
	for mine := x.asked; x.done < mine && x.synced < seq; {
		begin := false
		switch {
		case x.failed != nil:
			return fmt.Errorf("%w: %w", errNotSynced, x.failed)
		case x.under != nil:
		case x.ended:
			return fmt.Errorf("%w: the server is started anew", errNotSynced)
		default:
			x.under, begin = make(chan struct{}), true
		}
		under := x.under
		x.mu.Unlock()
		if begin {
			flush(x)
		}
		select {
		case <-under:
		case <-ctx.Done():
		}
		x.mu.Lock()
		if ctx.Err() != nil && x.done < mine && x.synced < seq {
			return context.Cause(ctx)
		}
	}
	return nil
}

// lingering is how long what nobody waits for lets others ask the disk.
const lingering = 20 * time.Millisecond

// linger returns when all up to a sequence is on the disk, because others needed that, or after a moment in which nobody did. The caller holds the lock.
func (x *streamSync) linger(ctx context.Context, seq uint64) {
	moment, cancel := context.WithTimeout(ctx, lingering)
	defer cancel()
	for x.synced < seq && x.failed == nil && !x.ended && moment.Err() == nil {
		if x.next == nil {
			x.next = make(chan struct{})
		}
		next := x.next
		x.mu.Unlock()
		select {
		case <-next:
		case <-moment.Done():
		}
		x.mu.Lock()
	}
}

// goOn lets those look who linger. The caller holds the lock.
func (x *streamSync) goOn() {
	if x.next != nil {
		close(x.next)
		x.next = nil
	}
}

// flush syncs for all who have asked.
func (x *streamSync) flush() {
	x.mu.Lock()
	asked := x.asked
	x.mu.Unlock()
	last := x.stream.Last() // all up to here has been written
	err := x.blocks.flush()
	if err == nil {
		err = x.stream.Failed() // the server syncs, too, when it has time, and the system may tell of an error only once
	}
	x.fail(err)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err == nil {
		x.done, x.synced = asked, max(x.synced, last)
	}
	close(x.under)
	x.under = nil
	x.goOn()
}

// fail notes the first error for good.
func (x *streamSync) fail(err error) {
	if err == nil || x.noted() != nil {
		return
	}
	x.failing(err)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.failed = err
}

func (x *streamSync) noted() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failed
}

// failure is what made a sync fail, ours or one of the server's own, if one did.
func (x *streamSync) failure() error {
	x.fail(x.stream.Failed())
	return x.noted()
}

// end waits for the flush that is under way, and lets no other begin.
func (x *streamSync) end() {
	x.mu.Lock()
	x.ended = true
	x.goOn()
	under := x.under
	x.mu.Unlock()
	if under != nil {
		<-under
	}
}

func (x *streamSync) finish() {
	defer x.blocks.release()
	if x.failure() == nil {
		x.fail(x.blocks.flush())
	}
}
