package storetest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

func testTenure(t *testing.T, d Driver) {
	t.Run("EpochsRise", func(t *testing.T) {
		s := open(t, d)
		last := acquire(t, s)
		for range 3 {
			next := acquire(t, s)
			if next <= last {
				t.Fatalf("epoch %d after %d", next, last)
			}
			last = next
		}
	})
	t.Run("LaterAcquireFencesEarlierWriter", func(t *testing.T) {
		s := open(t, d)
		first := acquire(t, s)
		kept := NewSaga("kept")
		commit(t, s, first, kept.Start())
		second := acquire(t, s)
		late := NewSaga("late")
		if _, err := s.Commit(t.Context(), first, []store.Append{late.Start()}); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("a commit of epoch %d during %d: %v", first, second, err)
		}
		missing(t, s, "late")
		commit(t, s, second, kept.Move("pay"))
		holds(t, s, kept)
		if _, err := s.Commit(t.Context(), first, []store.Append{late.Move("x")}); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("a fenced epoch came back: %v", err)
		}
	})
	t.Run("EpochsThatNobodyAcquiredAreFenced", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		for _, wrong := range []uint64{0, epoch + 1} {
			if _, err := s.Commit(t.Context(), wrong, []store.Append{NewSaga("x").Start()}); !errors.Is(err, store.ErrFenced) {
				t.Errorf("epoch %d during %d: %v", wrong, epoch, err)
			}
		}
		missing(t, s, "x")
	})
}

func missing(t *testing.T, s store.Store, id journal.SagaID) {
	t.Helper()
	if _, _, err := s.Journal(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Journal(%s): %v, want ErrNotFound", id, err)
	}
}

// rejects commits appends and compares the error at each index.
func rejects(t *testing.T, s store.Store, epoch uint64, appends []store.Append, want ...error) {
	t.Helper()
	rejected, err := s.Commit(t.Context(), epoch, appends)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if len(rejected) != len(want) {
		t.Fatalf("%d errors for %d appends: %v", len(rejected), len(want), rejected)
	}
	for i := range want {
		if !errors.Is(rejected[i], want[i]) || want[i] == nil && rejected[i] != nil {
			t.Errorf("append %d: %v, want %v", i, rejected[i], want[i])
		}
	}
}

func testCommit(t *testing.T, d Driver) {
	testStarts(t, d)
	testContinuing(t, d)
	testKeeping(t, d)
}

// testStarts says what becomes of a saga's first append.
func testStarts(t *testing.T, d Driver) {
	t.Run("NothingIsNoError", func(t *testing.T) {
		s := open(t, d)
		commit(t, s, acquire(t, s))
	})
	t.Run("ExistingIdIsRejectedAloneWhileOthersAreWritten", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		old, before, after := NewSaga("old"), NewSaga("before"), NewSaga("after")
		commit(t, s, epoch, old.Start())
		again := NewSaga("old").With(func(m *store.Summary) { m.Key = "other" })
		rejects(t, s, epoch, []store.Append{before.Start(), again.Start(), after.Start(), old.Move("pay")}, nil, store.ErrExists, nil, store.ErrBehind)
		holds(t, s, before)
		holds(t, s, after)
		commit(t, s, epoch, before.Move("pay"), after.Move("pay"))
		holds(t, s, before)
	})
	t.Run("EndedSagaExistsToo", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		old := NewSaga("old")
		commit(t, s, epoch, old.Start(), old.End(store.Completed, Epoch0()))
		rejects(t, s, epoch, []store.Append{NewSaga("old").Start()}, store.ErrExists)
		holds(t, s, old)
	})
	t.Run("TwoStartsOfOneIdInOneCommit", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		first := NewSaga("twin")
		rejects(t, s, epoch, []store.Append{first.Start(), NewSaga("twin").Append(2, 0)}, nil, store.ErrExists)
		holds(t, s, first)
	})
}

// testContinuing says what becomes of the appends after it.
func testContinuing(t *testing.T, d Driver) {
	t.Run("WhatASummarySaysComesAndGoes", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga := NewSaga("s")
		commit(t, s, epoch, saga.Start())
		for _, x := range []struct {
			state            store.State
			reason, incident string
		}{
			{store.Running, "", ""}, {store.Running, "", "stuck"}, {store.Running, "", "stuck"}, {store.Running, "", ""}, {store.Running, "", ""},
			{store.Compensating, "Declined", ""}, {store.Compensating, "Declined", "stuck"}, {store.Compensating, "Declined", ""},
		} {
			saga.With(func(m *store.Summary) {
				m.State, m.Reason, m.Incident = x.state, x.reason, x.incident
				m.Wake = m.Updated.Add(time.Minute)
			})
			commit(t, s, epoch, saga.Move("pay"))
			holds(t, s, saga)
			for state, want := range map[store.State]bool{store.Running: x.state == store.Running, store.Compensating: x.state == store.Compensating} {
				if got := walk(t, s, store.Filter{States: []store.State{state}}, nil); (len(got) == 1) != want {
					t.Errorf("%v: found among those that are %s: %q", x, state, got)
				}
			}
			if got := walk(t, s, store.Filter{Incident: true}, nil); (len(got) == 1) != (x.incident != "") {
				t.Errorf("%v: found among those with an incident: %q", x, got)
			}
			if got := walk(t, s, store.Filter{Unended: true}, nil); len(got) != 1 {
				t.Errorf("%v: found among those without an outcome: %q", x, got)
			}
		}
	})
	t.Run("AppendMustContinueTheJournal", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga := NewSaga("s")
		first, second, third := saga.Start(), saga.Move("b"), saga.Move("c")
		commit(t, s, epoch, first)
		rejects(t, s, epoch, []store.Append{third}, store.ErrBehind)
		commit(t, s, epoch, second)
		rejects(t, s, epoch, []store.Append{second}, store.ErrBehind)
		commit(t, s, epoch, third)
		holds(t, s, saga)
	})
	t.Run("UnknownSagaCannotBeContinued", func(t *testing.T) {
		s := open(t, d)
		saga := NewSaga("s")
		saga.Start()
		rejects(t, s, acquire(t, s), []store.Append{saga.Move("b")}, store.ErrNotFound)
		missing(t, s, "s")
	})
	t.Run("AppendsOfOneSagaInOneCommitContinueEachOther", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		a, b := NewSaga("a"), NewSaga("b")
		commit(t, s, epoch, a.Start(), b.Append(3, 10), a.Move("two"), b.Move("two"), a.End(store.Completed, Epoch0()))
		holds(t, s, a)
		holds(t, s, b)
		commit(t, s, epoch, b.Move("three"), b.Move("four"))
		holds(t, s, b)
	})
	t.Run("WhatFollowsARejectedAppendIsRejected", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		old := NewSaga("s")
		commit(t, s, epoch, old.Start())
		other := NewSaga("s").With(func(m *store.Summary) { m.Key = "other" })
		rejects(t, s, epoch, []store.Append{other.Start(), other.Move("b")}, store.ErrExists, store.ErrBehind)
		holds(t, s, old)
	})
}

// testKeeping says what a store keeps, and how.
func testKeeping(t *testing.T, d Driver) {
	t.Run("IdentityStaysAsStarted", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga := NewSaga("s").With(func(m *store.Summary) { m.Key = "k1" })
		commit(t, s, epoch, saga.Start())
		was := saga.Summary
		changed := saga.With(func(m *store.Summary) {
			m.Definition, m.Version, m.Mode, m.Key, m.Started = "other", "v9", journal.Choreographed, "k2", Epoch0().Add(1e9)
		}).Move("b")
		commit(t, s, epoch, changed)
		saga.With(func(m *store.Summary) {
			m.Definition, m.Version, m.Mode, m.Key, m.Started = was.Definition, was.Version, was.Mode, was.Key, was.Started
		})
		holds(t, s, saga)
	})
	t.Run("TimesAreKeptInMicrosecondsAndUTC", func(t *testing.T) {
		s := open(t, d)
		at := Epoch0().Add(789)
		saga := NewSaga("s").With(func(m *store.Summary) { m.Started, m.Updated = at, at })
		commit(t, s, acquire(t, s), saga.Start())
		saga.With(func(m *store.Summary) { m.Started, m.Updated = Epoch0(), Epoch0() })
		holds(t, s, saga)
	})
	t.Run("ImpossibleAppendsAreRejected", func(t *testing.T) { testImpossible(t, d) })
	t.Run("CallersSlicesAreNotRetained", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga := NewSaga("s")
		appends := []store.Append{saga.Start(), saga.Append(2, 300)}
		commit(t, s, epoch, appends...)
		for _, a := range appends {
			clear(a.Records)
		}
		clear(appends)
		holds(t, s, saga)
		_, records, err := s.Journal(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		clear(records)
		holds(t, s, saga)
	})
	t.Run("LargeCommitIsOneTransaction", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		var appends []store.Append
		var sagas []*Saga
		for _, id := range numbered("s", 0, 300) {
			saga := NewSaga(id)
			sagas = append(sagas, saga)
			appends = append(appends, saga.Start(), saga.Append(1, 400))
		}
		slices.Reverse(sagas)
		commit(t, s, epoch, appends...)
		for _, saga := range sagas {
			holds(t, s, saga)
		}
	})
}

func testImpossible(t *testing.T, d Driver) {
	s := open(t, d)
	epoch := acquire(t, s)
	for name, break_ := range map[string]func(*store.Append){
		"NoID":           func(a *store.Append) { a.Summary.ID = "" },
		"LongID":         func(a *store.Append) { a.Summary.ID = journal.SagaID(strings.Repeat("x", journal.MaxID+1)) },
		"NoRecords":      func(a *store.Append) { a.Records = nil },
		"FromZero":       func(a *store.Append) { a.From = 0 },
		"NewFromTwo":     func(a *store.Append) { a.From = 2 },
		"EndsBeforeFrom": func(a *store.Append) { a.Summary.Seq = 0 },
		"OtherChain":     func(a *store.Append) { a.Summary.Chain++ },
		"NoState":        func(a *store.Append) { a.Summary.State = "" },
		"EndWithoutTime": func(a *store.Append) { a.Summary.State = store.Completed },
		"TimeWithoutEnd": func(a *store.Append) { a.Summary.Ended = Epoch0() },
	} {
		t.Run(name, func(t *testing.T) {
			good := NewSaga("good-" + name)
			bad := NewSaga("bad-" + name).Start()
			break_(&bad)
			rejected, err := s.Commit(t.Context(), epoch, []store.Append{bad, good.Start()})
			if err != nil || len(rejected) != 2 || rejected[0] == nil || rejected[1] != nil {
				t.Fatalf("rejected %v, error %v", rejected, err)
			}
			holds(t, s, good)
			missing(t, s, journal.SagaID("bad-"+name))
		})
	}
}
