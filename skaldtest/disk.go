package skaldtest

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// errDisk is what a store says whose disk or connection failed. It leaves open what was written.
var errDisk = errors.New("the connection to the disk was lost")

// disk is what survives of the store: a log of commits, each with a checksum. A commit that was written and not synced when the power went is cut anywhere, and
// is rolled back when the store opens again unless all of it is there. What the log says is kept in a real store.
type disk struct {
	w        *world
	log      []frame
	defs     []store.Definition
	epoch    uint64
	mem      store.Store   // what the log says, but for a commit that is not synced
	busy     bool          // somebody writes
	fullTo   time.Duration // there is no room until then
	damaged  map[journal.SagaID]int
	damageBy *process // the process that opened on the damage
}

// frame is a commit in the log: four bytes of checksum, and the records. One without bytes is the beginning of a tenure.
type frame struct {
	bytes   []byte
	epoch   uint64
	appends []store.Append
}

func newFrame(epoch uint64, appends []store.Append) frame {
	n := 4
	for i := range appends {
		n += len(appends[i].Records)
	}
	f := frame{epoch: epoch, bytes: make([]byte, 4, n), appends: append([]store.Append(nil), appends...)}
	for i := range f.appends {
		from := len(f.bytes)
		f.bytes = append(f.bytes, f.appends[i].Records...)
		f.appends[i].Records = f.bytes[from:len(f.bytes):len(f.bytes)]
	}
	binary.LittleEndian.PutUint32(f.bytes, crc32.ChecksumIEEE(f.bytes[4:]))
	return f
}

func (f *frame) whole() bool {
	return f.appends == nil || len(f.bytes) >= 4 && crc32.ChecksumIEEE(f.bytes[4:]) == binary.LittleEndian.Uint32(f.bytes)
}

func newDisk(w *world) *disk {
	d := &disk{w: w}
	d.renew()
	return d
}

// renew begins with an empty store.
func (d *disk) renew() {
	if d.w.newStore == nil {
		d.mem = memstore.New()
		return
	}
	d.close()
	d.mem = d.w.newStore()
}

// close ends the store of the moment.
func (d *disk) close() {
	if d.mem == nil {
		return
	}
	if err := d.mem.Close(); err != nil {
		d.w.violate("close: %v", err)
	}
}

// tear leaves any beginning of the commit that was not synced, also none and all of it. If others have the store open, it is theirs to
// find; otherwise it is found when the store is opened again.
func (d *disk) tear(draw uint64, alone bool) {
	last := &d.log[len(d.log)-1]
	last.bytes = last.bytes[:draw%uint64(len(last.bytes)+1)]
	d.busy = false
	if !alone {
		d.reopen()
	}
}

// reopen reads the log as a store does that starts: a torn commit is rolled back.
func (d *disk) reopen() {
	if end := len(d.log) - 1; end >= 0 && !d.log[end].whole() {
		d.w.saw("F22")
		d.w.note("torn commit rolled back", "", "", uint64(len(d.log[end].bytes)))
		d.log = d.log[:end]
	}
	ctx := context.Background()
	d.renew()
	for _, def := range d.defs {
		if err := d.mem.SaveDefinition(ctx, def); err != nil {
			d.w.violate("reopen: %v", err)
		}
	}
	for i := range d.log {
		f := &d.log[i]
		var err error
		if f.appends == nil {
			_, err = d.mem.Acquire(ctx)
		} else if _, err = d.mem.Commit(ctx, f.epoch, f.appends); errors.Is(err, store.ErrFenced) {
			continue // it was refused the first time, too
		}
		if err != nil {
			d.w.violate("reopen: %v", err)
		}
	}
}

// summary is what is durable of a saga.
func (d *disk) summary(id journal.SagaID) (store.Summary, bool) {
	page, err := d.mem.List(context.Background(), store.Filter{ID: id, Limit: 1})
	if err != nil {
		d.w.violate("list: %v", err)
	}
	if len(page.Sagas) == 0 {
		return store.Summary{}, false
	}
	return page.Sagas[0], true
}

// events reads a saga's journal.
func (d *disk) events(id journal.SagaID) []journal.Event {
	_, data, err := d.mem.Journal(context.Background(), id)
	var all []journal.Event
	if err == nil {
		_, _, err = journal.Decode(data, journal.FirstChain(id), 0, func(e journal.Event) error {
			all = append(all, e)
			return nil
		})
	}
	if err != nil {
		d.w.violate("journal of %s: %v", id, err)
	}
	return all
}

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
	s.d.log = append(s.d.log, frame{})
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
	if epoch < d.epoch {
		w.saw(s.p.fencedAs())
	}
	d.busy, w.current.server = true, true
	d.log = append(d.log, newFrame(epoch, appends))
	w.gate()
	switch f, draw = w.site(atSync, s.p); f {
	case crash:
		d.tear(draw, s.p == w.newest)
		w.current.server = false
		w.kill(s.p)
		w.gate()
	case badSync:
		w.saw("F21")
		d.tear(draw, false)
		s.poisoned, w.current.server = true, false
		return nil, errDisk
	default:
	}
	rejected, err := d.apply(ctx, epoch)
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

// apply makes the last commit of the log visible.
func (d *disk) apply(ctx context.Context, epoch uint64) ([]error, error) {
	last := &d.log[len(d.log)-1]
	for i := range last.appends {
		d.w.mix(uint64(last.appends[i].Summary.Chain), last.appends[i].Summary.Seq)
		d.w.note("commit", string(last.appends[i].Summary.ID), string(last.appends[i].Summary.State), last.appends[i].Summary.Seq)
	}
	rejected, err := d.mem.Commit(ctx, epoch, last.appends)
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
	s.d.defs = append(s.d.defs, def)
	return s.d.mem.SaveDefinition(ctx, def)
}

// Definitions implements store.Store.
func (s *session) Definitions(ctx context.Context) ([]store.Definition, error) {
	return s.d.mem.Definitions(ctx)
}

// Close implements store.Store.
func (s *session) Close() error { return nil }
