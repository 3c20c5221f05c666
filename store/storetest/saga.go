package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Epoch0 is when the suite's sagas start, unless a test says otherwise.
func Epoch0() time.Time { return time.Date(2026, 11, 3, 9, 30, 0, 123_456_000, time.UTC) }

// Saga is a saga as a test writes it: it makes appends with real records and knows what a store must then hold. Drivers may
// use it in tests of their own. It is not for concurrent use.
type Saga struct {
	Summary store.Summary // as of the last append made
	Records []byte        // all records made
}

// NewSaga makes a saga of definition "order" that has not begun.
func NewSaga(id string) *Saga {
	s := &Saga{Summary: store.Summary{ID: journal.SagaID(id), Definition: "order", Version: "v1", Mode: journal.Orchestrated,
		State: store.Running, Step: "create", Started: Epoch0(), Updated: Epoch0()}}
	s.Summary.Chain = journal.FirstChain(s.Summary.ID)
	return s
}

// With changes the saga's summary before an append is made.
func (s *Saga) With(change func(*store.Summary)) *Saga {
	change(&s.Summary)
	return s
}

// Append makes the append of the next n events, each with a payload of the size given. The append shares no memory with the saga.
func (s *Saga) Append(n, payload int) store.Append {
	a := store.Append{New: s.Summary.Seq == 0, From: s.Summary.Seq + 1}
	for range n {
		s.Summary.Seq++
		e := journal.Event{Seq: s.Summary.Seq, Time: s.Summary.Updated, Kind: journal.StepDone, Step: s.Summary.Step, Attempt: 1,
			Payload: bytes.Repeat([]byte{byte(s.Summary.Seq)}, payload)}
		if e.Seq == 1 {
			e.Kind, e.Definition, e.Version, e.Mode, e.Key = journal.SagaStarted, s.Summary.Definition, s.Summary.Version, s.Summary.Mode, s.Summary.Key
		}
		a.Records, s.Summary.Chain = journal.Append(a.Records, s.Summary.Chain, &e)
	}
	s.Records = append(s.Records, a.Records...)
	a.Summary = s.Summary
	return a
}

// Start makes the first append: one event with a small payload.
func (s *Saga) Start() store.Append { return s.Append(1, 20) }

// Move makes an append of one event that leaves the saga at another step.
func (s *Saga) Move(step string) store.Append {
	s.Summary.Step, s.Summary.Updated = step, s.Summary.Updated.Add(time.Millisecond)
	return s.Append(1, 20)
}

// End makes an append of one event that gives the saga an outcome at a time.
func (s *Saga) End(outcome store.State, at time.Time) store.Append {
	s.Summary.State, s.Summary.Ended, s.Summary.Updated, s.Summary.Step = outcome, at, at, ""
	return s.Append(1, 0)
}

func acquire(t *testing.T, s store.Store) uint64 {
	t.Helper()
	epoch, err := s.Acquire(t.Context())
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	return epoch
}

// commit writes appends none of which may be rejected.
func commit(t *testing.T, s store.Store, epoch uint64, appends ...store.Append) {
	t.Helper()
	rejected, err := s.Commit(t.Context(), epoch, appends)
	if err != nil || rejected != nil {
		t.Fatalf("Commit: rejected %v, error %v", rejected, err)
	}
}

// holds says that the store has exactly the saga's summary and records.
func holds(t *testing.T, s store.Store, want *Saga) {
	t.Helper()
	summary, records, err := s.Journal(t.Context(), want.Summary.ID)
	if err != nil {
		t.Fatalf("Journal(%s): %v", want.Summary.ID, err)
	}
	if diff := cmp.Diff(want.Summary, summary); diff != "" {
		t.Errorf("summary of %s (-want +got):\n%s", want.Summary.ID, diff)
	}
	if !bytes.Equal(want.Records, records) {
		t.Errorf("the journal of %s has %d bytes, not the %d written", want.Summary.ID, len(records), len(want.Records))
	}
	if err := summary.Verify(records); err != nil {
		t.Error(err)
	}
}

func list(t *testing.T, s store.Store, f store.Filter) store.Page {
	t.Helper()
	page, err := s.List(t.Context(), f)
	if err != nil {
		t.Fatalf("List(%+v): %v", f, err)
	}
	return page
}

func ids(sagas []store.Summary) []string {
	var all []string
	for _, s := range sagas {
		all = append(all, string(s.ID))
	}
	return all
}

// walk reads all pages of a list; between is called after each page but the last.
func walk(t *testing.T, s store.Store, f store.Filter, between func()) []string {
	t.Helper()
	var all []string
	for pages := 0; ; pages++ {
		page := list(t, s, f)
		if len(page.Sagas) > f.Size() {
			t.Fatalf("a page of %d sagas for a limit of %d", len(page.Sagas), f.Size())
		}
		all = append(all, ids(page.Sagas)...)
		if page.Next == "" {
			return all
		}
		if pages > 10_000 {
			t.Fatal("the list does not end")
		}
		f.Cursor = page.Next
		if between != nil {
			between()
		}
	}
}

func numbered(prefix string, from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf("%s%03d", prefix, i))
	}
	return all
}
