package store

import (
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
)

// Rejections collects what a driver's Commit refused. The zero value is ready; it belongs to one commit.
type Rejections struct {
	errs []error
	ids  map[journal.SagaID]bool
}

// Admit says whether the append at index i may be tried. It refuses what Append.Check finds, and every append that follows a
// refused one of the same saga: it was meant to continue what is not there, and must not continue something else by chance.
func (r *Rejections) Admit(appends []Append, i int) bool {
	err := appends[i].Check()
	if err == nil && r.ids[appends[i].Summary.ID] {
		err = fmt.Errorf("%w: an earlier append of %s in this commit was rejected", ErrBehind, appends[i].Summary.ID)
	}
	if err != nil {
		r.Add(appends, i, err)
	}
	return err == nil
}

// Add refuses the append at index i.
func (r *Rejections) Add(appends []Append, i int, err error) {
	if r.errs == nil {
		r.errs, r.ids = make([]error, len(appends)), map[journal.SagaID]bool{}
	}
	r.errs[i] = err
	r.ids[appends[i].Summary.ID] = true
}

// Errors is what Commit returns as rejected: nil when nothing was refused.
func (r *Rejections) Errors() []error { return r.errs }

// Stored is the summary as stores keep it: times in UTC and microseconds.
func (s Summary) Stored() Summary {
	s.Started, s.Updated, s.Ended, s.Wake = stored(s.Started), stored(s.Updated), stored(s.Ended), stored(s.Wake)
	return s
}

// Continued is the stored summary after an append that says next: what a saga is from its start (definition,
// version, mode, key, time of start) stays as the first append said it.
func (s Summary) Continued(next Summary) Summary {
	next = next.Stored()
	next.ID, next.Definition, next.Version, next.Mode, next.Key, next.Started = s.ID, s.Definition, s.Version, s.Mode, s.Key, s.Started
	return next
}

func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
