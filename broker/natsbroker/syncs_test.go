package natsbroker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/broker"
)

// blockLog is a folder with blocks, and which of them were synced.
type blockLog struct {
	blocks
	synced []string
}

func newBlockLog(t *testing.T, numbers ...int) *blockLog {
	l := &blockLog{blocks: blocks{dir: t.TempDir()}}
	t.Cleanup(l.release)
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

func (l *blockLog) remove(t *testing.T, number int) {
	t.Helper()
	if err := os.Remove(l.path(number)); err != nil {
		t.Fatal(err)
	}
}

// want wants so many blocks to be synced by the next flush, and the folder, if "." is among them.
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
	l.remove(t, 12) // all in it was deleted before anything was written to the next
	l.write(t, 13)
	l.want(t, "13.blk", ".")
	l.write(t, 14)
	l.remove(t, 13)
	l.write(t, 15) // perhaps in the place of the one that was removed
	l.remove(t, 14)
	l.want(t, "15.blk", ".")
	anew := l.path(15) + ".tmp"
	if err := errors.Join(os.WriteFile(anew, nil, 0o600), os.Rename(anew, l.path(15))); err != nil {
		t.Fatal(err)
	}
	l.want(t, "15.blk", ".")
	l.want(t, "15.blk")
	l.remove(t, 2) // it would come back
	l.want(t, "15.blk", ".")
}

// TestAFolderThatIsAsItWasIsNotListed: a folder's time says so, once that is old enough for nothing to have changed at the same time.
func TestAFolderThatIsAsItWasIsNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBlockLog(t, 1)
		secretly := func(number int) {
			t.Helper()
			info, err := os.Stat(l.dir)
			if err != nil {
				t.Fatal(err)
			}
			l.write(t, number)
			if err := os.Chtimes(l.dir, time.Time{}, info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}
		l.want(t, "1.blk", ".")
		secretly(2) // within the grain of the folder's times
		l.want(t, "1.blk", "2.blk", ".")
		time.Sleep(grain + 1)
		l.want(t, "2.blk") // it is listed once more
		secretly(3)
		l.want(t, "2.blk") // and then not
		l.write(t, 4)
		l.want(t, "2.blk", "3.blk", "4.blk", ".")
		l.remove(t, 1)
		l.want(t, "4.blk", ".")
	})
}

// TestWhatCouldNotBeSyncedIsNotPassedOver: after a flush that failed half way all is looked at again.
func TestWhatCouldNotBeSyncedIsNotPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newBlockLog(t, 1)
		l.want(t, "1.blk", ".")
		time.Sleep(grain + 1)
		l.write(t, 2)
		sync := l.fsync
		l.fsync = func(f *os.File) error {
			if filepath.Base(f.Name()) == "2.blk" {
				return errors.New("input/output error")
			}
			return sync(f)
		}
		for range 2 { // the second time the folder has been as it is for long
			if err := l.flush(); err == nil {
				t.Error("it is flushed")
			}
			time.Sleep(grain + 1)
		}
		l.fsync = sync
		l.want(t, "1.blk", "2.blk", ".")
	})
}

// scripted is a stream as the server has written it.
type scripted struct {
	last   atomic.Uint64
	failed error
}

func (s *scripted) Relax()        {}
func (s *scripted) Last() uint64  { return s.last.Load() }
func (s *scripted) Failed() error { return s.failed }

// newSync returns the syncs of a stream of one block; fsync is called for that.
func newSync(t *testing.T, fsync func() error) (*streamSync, *scripted) {
	t.Helper()
	stream := new(scripted)
	x := &streamSync{stream: stream, failing: func(error) {}, blocks: blocks{dir: t.TempDir(), fsync: func(f *os.File) error {
		if info, err := f.Stat(); err != nil || info.IsDir() {
			return err
		}
		return fsync()
	}}}
	t.Cleanup(x.blocks.release)
	if err := os.WriteFile(x.blocks.path(1), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return x, stream
}

// TestThoseWhoComeDuringASyncShareTheNext: sixty-four wait for two syncs. What comes during the first is not covered by it.
func TestThoseWhoComeDuringASyncShareTheNext(t *testing.T) {
	const many = 64
	begun, goOn := make(chan int, many), make(chan struct{})
	var files atomic.Int64
	x, stream := newSync(t, func() error {
		begun <- int(files.Add(1))
		<-goOn
		return nil
	})
	stream.last.Store(1)
	faults := make(chan error, many)
	go func() { faults <- awaitOn(t.Context(), x, 1) }()
	<-begun
	stream.last.Store(many)
	for seq := range uint64(many - 1) {
		go func() { faults <- awaitOn(t.Context(), x, seq+2) }()
	}
	for x.askedFor() < many {
		<-time.After(time.Millisecond)
	}
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if err := awaitOn(hurried, x, many); !errors.Is(err, context.Canceled) {
		t.Errorf("one who does not wait any more: %v", err)
	}
	goOn <- struct{}{}
	<-begun // the first is over, and covers nothing of what came during it
	if n := len(faults); n > 1 {
		t.Errorf("%d have what they waited for after the first sync, want one", n)
	}
	goOn <- struct{}{}
	for range many {
		if err := <-faults; err != nil {
			t.Error(err)
		}
	}
	if files.Load() != 2 {
		t.Errorf("%d syncs for %d who wait, want two", files.Load(), many)
	}
	if err := awaitOn(t.Context(), x, many); err != nil || files.Load() != 2 {
		t.Errorf("what is on the disk is synced again: %v", err)
	}
}

// awaitOn is syncs.await for one stream.
func awaitOn(ctx context.Context, x *streamSync, seq uint64) error {
	return x.reach(ctx, seq, func(x *streamSync) { go x.flush() })
}

// TestWhatNobodyWaitsForSharesASync: with somebody who needs one in the next moment. What comes during a sync is not covered by it, here as elsewhere.
func TestWhatNobodyWaitsForSharesASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var files atomic.Int64
		x, stream := newSync(t, func() error { files.Add(1); time.Sleep(time.Millisecond); return nil })
		stream.last.Store(2)
		first := make(chan error, 1)
		go func() { first <- awaitOn(t.Context(), x, 1) }()
		time.Sleep(time.Microsecond) // it is under way
		stream.last.Store(3)
		unhurried := make(chan error, 1)
		go func() { unhurried <- awaitOn(broker.Unhurried(t.Context()), x, 3) }()
		time.Sleep(lingering / 2)
		if len(first) != 1 || len(unhurried) != 0 || files.Load() != 1 {
			t.Errorf("after the first sync %d of one who waited, and %d who do not, are done, with %d syncs", len(first), len(unhurried), files.Load())
		}
		stream.last.Store(4)
		if err := errors.Join(awaitOn(t.Context(), x, 4), <-first, <-unhurried); err != nil || files.Load() != 2 {
			t.Errorf("%d syncs, want two; %v", files.Load(), err)
		}
	})
}

// TestWhatNobodyWaitsForIsSyncedAfterAMoment in which nobody else needed that, and gets an error at once where nothing can become durable.
func TestWhatNobodyWaitsForIsSyncedAfterAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, stream := newSync(t, func() error { return nil })
		stream.last.Store(1)
		began := time.Now()
		if err := awaitOn(broker.Unhurried(t.Context()), x, 1); err != nil || time.Since(began) != lingering {
			t.Errorf("it took %s, want %s; %v", time.Since(began), lingering, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), lingering/2)
		defer cancel()
		began = time.Now()
		if err := awaitOn(broker.Unhurried(ctx), x, 2); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != lingering/2 {
			t.Errorf("whose time is over in between gets %v after %s", err, time.Since(began))
		}
		time.AfterFunc(lingering/2, x.end)
		began = time.Now()
		if err := awaitOn(broker.Unhurried(t.Context()), x, 2); !errors.Is(err, errNotSynced) || time.Since(began) != lingering/2 {
			t.Errorf("at the end it gets %v after %s", err, time.Since(began))
		}
	})
}

// TestWhatNobodyWaitsForHearsOfAFailure: of the sync that it would have shared.
func TestWhatNobodyWaitsForHearsOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, stream := newSync(t, func() error { return errors.New("input/output error") })
		stream.last.Store(2)
		began := time.Now()
		unhurried := make(chan error, 1)
		go func() { unhurried <- awaitOn(broker.Unhurried(t.Context()), x, 1) }()
		synctest.Wait()
		if err := awaitOn(t.Context(), x, 2); !errors.Is(err, errNotSynced) {
			t.Errorf("who waits gets %v", err)
		}
		if err := <-unhurried; !errors.Is(err, errNotSynced) || time.Since(began) != 0 {
			t.Errorf("who does not gets %v after %s", err, time.Since(began))
		}
	})
}

// TestWhoseTimeIsLimitedIsNotHeldUpByTheDisk: also the first who comes when a sync is over, and has to let the next be made.
func TestWhoseTimeIsLimitedIsNotHeldUpByTheDisk(t *testing.T) {
	begun, goOn := make(chan struct{}, 4), make(chan struct{})
	x, stream := newSync(t, func() error { begun <- struct{}{}; <-goOn; return nil })
	stream.last.Store(1)
	first := make(chan error, 1)
	go func() { first <- x.reach(t.Context(), 1, (*streamSync).flush) }()
	<-begun
	stream.last.Store(2)
	ctx, cancel := context.WithCancel(t.Context())
	limited := make(chan error, 1)
	go func() { limited <- awaitOn(ctx, x, 2) }()
	for x.askedFor() < 2 {
		<-time.After(time.Millisecond)
	}
	goOn <- struct{}{}
	if err := <-first; err != nil {
		t.Error(err)
	}
	<-begun // the disk hangs in the next
	cancel()
	if err := <-limited; !errors.Is(err, context.Canceled) {
		t.Errorf("it gets %v", err)
	}
	goOn <- struct{}{}
	x.end()
}

// TestWhatIsOnTheDiskIsSaidToBe, also to somebody whose time ended while the disk was asked.
func TestWhatIsOnTheDiskIsSaidToBe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	x, stream := newSync(t, func() error { cancel(); return nil })
	stream.last.Store(1)
	if err := x.reach(ctx, 1, (*streamSync).flush); err != nil {
		t.Error(err)
	}
}

func (x *streamSync) askedFor() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked
}

func TestAfterAFailureNothingIsSynced(t *testing.T) {
	files, told := 0, 0
	x, stream := newSync(t, func() error {
		if files++; files == 2 {
			return errors.New("input/output error")
		}
		return nil
	})
	x.failing = func(error) { told++ }
	stream.last.Store(1)
	if err := awaitOn(t.Context(), x, 1); err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(3) {
		if err := awaitOn(t.Context(), x, seq+2); !errors.Is(err, errNotSynced) {
			t.Errorf("waiting for %d: %v", seq+2, err)
		}
	}
	if err := awaitOn(t.Context(), x, 1); err != nil {
		t.Errorf("what was synced before: %v", err)
	}
	if files != 2 || told != 1 || x.failure() == nil {
		t.Errorf("%d syncs and %d told, want two and one; failure %v", files, told, x.failure())
	}
}

// TestAfterTheEndNothingIsSynced: a sync under way is waited for, and nobody is told that anything else is on the disk.
func TestAfterTheEndNothingIsSynced(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	x, stream := newSync(t, func() error {
		close(begun)
		<-goOn
		return errors.New("input/output error")
	})
	stream.last.Store(1)
	waited := make(chan error, 1)
	go func() { waited <- awaitOn(t.Context(), x, 1) }()
	<-begun
	ended := make(chan struct{})
	go func() { x.end(); close(ended) }()
	select {
	case <-ended:
		t.Error("it has ended, and a sync is under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	<-ended
	if err := <-waited; !errors.Is(err, errNotSynced) || x.failure() == nil {
		t.Errorf("the sync failed: %v, %v", err, x.failure())
	}
	other, _ := newSync(t, func() error { t.Error("synced"); return nil })
	other.end()
	if err := awaitOn(t.Context(), other, 1); !errors.Is(err, errNotSynced) {
		t.Errorf("after the end: %v", err)
	}
}

// TestTheServersOwnFailureCounts: the server syncs, too, when it has time, and the system may tell of an error only once.
func TestTheServersOwnFailureCounts(t *testing.T) {
	x, stream := newSync(t, func() error { return nil })
	if err := x.failure(); err != nil {
		t.Fatal(err)
	}
	stream.failed = errors.New("input/output error")
	told := 0
	x.failing = func(error) { told++ }
	if err := awaitOn(t.Context(), x, 1); !errors.Is(err, errNotSynced) {
		t.Errorf("after it: %v", err)
	}
	if err := x.failure(); err == nil || told != 1 {
		t.Errorf("it is noted as %v, and told %d times", err, told)
	}
}
