package skaldtest

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"iter"
	"slices"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// errDisk is what a store says whose disk or connection failed. It leaves open what was written.
var errDisk = errors.New("the connection to the disk was lost")

// disk is what survives of the store: every commit that was synced, in a real store. One that was written and not synced when the power went is cut anywhere, and
// is rolled back when the store opens again unless all of it is there.
type disk struct {
	w        *world
	epoch    uint64
	mem      store.Store                      // what was synced
	known    map[journal.SagaID]store.Summary // what was looked up since the last commit
	torn     *frame                           // the commit that was not synced
	busy     bool                             // somebody writes
	fullTo   time.Duration                    // there is no room until then
	damaged  map[journal.SagaID]int
	damageBy *process // the process that opened on the damage
}

// frame is a commit as it is written: four bytes of checksum, and the records.
type frame struct {
	bytes   []byte
	epoch   uint64
	appends []store.Append
}

func newFrame(epoch uint64, appends []store.Append) *frame {
	f := &frame{epoch: epoch, bytes: make([]byte, 4), appends: slices.Clone(appends)}
	for i := range f.appends {
		from := len(f.bytes)
		f.bytes = append(f.bytes, f.appends[i].Records...)
		f.appends[i].Records = slices.Clone(f.bytes[from:])
	}
	binary.LittleEndian.PutUint32(f.bytes, crc32.ChecksumIEEE(f.bytes[4:]))
	return f
}

func (f *frame) whole() bool {
	return len(f.bytes) >= 4 && crc32.ChecksumIEEE(f.bytes[4:]) == binary.LittleEndian.Uint32(f.bytes)
}

func newDisk(w *world) *disk {
	d := &disk{w: w, known: map[journal.SagaID]store.Summary{}}
	if w.newStore == nil {
		d.mem = memstore.New()
	} else {
		d.mem = w.newStore()
	}
	return d
}

// close ends the store.
func (d *disk) close() {
	if err := d.mem.Close(); err != nil {
		d.w.violate("close: %v", err)
	}
}

// tear leaves any beginning of a commit that was not synced, also none and all of it. If others have the store open, it is theirs to
// find; otherwise it is found when the store is opened again.
func (d *disk) tear(f *frame, draw uint64, alone bool) {
	f.bytes = f.bytes[:draw%uint64(len(f.bytes)+1)]
	d.torn, d.busy = f, false
	if !alone {
		d.reopen()
	}
}

// reopen reads the end of the log as a store does that starts: a torn commit is rolled back, and a whole one stands.
func (d *disk) reopen() {
	f := d.torn
	switch d.torn = nil; {
	case f == nil:
	case f.whole():
		if _, err := d.apply(context.Background(), f.epoch, f.appends); err != nil && !errors.Is(err, store.ErrFenced) {
			d.w.violate("reopen: %v", err)
		}
	default:
		d.w.saw("F22")
		d.w.note("torn commit rolled back", "", "", uint64(len(f.bytes)))
	}
}

// summary is what is durable of a saga.
func (d *disk) summary(id journal.SagaID) (store.Summary, bool) {
	if s, ok := d.known[id]; ok {
		return s, true
	}
	page, err := d.mem.List(context.Background(), store.Filter{ID: id, Limit: 1})
	if err != nil {
		d.w.violate("list: %v", err)
	}
	if len(page.Sagas) == 0 {
		return store.Summary{}, false
	}
	d.known[id] = page.Sagas[0]
	return page.Sagas[0], true
}

// events are what a saga's journal says.
func (d *disk) events(id journal.SagaID) iter.Seq[journal.Event] {
	return func(yield func(journal.Event) bool) {
		_, data, err := d.mem.Journal(context.Background(), id)
		if err == nil {
			_, _, err = journal.Decode(data, journal.FirstChain(id), 0, func(e journal.Event) error {
				if !yield(e) {
					return errEnough
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errEnough) {
			d.w.violate("journal of %s: %v", id, err)
		}
	}
}

// errEnough ends the reading of a journal of which nobody wants more.
var errEnough = errors.New("enough was read")

// session is the store as one process has it open.
type session struct {
	d        *disk
	p        *process
	poisoned bool // a sync failed: nothing may be written any more
}

var _ store.Store = (*session)(nil)

// Acquire implements store.Store.
func (s *session) Acquire(ctx context.Context) (uint64, error) {
	s.lock()
	epoch, err := s.d.mem.Acquire(ctx)
	s.d.epoch = epoch
	return epoch, err
}

// lock waits until nobody writes.
func (s *session) lock() {
	s.d.w.park(func() bool { return !s.d.busy })
}

// Commit implements store.Store.
func (s *session) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	w, d := s.d.w, s.d
	w.gate()
	f, draw := w.site(atCommit, s.p)
	if s.poisoned {
		w.violate("a coordinator wrote again after its sync had failed")
	}
	switch {
	case f == full:
		d.fullTo = w.now + time.Duration(draw%30_000)*time.Millisecond
	case f == lostCommit:
		w.saw("F30")
		return nil, errDisk
	}
	if w.now < d.fullTo {
		w.saw("F20-full")
		return nil, store.ErrFull
	}
	s.lock()
	d.reopen() // who writes finds what one that died before it left behind
	if epoch < d.epoch {
		w.saw(s.p.fencedAs())
	}
	d.busy, w.current.server = true, true
	w.gate()
	switch f, draw = w.site(atSync, s.p); f {
	case crash:
		d.tear(newFrame(epoch, appends), draw, s.p == w.newest)
		w.current.server = false
		w.kill(s.p)
		w.gate()
	case badSync:
		w.saw("F21")
		d.tear(newFrame(epoch, appends), draw, false)
		s.poisoned, w.current.server = true, false
		return nil, errDisk
	default:
	}
	rejected, err := d.apply(ctx, epoch, appends)
	d.busy, w.current.server = false, false
	w.gate()
	if err != nil {
		return nil, err
	}
	if f, _ = w.site(atCommitted, s.p); f == unknownCommit {
		w.saw("F30")
		return nil, errDisk
	}
	return rejected, nil
}

// apply makes a commit durable, unless it is fenced.
func (d *disk) apply(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	for i := range appends {
		d.w.mix(uint64(appends[i].Summary.Chain), appends[i].Summary.Seq)
		d.w.note("commit", string(appends[i].Summary.ID), string(appends[i].Summary.State), appends[i].Summary.Seq)
	}
	clear(d.known)
	rejected, err := d.mem.Commit(ctx, epoch, appends)
	if err != nil {
		d.w.note("refused", "", err.Error(), epoch)
	}
	return rejected, err
}

// Journal implements store.Store.
func (s *session) Journal(ctx context.Context, id journal.SagaID) (store.Summary, []byte, error) {
	s.d.w.gate()
	sum, data, err := s.d.mem.Journal(ctx, id)
	if at, ok := s.d.damaged[id]; ok && err == nil && s.p == s.d.damageBy {
		data[at%len(data)] ^= 1 << (at % 7)
		err = sum.Verify(data)
	}
	return sum, data, err
}

// List implements store.Store.
func (s *session) List(ctx context.Context, f store.Filter) (store.Page, error) {
	s.d.w.gate()
	return s.d.mem.List(ctx, f)
}

// Prune implements store.Store.
func (s *session) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	s.d.w.gate()
	return s.d.mem.Prune(ctx, before, limit)
}

// SaveDefinition implements store.Store.
func (s *session) SaveDefinition(ctx context.Context, def store.Definition) error {
	s.d.w.gate()
	return s.d.mem.SaveDefinition(ctx, def)
}

// Definitions implements store.Store.
func (s *session) Definitions(ctx context.Context) ([]store.Definition, error) {
	return s.d.mem.Definitions(ctx)
}

// Close implements store.Store.
func (s *session) Close() error { return nil }
