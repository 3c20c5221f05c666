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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// disk stands for the one below a server. It knows what of the blocks of relaxed streams would still be there when the power came back: what was synced of those that are in a folder that was synced, too.
type disk struct {
	mu     sync.Mutex
	kept   map[string]*keptFile       // by path
	names  map[string]map[string]bool // in a folder, when it was last synced
	hold   chan struct{}              // syncs wait until it is closed; nil: they do not
	held   chan struct{}              // has an element when one waits
	fails  func(path string) error    // what a sync of a block says; nil: nothing
	off    bool                       // the power is
	blocks atomic.Int64               // that were synced
}

// keptFile is a file that was synced. It stays open, so that no other gets its place.
type keptFile struct {
	file *os.File
	data []byte // blocks only ever grow, until they are replaced
}

func newDisk(t *testing.T) *disk {
	d := &disk{kept: make(map[string]*keptFile), names: make(map[string]map[string]bool), held: make(chan struct{}, 1)}
	t.Cleanup(func() {
		for _, kept := range d.kept {
			_ = kept.file.Close()
		}
	})
	return d
}

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
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.off:
		return errors.New("the power is off")
	case info.IsDir():
		entries, err := os.ReadDir(f.Name())
		names := make(map[string]bool)
		for _, entry := range entries {
			names[entry.Name()] = true
		}
		d.names[f.Name()] = names
		return err
	}
	d.blocks.Add(1)
	if d.fails != nil {
		if err := d.fails(f.Name()); err != nil {
			return err
		}
	}
	return d.keep(f, info)
}

// keep keeps what is in a file.
func (d *disk) keep(f *os.File, info os.FileInfo) error {
	kept := d.kept[f.Name()]
	if kept != nil {
		old, err := kept.file.Stat()
		if err != nil {
			return err
		}
		if !os.SameFile(old, info) {
			if err := kept.file.Close(); err != nil {
				return err
			}
			kept = nil
		}
	}
	if kept == nil {
		file, err := os.Open(f.Name())
		if err != nil {
			return err
		}
		kept = &keptFile{file: file}
		d.kept[f.Name()] = kept
	}
	more, err := io.ReadAll(io.NewSectionReader(f, int64(len(kept.data)), info.Size()))
	kept.data = append(kept.data, more...)
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

// lose takes the power away, and copies a folder as it will be found by a system that was started anew: of the blocks in the streams named, only what was synced. Whatever else there is the server syncs by itself, also
// what it replaces a block by.
func (d *disk) lose(from, to string, streams ...string) (lost int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case err != nil:
		case entry.IsDir():
			err = os.MkdirAll(at, 0o700)
		case entry.Name() == "running":
			err = os.WriteFile(at, []byte("another boot"), 0o600)
		default:
			var data []byte
			if data, err = os.ReadFile(path); err != nil {
				break
			}
			folder := filepath.Dir(path)
			if filepath.Ext(path) == ".blk" && slices.Contains(streams, filepath.Base(filepath.Dir(folder))) {
				kept, whole := d.left(path)
				if !whole {
					lost += len(data) - len(kept)
					data = kept
				}
				if !d.names[folder][entry.Name()] {
					lost += len(data)
					return nil
				}
			}
			err = os.WriteFile(at, data, 0o600)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server is replacing it
		}
		return err
	})
	return lost, err
}

// left is what is left of a block; it is whole if the server wrote it anew.
func (d *disk) left(path string) (data []byte, whole bool) {
	kept := d.kept[path]
	if kept == nil {
		return nil, false
	}
	mine, err := kept.file.Stat()
	there, err2 := os.Stat(path)
	return kept.data, err != nil || err2 != nil || !os.SameFile(mine, there)
}

// startOn starts a server on a folder and a disk.
func startOn(t *testing.T, dir string, d *disk) *natsbroker.Server {
	t.Helper()
	return started(t, natsbroker.ServerConfig{Dir: dir, ProbeInterval: 100 * time.Millisecond}, d.fsync)
}

// shown is what somebody was told to be there.
type shown struct {
	mu     sync.Mutex
	tokens map[broker.Key]string // ids
}

func (s *shown) token(m broker.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[m.Key] = m.ID
}

func powerTopic() broker.Topic {
	return broker.Topic{Name: "tokens", Kept: true, MaxBytes: 12 << 20, Subscriptions: []broker.Subscription{{Name: "all", Lock: time.Minute}}}
}

// TestWhatSomebodyHeardOfSurvivesALossOfPower takes the power away while eight write, delete and read, and one receives, again and again, and looks for all that was decided, read or handed out. The first time the
// server has been stopped in peace before.
func TestWhatSomebodyHeardOfSurvivesALossOfPower(t *testing.T) {
	dir := t.TempDir()
	all := &shown{tokens: make(map[broker.Key]string)}
	server := startOn(t, dir, newDisk(t))
	b := open(t, natsbroker.Config{Server: server})
	if err := b.Declare(t.Context(), powerTopic()); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		writeOne(t.Context(), b, "peace", i, all)
	}
	if err := errors.Join(b.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	lost := 0
	for round := range 4 {
		next := t.TempDir()
		lost += powerLoss(t, dir, next, round, all)
		dir = next
	}
	if lost == 0 {
		t.Error("nothing was lost with the power: it shows nothing")
	}
	t.Logf("%d tokens; %d bytes that nobody had heard of were lost", len(all.tokens), lost)
}

func powerLoss(t *testing.T, dir, next string, round int, all *shown) (lost int) {
	d := newDisk(t)
	server := startOn(t, dir, d)
	b := open(t, natsbroker.Config{Server: server})
	if err := b.Declare(t.Context(), powerTopic()); err != nil {
		t.Fatal(err)
	}
	look(t, b, all)
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	var written atomic.Int64
	for w := range 8 {
		writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				writeOne(ctx, b, fmt.Sprintf("%d-%d", round, w), i, all)
				written.Add(1)
			}
		})
	}
	writing.Go(func() { receiveWhilePowered(ctx, b, all) })
	for written.Load() < 100 {
		<-time.After(time.Millisecond)
	}
	release := d.stop()
	defer release()
	<-d.held // now something is written and not synced
	cancel()
	lost, err := d.lose(dir, next, "skald-tokens")
	if err != nil {
		t.Fatal(err)
	}
	release()
	writing.Wait()
	_ = errors.Join(b.Close(), server.Close()) // without power
	return lost
}

// writeOne decides what others want to decide, too, reads what they are about to decide, and decides something of its own, most of which it deletes again.
func writeOne(ctx context.Context, b *natsbroker.Broker, name string, i int, all *shown) {
	round := strings.Split(name, "-")[0]
	m := broker.Message{ID: fmt.Sprintf("%s-%d", name, i), Type: "T", Source: "test", Data: make([]byte, rand.IntN(40_000))}
	m.Key = broker.NewKey(round, fmt.Sprint(i))
	if decision, err := b.Decide(ctx, "tokens", m); err == nil {
		all.token(decision.Message)
	}
	found, _ := b.Read(ctx, "tokens", broker.Filter(broker.NewKey(round, fmt.Sprint(i+1)))) // nothing to be had is fine
	for _, m := range found {
		all.token(m)
	}
	m.Key = broker.NewKey("own", name, fmt.Sprint(i))
	if _, err := b.Decide(ctx, "tokens", m); err == nil && i%8 != 0 {
		_, _ = b.Purge(ctx, "tokens", broker.Filter(m.Key)) // it may be there again: so it is with JetStream after an unclean end, also when it syncs each message
	} else if err == nil {
		all.token(m)
	}
}

// receiveWhilePowered hears of tokens and settles none. Those that are deleted do not count.
func receiveWhilePowered(ctx context.Context, b *natsbroker.Broker, all *shown) {
	r, err := b.Receiver(ctx, "tokens", "all")
	if err != nil {
		return // the power went first
	}
	defer r.Close()
	for {
		deliveries, err := r.Receive(ctx, 100)
		if err != nil {
			return
		}
		for _, d := range deliveries {
			if d.Message.Key.Elements()[0] != "own" {
				all.token(d.Message)
			}
		}
	}
}

// look looks for all that was shown.
func look(t *testing.T, b *natsbroker.Broker, all *shown) {
	t.Helper()
	there := make(map[broker.Key]string)
	for _, f := range []broker.Filter{"*/*", "own/*/*"} {
		found, err := b.Read(t.Context(), "tokens", f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range found {
			there[m.Key] = m.ID
		}
	}
	for key, id := range all.tokens {
		if there[key] != id {
			t.Fatalf("token %s, of which somebody heard: there is %q", id, there[key])
		}
	}
}

// TestNobodyHearsOfWhatIsNotOnTheDisk lets the disk take its time.
func TestNobodyHearsOfWhatIsNotOnTheDisk(t *testing.T) {
	d := newDisk(t)
	server := startOn(t, t.TempDir(), d)
	b, other := open(t, natsbroker.Config{Server: server}), open(t, natsbroker.Config{Server: server})
	defer other.Close()
	defer b.Close()
	if err := b.Declare(t.Context(), powerTopic()); err != nil {
		t.Fatal(err)
	}
	letter := setAside(t, b)
	release := d.stop()
	defer release()
	heard := make(chan string, 16)
	defer b.Overhear("tokens", broker.Durable, func(broker.Message, func(context.Context) error) { heard <- "overheard" })()
	early := make(chan func(context.Context) error, 1)
	defer b.Overhear("tokens", broker.Decided, func(_ broker.Message, durable func(context.Context) error) { early <- durable })()
	var asking sync.WaitGroup
	ask := func(what string, f func() error) {
		asking.Go(func() {
			if err := f(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			heard <- what
		})
	}
	m := broker.Message{ID: "1", Type: "T", Source: "test", Key: "k"}
	ask("decided", func() error { _, err := b.Decide(t.Context(), "tokens", m); return err })
	durable := <-early // the server has it
	ask("durable", func() error { return durable(t.Context()) })
	ask("decided otherwise", func() error {
		rival := m
		rival.ID = "2"
		decision, err := other.Decide(t.Context(), "tokens", rival)
		if err == nil && decision.Message.ID != "1" {
			err = fmt.Errorf("it is %s", decision.Message.ID)
		}
		return err
	})
	for _, f := range []broker.Filter{"k", "*"} {
		ask("read as "+string(f), func() error {
			found, err := other.Read(t.Context(), "tokens", f)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d found", len(found))
			}
			return err
		})
	}
	ask("handed out", func() error {
		r, err := other.Receiver(t.Context(), "tokens", "all")
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
	ask("deleted", func() error { _, err := other.Purge(t.Context(), "tokens", "x/*"); return err })
	ask("replayed", func() error { return other.Replay(t.Context(), letter, "mended") })
	hurried, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Decide(hurried, "tokens", broker.Message{ID: "3", Type: "T", Source: "test", Key: "x/l"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one who does not wait any more: %v", err)
	}
	select {
	case what := <-heard:
		t.Errorf("%s before it was on the disk", what)
	case <-time.After(500 * time.Millisecond):
	}
	release()
	asking.Wait()
	if len(heard) < 9 {
		t.Errorf("%d of nine heard of it when it was on the disk", len(heard))
	}
}

// TestAReceiverThatIsClosedWhileItWaitsForTheDiskGivesBack: nothing is handed out afterwards, and nobody waits until a lock of a minute expires.
func TestAReceiverThatIsClosedWhileItWaitsForTheDiskGivesBack(t *testing.T) {
	d := newDisk(t)
	b := open(t, natsbroker.Config{Server: startOn(t, t.TempDir(), d)})
	defer b.Close()
	if err := b.Declare(t.Context(), powerTopic()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Decide(t.Context(), "tokens", broker.Message{ID: "0", Type: "T", Source: "test", Key: "first"}); err != nil {
		t.Fatal(err)
	}
	r, err := b.Receiver(t.Context(), "tokens", "all")
	if err != nil {
		t.Fatal(err)
	}
	if first, err := r.Receive(t.Context(), 1); err != nil || first[0].Complete(t.Context()) != nil {
		t.Fatalf("%v, %v", first, err)
	}
	release := d.stop()
	defer release()
	decided, received := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := b.Decide(t.Context(), "tokens", broker.Message{ID: "1", Type: "T", Source: "test", Key: "k"})
		decided <- err
	}()
	go func() {
		deliveries, err := r.Receive(t.Context(), 1)
		if err == nil {
			err = fmt.Errorf("%d were handed out", len(deliveries))
		}
		received <- err
	}()
	for {
		backlog, err := b.Backlog(t.Context(), "tokens", "all")
		if err != nil {
			t.Fatal(err)
		}
		if backlog.InFlight == 1 {
			break
		}
		<-time.After(time.Millisecond)
	}
	<-time.After(20 * time.Millisecond) // it has come, or else it is given back where it comes in
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	release()
	if err := <-received; !errors.Is(err, broker.ErrClosed) {
		t.Errorf("the one that is closed: %v", err)
	}
	if err := <-decided; err != nil {
		t.Error(err)
	}
	next, err := b.Receiver(t.Context(), "tokens", "all")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if again, err := next.Receive(ctx, 1); err != nil || again[0].Message.ID != "1" {
		t.Errorf("the next one gets %v, %v", again, err)
	}
}

// setAside makes a dead letter of a token and returns its id.
func setAside(t *testing.T, b *natsbroker.Broker) string {
	t.Helper()
	if _, err := b.Decide(t.Context(), "tokens", broker.Message{ID: "poison", Type: "T", Source: "test", Key: "x/poison"}); err != nil {
		t.Fatal(err)
	}
	r, err := b.Receiver(t.Context(), "tokens", "all")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Receive(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := got[0].DeadLetter(t.Context(), broker.Problem{Reason: "test.poison"}); err != nil {
		t.Fatal(err)
	}
	page, err := b.Letters(t.Context(), broker.LetterFilter{})
	if err != nil || len(page.Letters) != 1 {
		t.Fatalf("dead letters: %v (%v)", page.Letters, err)
	}
	return page.Letters[0].ID
}

// TestASlowDiskMakesNoDeadLetters: whoever asks again and again for what is not on the disk yet takes no attempt from anybody.
func TestASlowDiskMakesNoDeadLetters(t *testing.T) {
	d := newDisk(t)
	server := startOn(t, t.TempDir(), d)
	b := open(t, natsbroker.Config{Server: server})
	defer b.Close()
	if err := b.Declare(t.Context(), powerTopic()); err != nil {
		t.Fatal(err)
	}
	r, err := b.Receiver(t.Context(), "tokens", "all")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	release := d.stop()
	defer release()
	decided := make(chan error, 1)
	go func() {
		_, err := b.Decide(t.Context(), "tokens", numbered(1))
		decided <- err
	}()
	<-d.held
	for range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if got, err := r.Receive(ctx, 1); err == nil {
			t.Errorf("handed out before it was on the disk: %v", got)
		}
		cancel()
	}
	release()
	if err := <-decided; err != nil {
		t.Fatal(err)
	}
	got, err := r.Receive(t.Context(), 1)
	if err != nil || len(got) != 1 || got[0].Count != 1 {
		t.Errorf("handed out are %v (%v), want it for the first time", got, err)
	}
	page, err := b.Letters(t.Context(), broker.LetterFilter{})
	if err != nil || len(page.Letters) != 0 {
		t.Errorf("dead letters: %v (%v)", page.Letters, err)
	}
}

// watchedBlock is the first block of a topic's stream. It stays open, so that no other gets its place.
func watchedBlock(t *testing.T, dir, topic string) (replaced func() bool) {
	t.Helper()
	path := filepath.Join(dir, "jetstream", "$G", "streams", "skald-"+topic, "msgs", "1.blk")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return func() bool {
		t.Helper()
		there, err := os.Stat(path)
		mine, err2 := f.Stat()
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return !os.SameFile(there, mine)
	}
}

// TestF21_ASyncThatFailsIsNotTriedAgain: what could not be synced is written anew before anybody hears of it, also what fails while the server ends because of another.
func TestF21_ASyncThatFailsIsNotTriedAgain(t *testing.T) {
	dir := t.TempDir()
	var first, late atomic.Bool
	var server *natsbroker.Server
	begun := make(chan struct{})
	server, err := natsbroker.StartSyncing(natsbroker.ServerConfig{Dir: dir, Log: quiet()}, func(f *os.File) error {
		switch filepath.Base(filepath.Dir(filepath.Dir(f.Name()))) {
		case "skald-first":
			if first.CompareAndSwap(true, false) {
				return errors.New("input/output error")
			}
		case "skald-late":
			if late.CompareAndSwap(true, false) {
				close(begun)
				for server.Restarts() == 0 {
					<-time.After(time.Millisecond)
				}
				<-time.After(300 * time.Millisecond) // longer than the server takes to end
				return errors.New("input/output error")
			}
		}
		return f.Sync()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	b := open(t, natsbroker.Config{Server: server})
	defer b.Close()
	replaced := make(map[string]func() bool)
	for _, topic := range []string{"first", "late", "third"} {
		if err := b.Declare(t.Context(), broker.Topic{Name: topic, Kept: true, Subscriptions: []broker.Subscription{{Name: "all"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Decide(t.Context(), topic, numbered(0)); err != nil {
			t.Fatal(err)
		}
		replaced[topic] = watchedBlock(t, dir, topic)
	}
	r, err := b.Receiver(t.Context(), "first", "all")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	decide := func(topic string) error {
		decision, err := b.Decide(t.Context(), topic, numbered(1))
		if err == nil && !decision.Won {
			err = errors.New("another has won")
		}
		return err
	}
	late.Store(true)
	decided := make(chan error, 1)
	go func() { decided <- decide("late") }()
	<-begun
	first.Store(true)
	if err := errors.Join(decide("first"), <-decided); err != nil {
		t.Fatal(err)
	}
	if server.Restarts() < 1 || !replaced["first"]() || !replaced["late"]() || replaced["third"]() {
		t.Errorf("started anew %d times, written anew: %t, %t and %t, want at least once, and the two whose syncs failed", server.Restarts(), replaced["first"](), replaced["late"](), replaced["third"]())
	}
	for n := 0; n < 2; {
		got, err := r.Receive(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		n += len(got)
	}
	if _, err := os.Stat(filepath.Join(dir, "unsynced")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is still something to make good: %v", err)
	}
}

// TestF21_AKilledProcessLeavesWordOfASyncThatFailed: the next one writes anew what it finds, and so does whoever closes the server.
func TestF21_AKilledProcessLeavesWordOfASyncThatFailed(t *testing.T) {
	dir := t.TempDir()
	d := newDisk(t)
	server := startOn(t, dir, d)
	b := open(t, natsbroker.Config{Server: server})
	if err := b.Declare(t.Context(), powerTopic()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Decide(t.Context(), "tokens", numbered(0)); err != nil {
		t.Fatal(err)
	}
	closed := watchedBlock(t, dir, "tokens")
	var word atomic.Bool
	d.mu.Lock()
	d.fails = func(path string) error {
		if strings.HasSuffix(path, ".blk") {
			return errors.New("input/output error")
		}
		_, err := os.Stat(filepath.Join(dir, "unsynced"))
		word.Store(err == nil)
		return nil
	}
	d.mu.Unlock()
	hurried, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := b.Decide(hurried, "tokens", numbered(1)); err == nil {
		t.Error("decided, and no sync succeeded")
	}
	if err := errors.Join(b.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	if !word.Load() || !closed() {
		t.Errorf("it left word: %t; it was written anew: %t", word.Load(), closed())
	}

	// As if it had been killed instead.
	killed := watchedBlock(t, dir, "tokens")
	if err := os.WriteFile(filepath.Join(dir, "unsynced"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	server = startOn(t, dir, newDisk(t))
	b = open(t, natsbroker.Config{Server: server})
	defer b.Close()
	if !killed() {
		t.Error("what a killed process left was not written anew")
	}
	if err := verify(t.Context(), b, 2); err != nil {
		t.Error(err)
	}
}

// TestWhatWasThereIsSyncedAtOnce: many who read what was there before need one sync.
func TestWhatWasThereIsSyncedAtOnce(t *testing.T) {
	dir := t.TempDir()
	d := newDisk(t)
	server := startOn(t, dir, d)
	b := open(t, natsbroker.Config{Server: server})
	if err := b.Declare(t.Context(), powerTopic()); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := b.Decide(t.Context(), "tokens", numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(b.Close(), server.Close()); err != nil {
		t.Fatal(err)
	}
	before := d.blocks.Load()
	server = startOn(t, dir, d)
	b = open(t, natsbroker.Config{Server: server})
	defer b.Close()
	if err := verify(t.Context(), b, 20); err != nil {
		t.Fatal(err)
	}
	if n := d.blocks.Load() - before; n != 1 {
		t.Errorf("%d syncs to read twenty that were there, want one", n)
	}
}

// TestAServerWithAPortSyncsByItself: with a port others hear of messages from the server itself.
func TestAServerWithAPortSyncsByItself(t *testing.T) {
	d := newDisk(t)
	server := started(t, natsbroker.ServerConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"}, d.fsync)
	b := open(t, natsbroker.Config{Server: server})
	defer b.Close()
	if err := b.Declare(t.Context(), broker.Topic{Name: "tokens", Kept: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Decide(t.Context(), "tokens", numbered(0)); err != nil || d.blocks.Load() != 0 {
		t.Errorf("decided (%v), and %d syncs were shared, want none", err, d.blocks.Load())
	}
}
