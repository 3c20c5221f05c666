package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

func testJournal(t *testing.T, d Driver) {
	t.Run("UnknownSaga", func(t *testing.T) { missing(t, open(t, d), "never") })
	t.Run("EverySummaryFieldComesBack", func(t *testing.T) {
		s := open(t, d)
		saga := NewSaga("all").With(func(m *store.Summary) {
			m.Definition, m.Version, m.Mode, m.Key = "commande", "4f2a", journal.Choreographed, "order 1 – clé 'é' \x00 %_"
			m.State, m.Step, m.Reason, m.Incident = store.Compensated, "paiement", "PaymentFail.Declined", "compensation_stuck"
			m.Updated, m.Ended, m.Wake = Epoch0().Add(time.Second), Epoch0().Add(2*time.Second), Epoch0().Add(3*time.Second)
		})
		commit(t, s, acquire(t, s), saga.Append(4, 100))
		holds(t, s, saga)
		if got := list(t, s, store.Filter{}).Sagas; !cmp.Equal(got, []store.Summary{saga.Summary}) {
			t.Errorf("List gives another summary than Journal: %+v", got)
		}
	})
	t.Run("LargestPayload", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		saga := NewSaga("large")
		commit(t, s, epoch, saga.Append(1, journal.MaxPayload))
		commit(t, s, epoch, saga.Append(2, journal.MaxPayload), saga.Move("b"))
		holds(t, s, saga)
	})
	t.Run("LongJournal", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		long, short := NewSaga("long"), NewSaga("short")
		commit(t, s, epoch, short.Start())
		for range 50 {
			commit(t, s, epoch, long.Append(20, 30), short.Move("b"), long.Move("c"))
		}
		holds(t, s, long)
		holds(t, s, short)
	})
	t.Run("LongestID", func(t *testing.T) {
		s := open(t, d)
		saga := NewSaga(fmt.Sprintf("%0128d", 7))
		commit(t, s, acquire(t, s), saga.Start())
		holds(t, s, saga)
		if got := list(t, s, store.Filter{ID: saga.Summary.ID}).Sagas; len(got) != 1 {
			t.Errorf("%d sagas with its id", len(got))
		}
	})
}

// population is 240 sagas of every mixture of what filters ask for.
func population(t *testing.T, s store.Store, epoch uint64) []store.Summary {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var all []store.Summary
	var appends []store.Append
	for i, id := range numbered("s", 0, 240) {
		saga := NewSaga(id).With(func(m *store.Summary) {
			m.Definition, m.Version, m.Key = pick("order", "refund", "ship", "billing.order", "billing.refund"), pick("v1", "v2"), pick("", "k1", "k2")
			m.Started = Epoch0().Add(time.Duration(i) * time.Second)
			m.Updated = m.Started
		})
		appends = append(appends, saga.Start())
		saga.With(func(m *store.Summary) {
			m.State = store.State(pick("running", "running", "compensating", "completed", "compensated"))
			m.Step, m.Incident = pick("create", "pay"), pick("", "", "stuck")
			if m.State.Ended() {
				m.Ended = m.Started.Add(time.Minute)
			}
			if sleeps := random.IntN(3); sleeps > 0 {
				m.Wake = m.Started.Add(time.Duration(sleeps) * time.Minute)
			}
			if m.State == store.Compensating || m.State == store.Compensated {
				m.Reason = pick("declined", "out_of_stock")
			}
		})
		appends = append(appends, saga.Append(1, 10))
		all = append(all, saga.Summary)
	}
	commit(t, s, epoch, appends...)
	return all
}

// filters are named so that a failure says which one.
func filters() map[string]store.Filter {
	at := func(i int) time.Time { return Epoch0().Add(time.Duration(i) * time.Second) }
	return map[string]store.Filter{
		"all":              {},
		"id":               {ID: "s007"},
		"definition":       {Definition: "refund"},
		"version":          {Version: "v2"},
		"definitionAt":     {Definition: "ship", Version: "v1"},
		"namespace":        {Namespace: "billing"},
		"defaultNamespace": {Namespace: journal.DefaultNamespace},
		"unendedOf":        {Namespace: "billing", Unended: true},
		"keyOfNamespace":   {Namespace: "billing", Key: "k1", Version: "v1"},
		"foreignName":      {Namespace: "billing", Definition: "order"},
		"unknownNamespace": {Namespace: "bill"},
		"key":              {Key: "k1"},
		"running":          {States: []store.State{store.Running}},
		"compensating":     {States: []store.State{store.Compensating}},
		"completed":        {States: []store.State{store.Completed}},
		"compensated":      {States: []store.State{store.Compensated}},
		"turned":           {States: []store.State{store.Compensating, store.Compensated}},
		"ended":            {States: []store.State{store.Completed, store.Compensated}},
		"unended":          {Unended: true},
		"due":              {Due: at(200)},
		"dueExactly":       {Due: at(60)},
		"dueOf":            {Due: at(200), Definition: "order", Incident: true},
		"unendedStates":    {States: []store.State{store.Running, store.Compensating}},
		"unendedCompleted": {Unended: true, States: []store.State{store.Completed}},
		"incident":         {Incident: true},
		"step":             {Step: "pay"},
		"reason":           {Reason: "declined"},
		"before":           {Before: at(100)},
		"after":            {After: at(100)},
		"between":          {After: at(50), Before: at(60)},
		"finerThanStored":  {After: at(50).Add(time.Nanosecond), Before: at(60).Add(time.Nanosecond)},
		"emptyRange":       {After: at(60), Before: at(60)},
		"keyOfDefinition":  {Key: "k2", Definition: "order", Version: "v1"},
		"openIncidents":    {Incident: true, Unended: true, Definition: "order"},
		"everything": {Definition: "order", Version: "v1", Key: "k1", States: []store.State{store.Compensating}, Unended: true,
			Step: "pay", Reason: "declined", After: at(1), Before: at(239)},
		"unknownDefinition": {Definition: "nobody's"},
		"unknownVersion":    {Definition: "order", Version: "v3"},
		"unknownKey":        {Key: "k3"},
		"unknownState":      {States: []store.State{"lost"}},
		"reasonOfStep":      {Reason: "out_of_stock", Step: "create", States: []store.State{store.Compensated}},
	}
}

func testList(t *testing.T, d Driver) {
	s := open(t, d)
	all := population(t, s, acquire(t, s))
	for name, f := range filters() {
		for _, oldest := range []bool{true, false} {
			f.Oldest = oldest
			t.Run(fmt.Sprintf("%s/oldest=%t", name, oldest), func(t *testing.T) {
				var want []store.Summary
				for _, summary := range all {
					if selected(f, summary) {
						want = append(want, summary)
					}
				}
				if !oldest {
					slices.Reverse(want)
				}
				f.Limit = store.MaxLimit
				if diff := cmp.Diff(want, list(t, s, f).Sagas); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				f.Limit = 7
				var wanted []string
				wanted = append(wanted, ids(want)...)
				if diff := cmp.Diff(wanted, walk(t, s, f, nil)); diff != "" {
					t.Errorf("in pages of 7, -want +got:\n%s", diff)
				}
			})
		}
	}
	t.Run("KeyIsNotAPattern", func(t *testing.T) {
		if got := list(t, s, store.Filter{Key: "k%"}).Sagas; len(got) != 0 {
			t.Errorf("%d sagas match", len(got))
		}
	})
}

// selected says in the words of the contract what a filter selects. It is written apart from Filter.Matches, so that they check each other.
func selected(f store.Filter, s store.Summary) bool {
	ok := (f.ID == "" || s.ID == f.ID) && (f.Definition == "" || s.Definition == f.Definition) && (f.Version == "" || s.Version == f.Version)
	ok = ok && (f.Key == "" || s.Key == f.Key) && (f.Step == "" || s.Step == f.Step) && (f.Reason == "" || s.Reason == f.Reason)
	ok = ok && (len(f.States) == 0 || slices.Contains(f.States, s.State)) && (!f.Unended || s.Ended.IsZero()) && (!f.Incident || s.Incident != "")
	ok = ok && (f.Due.IsZero() || s.Ended.IsZero() && (s.Wake.IsZero() || !s.Wake.After(f.Due)))
	ok = ok && (f.Before.IsZero() || s.Started.Before(f.Before)) && (f.After.IsZero() || !s.Started.Before(f.After))
	return ok && f.Matches(&s) == ok
}

func testPaging(t *testing.T, d Driver) {
	t.Run("LimitsHaveDefaultAndCeiling", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		var appends []store.Append
		for _, id := range numbered("s", 0, store.MaxLimit+5) {
			appends = append(appends, NewSaga(id).Start())
		}
		commit(t, s, epoch, appends...)
		for limit, want := range map[int]int{0: store.DefaultLimit, 3: 3, store.MaxLimit: store.MaxLimit, store.MaxLimit + 1: store.MaxLimit} {
			if page := list(t, s, store.Filter{Limit: limit}); len(page.Sagas) != want || page.Next == "" {
				t.Errorf("limit %d: %d sagas, next %q", limit, len(page.Sagas), page.Next)
			}
		}
	})
	t.Run("LastPageHasNoNext", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		commit(t, s, epoch, NewSaga("a").Start(), NewSaga("b").Start())
		if page := list(t, s, store.Filter{Limit: 2}); page.Next != "" || len(page.Sagas) != 2 {
			t.Errorf("%d sagas, next %q", len(page.Sagas), page.Next)
		}
	})
	t.Run("EqualTimesOfStart", func(t *testing.T) {
		s := open(t, d)
		epoch := acquire(t, s)
		want := numbered("s", 0, 50)
		for _, id := range want {
			commit(t, s, epoch, NewSaga(id).Start())
		}
		if diff := cmp.Diff(want, walk(t, s, store.Filter{Oldest: true, Limit: 3}, nil)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
	t.Run("ClockThatRanBackwards", func(t *testing.T) { testClock(t, d) })
	for _, oldest := range []bool{true, false} {
		t.Run(fmt.Sprintf("StableWhileSagasAreAddedAndChange/oldest=%t", oldest), func(t *testing.T) { testStable(t, d, oldest) })
	}
	t.Run("CursorsOfNobody", func(t *testing.T) { testCursors(t, d) })
}

// testClock starts sagas whose times of start are in disorder: the order is that of the commits, the filters go by the times.
func testClock(t *testing.T, d Driver) {
	s := open(t, d)
	epoch := acquire(t, s)
	var all []store.Summary
	for i, offset := range []time.Duration{0, 10 * time.Hour, time.Hour, 2 * time.Hour, -time.Hour, 11 * time.Hour, 0} {
		saga := NewSaga(fmt.Sprintf("s%d", i)).With(func(m *store.Summary) { m.Started = Epoch0().Add(offset) })
		commit(t, s, epoch, saga.Start())
		all = append(all, saga.Summary)
	}
	if diff := cmp.Diff(ids(all), walk(t, s, store.Filter{Oldest: true, Limit: 2}, nil)); diff != "" {
		t.Errorf("order, -want +got:\n%s", diff)
	}
	for hours := -2; hours < 13; hours++ {
		for _, f := range []store.Filter{{Oldest: true, Before: Epoch0().Add(time.Duration(hours) * time.Hour)}, {Oldest: true, After: Epoch0().Add(time.Duration(hours) * time.Hour)}} {
			want := slices.DeleteFunc(slices.Clone(all), func(m store.Summary) bool { return !selected(f, m) })
			if diff := cmp.Diff(ids(want), ids(list(t, s, f).Sagas)); diff != "" {
				t.Errorf("%+v, -want +got:\n%s", f, diff)
			}
		}
	}
}

func testStable(t *testing.T, d Driver, oldest bool) {
	s := open(t, d)
	epoch := acquire(t, s)
	var sagas []*Saga
	want := numbered("s", 0, 60)
	for i, id := range want {
		saga := NewSaga(id).With(func(m *store.Summary) { m.Started = Epoch0().Add(time.Duration(i) * time.Second) })
		commit(t, s, epoch, saga.Start())
		sagas = append(sagas, saga)
	}
	if !oldest {
		slices.Reverse(want)
	}
	added := 0
	got := walk(t, s, store.Filter{Oldest: oldest, Limit: 7, Unended: true}, func() {
		for range 3 {
			commit(t, s, epoch, NewSaga(fmt.Sprintf("new%d", added)).With(func(m *store.Summary) { m.Started = Epoch0().Add(time.Hour) }).Start())
			added++
		}
		for _, saga := range sagas {
			commit(t, s, epoch, saga.Move("b"))
		}
	})
	got = slices.DeleteFunc(got, func(id string) bool { return id[0] == 'n' })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sagas that existed at the first page, -want +got:\n%s", diff)
	}
}

func testCursors(t *testing.T, d Driver) {
	s := open(t, d)
	epoch := acquire(t, s)
	for _, id := range numbered("s", 0, 9) {
		commit(t, s, epoch, NewSaga(id).Start())
	}
	next := list(t, s, store.Filter{Limit: 3}).Next
	if got := list(t, s, store.Filter{Limit: 4, Cursor: next}).Sagas; !slices.Equal(ids(got), []string{"s005", "s004", "s003", "s002"}) {
		t.Errorf("with another limit: %v", ids(got))
	}
	for name, f := range map[string]store.Filter{
		"garbage":      {Cursor: "garbage"},
		"spaces":       {Cursor: "   "},
		"cut":          {Cursor: next[:len(next)-1]},
		"changed":      {Cursor: "B" + next[1:]},
		"otherOrder":   {Cursor: next, Oldest: true},
		"otherKey":     {Cursor: next, Key: "k"},
		"otherStates":  {Cursor: next, States: []store.State{store.Running}},
		"otherUnended": {Cursor: next, Unended: true},
		"otherTime":    {Cursor: next, Before: Epoch0()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.List(t.Context(), f); !errors.Is(err, store.ErrCursor) {
				t.Errorf("%v, want ErrCursor", err)
			}
		})
	}
}
