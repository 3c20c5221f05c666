package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// disk stands for the one below a server. It knows what of each block would still be there when the power came back.
type disk struct {
	mu    sync.Mutex
	kept  map[string]keptFile // by path
	hold  chan struct{}       // syncs wait until it is closed; nil: they do not
	held  chan struct{}       // has an element when one waits
	fails error               // what the next sync of a block says
	off   bool                // the power is
	syncs atomic.Int64        // of blocks
}

type keptFile struct {
	file os.FileInfo
	data []byte // blocks only ever grow, until they are replaced
}

func newDisk() *disk { return &disk{kept: make(map[string]keptFile), held: make(chan struct{}, 1)} }

// fsync keeps what is in the file now.
func (d *disk) fsync(f *os.File) error {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		select {
		case d.held <- struct{}{}:
		default:
		}
		<-hold
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return err
	}
	d.syncs.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.kept[f.Name()]
	if old.file != nil && !os.SameFile(old.file, info) {
		old.data = nil
	}
	more, err := io.ReadAll(io.NewSectionReader(f, int64(len(old.data)), info.Size()))
	if err, d.fails = errors.Join(err, d.fails), nil; d.off {
		err = errors.New("the power is off")
	}
	if err == nil {
		d.kept[f.Name()] = keptFile{info, append(old.data, more...)}
	}
	return err
}

// stop lets all syncs wait from now on, until the returned function is called.
func (d *disk) stop() (release func()) {
	hold := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = hold
	return sync.OnceFunc(func() {
		d.mu.Lock()
		d.hold = nil
		d.mu.Unlock()
		close(hold)
	})
}

// lose takes the power away, and copies a folder as it will be found: of the blocks that were synced, only that. Whatever else there is the server syncs by itself.
func (d *disk) lose(from, to string) (lost int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server is replacing it
		}
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server is replacing it
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if kept, ok := d.kept[path]; ok && os.SameFile(kept.file, info) {
			lost += len(data) - len(kept.data)
			data = kept.data
		}
		return os.WriteFile(at, data, 0o600)
	})
	return lost, err
}

// startOn starts a server on a folder and a disk.
func startOn(t *testing.T, dir string, d *disk) *natsbroker.Server {
	t.Helper()
	s, err := natsbroker.StartSyncing(natsbroker.ServerConfig{Dir: dir, ProbeInterval: 100 * time.Millisecond, Log: quiet()}, d.fsync)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// shown is what somebody was told to be there.
type shown struct {
	mu     sync.Mutex
	tokens map[broker.Key]string // ids
	queued map[string]bool       // ids of what was published to the queue and not settled
}

func (s *shown) token(m broker.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[m.Key] = m.ID
}

// TestWhatSomebodyHeardOfSurvivesALossOfPower takes the power away while eight write and two read, again and again, and looks for all that was acknowledged, read or handed out.
func TestWhatSomebodyHeardOfSurvivesALossOfPower(t *testing.T) {
	dir := t.TempDir()
	all := &shown{tokens: make(map[broker.Key]string), queued: make(map[string]bool)}
	lost := 0
	for round := range 4 {
		next := t.TempDir()
		lost += powerLoss(t, dir, next, round, all)
		dir = next
	}
	if lost == 0 {
		t.Error("nothing was lost with the power: it shows nothing")
	}
	t.Logf("%d tokens and %d queued messages; %d bytes that nobody had heard of were lost", len(all.tokens), len(all.queued), lost)
}

func powerLoss(t *testing.T, dir, next string, round int, all *shown) (lost int) {
	d := newDisk()
	server := startOn(t, dir, d)
	b := open(t, natsbroker.Config{Server: server})
	lock := time.Minute
	if err := b.Declare(t.Context(), broker.Topic{Name: "tokens", Kept: true, MaxBytes: 12 << 20}, broker.Topic{Name: "q", MaxBytes: 12 << 20, Subscriptions: []broker.Subscription{{Name: "q", Lock: lock}}}); err != nil {
		t.Fatal(err)
	}
	look(t, b, all)
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	var written atomic.Int64
	for w := range 8 {
		writing.Go(func() { writeWhilePowered(ctx, b, fmt.Sprintf("%d-%d", round, w), all, &written) })
	}
	writing.Go(func() { receiveWhilePowered(ctx, b, all) })
	for written.Load() < 100 {
		<-time.After(time.Millisecond)
	}
	release := d.stop()
	defer release()
	<-d.held // now something is written and not synced
	cancel()
	lost, err := d.lose(dir, next)
	if err != nil {
		t.Fatal(err)
	}
	release()
	writing.Wait()
	if err := errors.Join(b.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	return lost
}

// writeWhilePowered decides and publishes, and reads what others are about to decide.
func writeWhilePowered(ctx context.Context, b *natsbroker.Broker, name string, all *shown, written *atomic.Int64) {
	for i := 0; ctx.Err() == nil; i++ {
		m := broker.Message{ID: fmt.Sprintf("%s-%d", name, i), Type: "T", Source: "test", Data: make([]byte, rand.IntN(40_000))}
		m.Key = broker.NewKey(strings.Split(name, "-")[0], fmt.Sprint(i)) // others want it, too
		if decision, err := b.Decide(ctx, "tokens", m); err == nil {
			all.token(decision.Message)
		}
		found, _ := b.Read(ctx, "tokens", broker.Filter(broker.NewKey(strings.Split(name, "-")[0], fmt.Sprint(i+1)))) // nothing to be had is fine
		for _, m := range found {
			all.token(m)
		}
		own := m // blocks of which most was deleted are written anew
		own.Key = broker.NewKey(name, fmt.Sprint(i))
		if _, err := b.Decide(ctx, "tokens", own); err == nil && i%8 == 0 {
			all.token(own)
		} else if err == nil {
			b.Purge(ctx, "tokens", broker.Filter(own.Key)) //nolint:errcheck // it may be there again
		}
		m.ID, m.Key = "q-"+m.ID, "k"
		if err := b.Publish(ctx, "q", m); err == nil {
			all.mu.Lock()
			all.queued[m.ID] = true
			all.mu.Unlock()
		}
		written.Add(1)
	}
}

// receiveWhilePowered hears of messages and settles none.
func receiveWhilePowered(ctx context.Context, b *natsbroker.Broker, all *shown) {
	r, err := b.Receiver(ctx, "q", "q")
	if err != nil {
		return // the power went first
	}
	defer r.Close()
	for {
		deliveries, err := r.Receive(ctx, 100)
		if err != nil {
			return
		}
		all.mu.Lock()
		for _, d := range deliveries {
			all.queued[d.Message.ID] = true
		}
		all.mu.Unlock()
	}
}

// look looks for all that was shown.
func look(t *testing.T, b *natsbroker.Broker, all *shown) {
	t.Helper()
	for key, id := range all.tokens {
		found, err := b.Read(t.Context(), "tokens", broker.Filter(key))
		if err != nil || len(found) != 1 || found[0].ID != id {
			t.Fatalf("token %s, of which somebody heard: %d found (%v)", id, len(found), err)
		}
	}
	backlog, err := b.Backlog(t.Context(), "q", "q")
	if err != nil {
		t.Fatal(err)
	}
	if there := backlog.Waiting + backlog.InFlight; there < len(all.queued) {
		t.Fatalf("%d messages are queued (%+v), and somebody heard of %d", there, backlog, len(all.queued))
	}
}

// TestNobodyHearsOfWhatIsNotOnTheDisk lets the disk take its time.
func TestNobodyHearsOfWhatIsNotOnTheDisk(t *testing.T) {
	d := newDisk()
	server := startOn(t, t.TempDir(), d)
	b, other := open(t, natsbroker.Config{Server: server}), open(t, natsbroker.Config{Server: server})
	defer other.Close()
	defer b.Close()
	topics := []broker.Topic{{Name: "tokens", Kept: true, Subscriptions: []broker.Subscription{{Name: "all"}}}, {Name: "q", Subscriptions: []broker.Subscription{{Name: "q"}}}, {Name: "s", Subscriptions: []broker.Subscription{{Name: "s", Sessions: true}}}}
	if err := b.Declare(t.Context(), topics...); err != nil {
		t.Fatal(err)
	}
	release := d.stop()
	defer release()
	m := broker.Message{ID: "1", Type: "T", Source: "test", Key: "k"}
	rival := m
	rival.ID = "2"
	heard := make(chan string, 16)
	stop := b.Overhear("tokens", func(broker.Message) { heard <- "overheard" })
	defer stop()
	early := make(chan func(context.Context) error, 1)
	defer b.OverhearEarly("tokens", func(_ broker.Message, durable func(context.Context) error) { early <- durable })()
	var asking sync.WaitGroup
	ask := func(what string, f func() error) {
		asking.Go(func() {
			if err := f(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			heard <- what
		})
	}
	ask("decided", func() error { _, err := b.Decide(t.Context(), "tokens", m); return err })
	ask("published", func() error { return b.Publish(t.Context(), "q", m) })
	ask("published to a session", func() error { return b.Publish(t.Context(), "s", m) })
	for _, topic := range topics {
		backlog := broker.Backlog{}
		for backlog.Waiting == 0 { // until the server has it
			var err error
			if backlog, err = b.Backlog(t.Context(), topic.Name, topic.Subscriptions[0].Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask("decided otherwise", func() error {
		decision, err := other.Decide(t.Context(), "tokens", rival)
		if err == nil && decision.Message.ID != "1" {
			err = fmt.Errorf("it is %s", decision.Message.ID)
		}
		return err
	})
	read := func(f broker.Filter) func() error {
		return func() error {
			found, err := other.Read(t.Context(), "tokens", f)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d found", len(found))
			}
			return err
		}
	}
	ask("read", read("k"))
	ask("read with others", read("*"))
	for _, topic := range topics {
		ask("handed out by "+topic.Name, func() error {
			r, err := other.Receiver(t.Context(), topic.Name, topic.Subscriptions[0].Name)
			if err != nil {
				return err
			}
			defer r.Close()
			deliveries, err := r.Receive(t.Context(), 1)
			if err == nil && len(deliveries) != 1 {
				err = fmt.Errorf("%d handed out", len(deliveries))
			}
			return err
		})
	}
	ask("durable", func() error { return (<-early)(t.Context()) })
	select {
	case what := <-heard:
		t.Errorf("%s before it was on the disk", what)
	case <-time.After(500 * time.Millisecond):
	}
	release()
	asking.Wait()
	if len(heard) < 11 {
		t.Errorf("%d of eleven heard of it when it was on the disk", len(heard))
	}
}

// TestF21_ASyncThatFailsIsNotTriedAgain: what could not be synced is written anew, before anybody hears of it.
func TestF21_ASyncThatFailsIsNotTriedAgain(t *testing.T) {
	d, dir := newDisk(), t.TempDir()
	server := startOn(t, dir, d)
	b := open(t, natsbroker.Config{Server: server})
	defer b.Close()
	if err := b.Declare(t.Context(), broker.Topic{Name: "tokens", Kept: true}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if _, err := b.Decide(t.Context(), "tokens", numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	block := filepath.Join(dir, "jetstream", "$G", "streams", "skald-tokens", "msgs", "1.blk")
	before, err := os.Stat(block)
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.fails = errors.New("input/output error")
	d.mu.Unlock()
	if decision, err := b.Decide(t.Context(), "tokens", numbered(10)); err != nil || !decision.Won {
		t.Fatalf("a token whose first sync failed: won %t (%v)", decision.Won, err)
	}
	if server.Restarts() != 1 {
		t.Errorf("the server was started anew %d times, want once", server.Restarts())
	}
	after, err := os.Stat(block)
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(before, after) {
		t.Error("the file that could not be synced is still in use")
	}
	if err := verify(t.Context(), b, 11); err != nil {
		t.Error(err)
	}
}

// TestAServerWithAPortSyncsByItself: with a port others hear of messages from the server itself, so that it syncs each.
func TestAServerWithAPortSyncsByItself(t *testing.T) {
	d := newDisk()
	server, err := natsbroker.StartSyncing(natsbroker.ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: quiet()}, d.fsync)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	b := open(t, natsbroker.Config{Server: server})
	defer b.Close()
	if err := b.Declare(t.Context(), broker.Topic{Name: "tokens", Kept: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Decide(t.Context(), "tokens", numbered(0)); err != nil || d.syncs.Load() != 0 {
		t.Errorf("decided (%v), and %d syncs were shared, want none", err, d.syncs.Load())
	}
}
