// Package memstore keeps journals in memory, for tests and models. It keeps the whole contract of package store except
// durability: what survives is the Disk, an explicit value that a test can open again after a "crash", copy before one, and compare.
// It is not meant for production: nothing of it survives the process.
package memstore

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Disk is all state of a store. Its methods, and those of the stores opened on it, may be called concurrently.
type Disk struct {
	mu          sync.Mutex
	epoch       uint64
	position    int64 // of the saga started last
	sagas       map[journal.SagaID]*saga
	order       []*saga // by position
	definitions []store.Definition
}

type saga struct {
	position int64
	summary  store.Summary
	records  []byte
}

// NewDisk makes an empty disk.
func NewDisk() *Disk {
	return &Disk{sagas: map[journal.SagaID]*saga{}}
}

// Clone copies the disk as it is at this moment: what a coordinator would find that started now.
func (d *Disk) Clone() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Disk{epoch: d.epoch, position: d.position, sagas: make(map[journal.SagaID]*saga, len(d.sagas))}
	c.definitions = slices.Clone(d.definitions) // their bytes are never changed
	for _, s := range d.order {
		copied := &saga{s.position, s.summary, slices.Clone(s.records)}
		c.order = append(c.order, copied)
		c.sagas[s.summary.ID] = copied
	}
	return c
}

// Store implements store.Store on a Disk.
type Store struct {
	disk   *Disk
	closed bool // guarded by disk.mu
}

var _ store.Store = (*Store)(nil)

// New opens a store on a disk of its own.
func New() *Store { return Open(NewDisk()) }

// Open opens a store on a disk. Several may be open on one: they fence each other as processes would.
func Open(d *Disk) *Store { return &Store{disk: d} }

// enter locks the disk for one call; the caller unlocks it when there is no error.
func (s *Store) enter(ctx context.Context) (*Disk, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.disk.mu.Lock()
	if s.closed {
		s.disk.mu.Unlock()
		return nil, store.ErrClosed
	}
	return s.disk, nil
}

// Acquire implements store.Store.
func (s *Store) Acquire(ctx context.Context) (uint64, error) {
	d, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	d.epoch++
	return d.epoch, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	d, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if epoch != d.epoch {
		return nil, store.ErrFenced
	}
	var refused store.Rejections
	for i := range appends {
		if !refused.Admit(appends, i) {
			continue
		}
		if err := d.append(&appends[i]); err != nil {
			refused.Add(appends, i, err)
		}
	}
	return refused.Errors(), nil
}

func (d *Disk) append(a *store.Append) error {
	s, exists := d.sagas[a.Summary.ID]
	switch {
	case a.New && exists:
		return store.ErrExists
	case !a.New && !exists:
		return store.ErrNotFound
	case !exists:
		d.position++
		s = &saga{position: d.position, summary: a.Summary.Stored()}
		d.sagas[a.Summary.ID] = s
		d.order = append(d.order, s)
	case a.From != s.summary.Seq+1:
		return store.ErrBehind
	}
	s.summary = s.summary.Continued(a.Summary)
	s.records = append(s.records, a.Records...)
	return nil
}

// Journal implements store.Store.
func (s *Store) Journal(ctx context.Context, id journal.SagaID) (store.Summary, []byte, error) {
	d, err := s.enter(ctx)
	if err != nil {
		return store.Summary{}, nil, err
	}
	defer d.mu.Unlock()
	found, ok := d.sagas[id]
	if !ok {
		return store.Summary{}, nil, store.ErrNotFound
	}
	return found.summary, slices.Clone(found.records), found.summary.Verify(found.records)
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, f store.Filter) (store.Page, error) {
	after, resumed, err := f.Position()
	if err != nil {
		return store.Page{}, err
	}
	d, err := s.enter(ctx)
	if err != nil {
		return store.Page{}, err
	}
	defer d.mu.Unlock()
	var page store.Page
	var last int64
	for i := range d.order {
		found := d.order[i]
		if !f.Oldest {
			found = d.order[len(d.order)-1-i]
		}
		passed := resumed && (f.Oldest && found.position <= after || !f.Oldest && found.position >= after)
		if passed || !f.Matches(&found.summary) {
			continue
		}
		if len(page.Sagas) == f.Size() {
			page.Next = f.CursorAt(last)
			break
		}
		page.Sagas, last = append(page.Sagas, found.summary), found.position
	}
	return page, nil
}

// Prune implements store.Store.
func (s *Store) Prune(ctx context.Context, endedBefore time.Time, limit int) (int, error) {
	d, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	pruned := 0
	d.order = slices.DeleteFunc(d.order, func(c *saga) bool {
		if pruned >= limit || !c.summary.State.Ended() || !c.summary.Ended.Before(endedBefore) || c.summary.Incident != "" {
			return false
		}
		delete(d.sagas, c.summary.ID)
		pruned++
		return true
	})
	return pruned, nil
}

// SaveDefinition implements store.Store.
func (s *Store) SaveDefinition(ctx context.Context, def store.Definition) error {
	d, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	for _, kept := range d.definitions {
		if kept.Name == def.Name && kept.Version == def.Version {
			return nil
		}
	}
	def.Canonical = slices.Clone(def.Canonical)
	d.definitions = append(d.definitions, def)
	return nil
}

// Definitions implements store.Store.
func (s *Store) Definitions(ctx context.Context) ([]store.Definition, error) {
	d, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	all := slices.Clone(d.definitions)
	for i := range all {
		all[i].Canonical = slices.Clone(all[i].Canonical)
	}
	slices.SortStableFunc(all, func(a, b store.Definition) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Close implements store.Store. The disk stays.
func (s *Store) Close() error {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	s.closed = true
	return nil
}
