package orchestrator

import (
	"maps"
	"slices"
	"sync"

	"github.com/skaldhq/skald/journal"
)

// runs holds the sagas that this coordinator drives.
type runs struct {
	mu  sync.RWMutex
	all map[journal.SagaID]*run
}

func (x *runs) get(id journal.SagaID) *run {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.all[id]
}

// add returns the run that is there already, or nil after adding r.
func (x *runs) add(r *run) *run {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.all[r.summary.ID]; old != nil {
		return old
	}
	if x.all == nil {
		x.all = make(map[journal.SagaID]*run)
	}
	x.all[r.summary.ID] = r
	return nil
}

func (x *runs) remove(id journal.SagaID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.all, id)
}

func (x *runs) size() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.all)
}

func (x *runs) each(f func(*run)) {
	x.mu.RLock()
	all := make([]*run, 0, len(x.all))
	for _, r := range x.all {
		all = append(all, r)
	}
	x.mu.RUnlock()
	for _, r := range all {
		f(r)
	}
}

// forget drops a saga that has its outcome.
func (o *Orchestrator) forget(r *run) {
	if r.stop != nil {
		r.stop()
	}
	o.runs.remove(r.summary.ID)
}

// Drives says whether a saga is in memory: it is under way, or its start is.
func (o *Orchestrator) Drives(id journal.SagaID) bool { return o.runs.get(id) != nil }

// idSet is a set of sagas.
type idSet struct {
	mu  sync.Mutex
	all map[journal.SagaID]struct{}
}

func (x *idSet) add(id journal.SagaID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.all == nil {
		x.all = make(map[journal.SagaID]struct{})
	}
	x.all[id] = struct{}{}
}

func (x *idSet) list() []journal.SagaID {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Sorted(maps.Keys(x.all))
}
