package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

func testPrune(t *testing.T, d Driver) {
	minute := func(i int) time.Time { return Epoch0().Add(time.Duration(i) * time.Minute) }
	fill := func(t *testing.T, s store.Store, epoch uint64, n int) {
		for i, id := range numbered("s", 0, n) {
			saga := NewSaga(id).With(func(m *store.Summary) { m.Started, m.Key = minute(i), "k" })
			commit(t, s, epoch, saga.Append(3, 100), saga.End(store.Completed, minute(i+1)))
		}
	}
	prune := func(t *testing.T, s store.Store, before time.Time, limit, want int) {
		t.Helper()
		if n, err := s.Prune(t.Context(), before, limit); err != nil || n != want {
			t.Fatalf("pruned %d (%v), want %d", n, err, want)
		}
	}
	left := func(t *testing.T, s store.Store, want []string) {
		t.Helper()
		for _, f := range []store.Filter{{Oldest: true}, {Oldest: true, Key: "k"}, {Oldest: true, Definition: "order"}} {
			if diff := cmp.Diff(want, walk(t, s, f, nil)); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
		}
	}
	t.Run("OldestFirstAndNoMoreThanTheLimit", func(t *testing.T) {
		s := open(t, d)
		fill(t, s, acquire(t, s), 20)
		prune(t, s, minute(11), 4, 4)
		left(t, s, numbered("s", 4, 20))
		missing(t, s, "s003")
		prune(t, s, minute(11), 100, 6) // s009 ended at minute 10, s010 at 11
		left(t, s, numbered("s", 10, 20))
		prune(t, s, minute(11), 100, 0)
		prune(t, s, minute(100), 0, 0)
	})
	t.Run("MoreThanOneBatch", func(t *testing.T) {
		s := open(t, d)
		fill(t, s, acquire(t, s), 250)
		prune(t, s, minute(1000), 220, 220)
		left(t, s, numbered("s", 220, 250))
	})
	t.Run("NeverWithoutAnOutcome", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		running := NewSaga("running")
		stuck := NewSaga("stuck").With(func(m *store.Summary) { m.State, m.Reason, m.Incident = store.Compensating, "r", "i" })
		ended := NewSaga("ended")
		commit(t, s, epoch, running.Start(), stuck.Start(), ended.Start(), ended.End(store.Compensated, minute(1)))
		prune(t, s, minute(1_000_000), 100, 1)
		missing(t, s, "ended")
		holds(t, s, running)
		holds(t, s, stuck)
		commit(t, s, epoch, running.Move("b"))
		holds(t, s, running)
	})
	t.Run("NeverWithAnOpenIncident", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga, other := NewSaga("s"), NewSaga("other")
		commit(t, s, epoch, saga.Start(), saga.End(store.Completed, minute(1)), other.Start(), other.End(store.Completed, minute(1)))
		saga = saga.With(func(m *store.Summary) { m.Incident = "skald.contradiction" })
		commit(t, s, epoch, saga.Append(2, 10))
		if got := walk(t, s, store.Filter{Incident: true}, nil); !cmp.Equal(got, []string{"s"}) {
			t.Errorf("ended with an open incident: %q", got)
		}
		prune(t, s, minute(2), 10, 1)
		missing(t, s, "other")
		holds(t, s, saga)
		saga = saga.With(func(m *store.Summary) { m.Incident = "" })
		commit(t, s, epoch, saga.Append(1, 10))
		prune(t, s, minute(2), 10, 1)
		missing(t, s, "s")
	})
	t.Run("PrunedIdCanStartAnew", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		old := NewSaga("s")
		commit(t, s, epoch, old.Append(5, 50), old.End(store.Completed, minute(1)))
		prune(t, s, minute(2), 1, 1)
		rejects(t, s, epoch, []store.Append{old.Move("late")}, store.ErrNotFound)
		anew := NewSaga("s").With(func(m *store.Summary) { m.Started = minute(5) })
		commit(t, s, epoch, anew.Start())
		holds(t, s, anew)
	})
	t.Run("LateAnswerToAnEndedSagaGoesToo", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga, other := NewSaga("s"), NewSaga("other")
		commit(t, s, epoch, saga.Start(), saga.End(store.Completed, minute(1)))
		commit(t, s, epoch, other.Start(), saga.Append(1, 10))
		holds(t, s, saga)
		prune(t, s, minute(2), 10, 1)
		missing(t, s, "s")
		holds(t, s, other)
	})
}

func testDefinitions(t *testing.T, d Driver) {
	s := open(t, d)
	save := func(name, version, canonical string) {
		t.Helper()
		b := []byte(canonical)
		if err := s.SaveDefinition(t.Context(), store.Definition{Name: name, Version: version, Canonical: b}); err != nil {
			t.Fatal(err)
		}
		clear(b)
	}
	if all, err := s.Definitions(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("at first: %v, %v", all, err)
	}
	// A saga of a definition that is saved later does not decide the order.
	commit(t, s, acquire(t, s), NewSaga("early").With(func(m *store.Summary) { m.Definition, m.Version = "b", "2" }).Start())
	save("b", "9", `{"b":9}`)
	save("a", "1", `{"a":1}`)
	save("b", "2", `{"b":2}`)
	save("b", "9", `{"other":true}`)
	save("a", "0", ``)
	want := []store.Definition{
		{Name: "a", Version: "1", Canonical: []byte(`{"a":1}`)},
		{Name: "a", Version: "0"},
		{Name: "b", Version: "9", Canonical: []byte(`{"b":9}`)},
		{Name: "b", Version: "2", Canonical: []byte(`{"b":2}`)},
	}
	for range 2 {
		got, err := s.Definitions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fmt.Sprintf("%q", want), fmt.Sprintf("%q", got)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		for i := range got {
			clear(got[i].Canonical)
		}
	}
}

// testConcurrency lets readers read beside one writer and a pruner: every journal they see verifies, and never gets shorter.
func testConcurrency(t *testing.T, d Driver) {
	s := open(t, d)
	epoch := acquire(t, s)
	sagas := make([]*Saga, 8)
	var first []store.Append
	for i := range sagas {
		sagas[i] = NewSaga(fmt.Sprintf("s%d", i))
		first = append(first, sagas[i].Start())
	}
	commit(t, s, epoch, first...)
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	defer func() { // also when the writer fails the test
		stop()
		reading.Wait()
	}()
	for r := range 3 {
		reading.Go(func() {
			if err := readBeside(ctx, s, sagas[r].Summary.ID); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 60 {
		var appends []store.Append
		for _, saga := range sagas {
			appends = append(appends, saga.Move("a"))
		}
		short := NewSaga(fmt.Sprintf("short%d", i))
		commit(t, s, epoch, append(appends, short.Start(), short.End(store.Completed, Epoch0().Add(time.Second)))...)
		if _, err := s.Prune(t.Context(), Epoch0().Add(time.Hour), 5); err != nil {
			t.Error(err)
		}
	}
	stop()
	reading.Wait()
	for _, saga := range sagas {
		holds(t, s, saga)
	}
}

func readBeside(ctx context.Context, s store.Store, id journal.SagaID) error {
	var seen uint64
	for ctx.Err() == nil {
		summary, records, err := s.Journal(context.WithoutCancel(ctx), id)
		if err != nil {
			return err
		}
		if err := summary.Verify(records); err != nil {
			return err
		}
		if summary.Seq < seen {
			return fmt.Errorf("the journal of %s went back from record %d to %d", id, seen, summary.Seq)
		}
		seen = summary.Seq
		page, err := s.List(context.WithoutCancel(ctx), store.Filter{Unended: true})
		if err != nil {
			return err
		}
		if len(page.Sagas) != 8 {
			return fmt.Errorf("%d unended sagas: a commit was seen by halves", len(page.Sagas))
		}
		for _, other := range page.Sagas {
			if other.Seq != page.Sagas[0].Seq {
				return fmt.Errorf("%s is at record %d and %s at %d: a commit was seen by halves", other.ID, other.Seq, page.Sagas[0].ID, page.Sagas[0].Seq)
			}
		}
	}
	return nil
}

// calls are all methods, with arguments that would do.
func calls(s store.Store, epoch uint64) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Acquire": func(ctx context.Context) error { _, err := s.Acquire(ctx); return err },
		"Commit": func(ctx context.Context) error {
			_, err := s.Commit(ctx, epoch, []store.Append{NewSaga("cancelled").Start()})
			return err
		},
		"Journal":        func(ctx context.Context) error { _, _, err := s.Journal(ctx, "s"); return err },
		"List":           func(ctx context.Context) error { _, err := s.List(ctx, store.Filter{}); return err },
		"Prune":          func(ctx context.Context) error { _, err := s.Prune(ctx, Epoch0(), 1); return err },
		"SaveDefinition": func(ctx context.Context) error { return s.SaveDefinition(ctx, store.Definition{Name: "cancelled"}) },
		"Definitions":    func(ctx context.Context) error { _, err := s.Definitions(ctx); return err },
	}
}

func testLife(t *testing.T, d Driver) {
	t.Run("EndedContextDoesNothing", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga := NewSaga("s")
		commit(t, s, epoch, saga.Start())
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(s, epoch) {
			if err := call(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
		missing(t, s, "cancelled")
		if all, err := s.Definitions(t.Context()); err != nil || len(all) != 0 {
			t.Errorf("definitions %v, %v", all, err)
		}
		commit(t, s, epoch, saga.Move("b")) // the tenure is still the same
	})
	t.Run("CallsAfterCloseFail", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls(s, epoch) {
			if err := call(t.Context()); !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})
	t.Run("CloseWaitsForCallsUnderWay", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		var calling sync.WaitGroup
		started := make(chan struct{}, 4)
		for i := range 4 {
			calling.Go(func() {
				for n := 0; ; n++ {
					_, err := s.Commit(t.Context(), epoch, []store.Append{NewSaga(fmt.Sprintf("s%d-%d", i, n)).Start()})
					if n == 0 {
						started <- struct{}{}
					}
					if errors.Is(err, store.ErrClosed) {
						return
					}
					if err != nil {
						t.Errorf("a commit while closing: %v", err)
						return
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		calling.Wait()
	})
}

func testReopen(t *testing.T, d Driver) {
	if d.Reopen == nil {
		return
	}
	s := d.Open(t)
	first := acquire(t, s)
	open, ended := NewSaga("open"), NewSaga("ended")
	commit(t, s, first, open.Append(3, 5000), ended.Start(), ended.End(store.Completed, Epoch0()))
	if err := s.SaveDefinition(t.Context(), store.Definition{Name: "d", Version: "1", Canonical: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	s = d.Reopen(t, s)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	holds(t, s, open)
	holds(t, s, ended)
	if all, err := s.Definitions(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("definitions %v, %v", all, err)
	}
	commit(t, s, first, open.Move("b")) // a restart alone fences nobody
	second := acquire(t, s)
	if second <= first {
		t.Errorf("epoch %d after %d", second, first)
	}
	if _, err := s.Commit(t.Context(), first, []store.Append{NewSaga("x").Start()}); !errors.Is(err, store.ErrFenced) {
		t.Errorf("the old epoch after a restart: %v", err)
	}
	rejects(t, s, second, []store.Append{NewSaga("ended").Start(), open.Move("c")}, store.ErrExists, nil)
	holds(t, s, open)
	holds(t, s, ended)
}
