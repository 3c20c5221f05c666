package sqlitestore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/storetest"
)

// TestFirstPagesDoNotReadAllSagas looks at SQLite's plan of each filter: the index that it must walk in order of start, without
// sorting and without reading sagas that the index could have left out.
func TestFirstPagesDoNotReadAllSagas(t *testing.T) {
	s := openNew(t)
	epoch := acquire(t, s)
	for i := range 12 {
		commit(t, s, epoch, storetest.NewSaga(fmt.Sprintf("s%d", i)).With(func(m *store.Summary) {
			m.Definition, m.Version = fmt.Sprintf("d%d", i%2), fmt.Sprintf("v%d", i%3)
		}).Start())
	}
	at := storetest.Epoch0()
	running, turned := []store.State{store.Running}, []store.State{store.Compensated}
	for name, c := range map[string]struct {
		filter store.Filter
		plan   []string
	}{
		"all":          {store.Filter{}, []string{"SCAN s"}}, // the order of start itself, as far as the page goes
		"id":           {store.Filter{ID: "x"}, []string{"SEARCH s USING INDEX sagas_id (id=?)"}},
		"key":          {store.Filter{Key: "k"}, []string{"SEARCH s USING INDEX sagas_key (key=?"}},
		"keyFrom":      {store.Filter{Key: "k", After: at}, []string{"SEARCH s USING INDEX sagas_key (key=? AND rowid>?)"}},
		"version":      {store.Filter{Definition: "d1", Version: "v1"}, []string{"SEARCH s USING INDEX sagas_run (run=?)"}},
		"definition":   {store.Filter{Definition: "d1"}, []string{"MERGE (UNION ALL)", "SEARCH s USING INDEX sagas_run (run=?)"}},
		"keyOf":        {store.Filter{Definition: "d1", Key: "k"}, []string{"SEARCH s USING INDEX sagas_key (key=?)"}},
		"unended":      {store.Filter{Unended: true}, []string{"SEARCH s USING INDEX sagas_unended (ended=?)"}},
		"running":      {store.Filter{States: running}, []string{"SEARCH s USING INDEX sagas_unended (ended=?)"}},
		"unendedOf":    {store.Filter{Unended: true, Definition: "d1"}, []string{"SEARCH s USING INDEX sagas_unended (ended=?)"}},
		"incident":     {store.Filter{Incident: true}, []string{"SCAN s USING INDEX sagas_incident"}},
		"incidentOf":   {store.Filter{Incident: true, Unended: true, Definition: "d1"}, []string{"SCAN s USING INDEX sagas_incident"}},
		"compensated":  {store.Filter{States: turned}, []string{"SCAN s USING INDEX sagas_turned"}},
		"reason":       {store.Filter{Reason: "r", States: turned}, []string{"SEARCH s USING INDEX sagas_reason (reason=?)"}},
		"between":      {store.Filter{Before: at, After: at}, []string{"SEARCH s USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"}},
		"definitionAt": {store.Filter{Definition: "d1", Version: "v1", Before: at}, []string{"SEARCH s USING INDEX sagas_run (run=? AND rowid<?)"}},
	} {
		for _, oldest := range []bool{true, false} {
			for _, next := range []bool{false, true} {
				c.filter.Oldest, c.filter.Cursor = oldest, ""
				if next {
					c.filter.Cursor = c.filter.CursorAt(1)
				}
				t.Run(fmt.Sprintf("%s/oldest=%t/next=%t", name, oldest, next), func(t *testing.T) {
					plan := explain(t, s, &c.filter)
					if strings.Contains(plan, "TEMP B-TREE") {
						t.Errorf("sagas are sorted:\n%s", plan)
					}
					want := c.plan
					if next && name == "all" {
						want = []string{"SEARCH s USING INTEGER PRIMARY KEY"}
					}
					for _, words := range want {
						if next {
							words, _, _ = strings.Cut(words, "=?") // the cursor is one more condition of the search
							words = strings.Replace(words, "SCAN", "", 1)
						}
						if !strings.Contains(plan, words) {
							t.Errorf("no %q in the plan:\n%s", words, plan)
						}
					}
				})
			}
		}
	}
}

func explain(t *testing.T, s *Store, f *store.Filter) string {
	t.Helper()
	q, err := s.plan(t.Context(), f)
	if err != nil || q == nil {
		t.Fatalf("plan: %v, %v", q, err)
	}
	rows, err := s.readers.Query("EXPLAIN QUERY PLAN "+q.sql, q.args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// TestPruningYieldsToCommits prunes thousands of sagas while commits are made: no commit waits for all of it.
func TestPruningYieldsToCommits(t *testing.T) {
	s := openNew(t)
	epoch := acquire(t, s)
	const sagas = 2000
	var appends []store.Append
	for i := range sagas {
		saga := storetest.NewSaga(fmt.Sprintf("old%d", i))
		appends = append(appends, saga.Append(3, 400), saga.End(store.Completed, storetest.Epoch0()))
	}
	commit(t, s, epoch, appends...)
	done := make(chan error, 1)
	go func() {
		n, err := s.Prune(t.Context(), storetest.Epoch0().Add(time.Hour), 10*sagas)
		if err == nil && n != sagas {
			err = fmt.Errorf("pruned %d of %d", n, sagas)
		}
		done <- err
	}()
	saga := storetest.NewSaga("busy")
	commit(t, s, epoch, saga.Start())
	between := 0
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if between < 5 {
				t.Errorf("only %d commits came in between", between)
			}
			var left int
			if err := s.readers.QueryRow("SELECT count(*) FROM records").Scan(&left); err != nil || left != between+1 {
				t.Errorf("%d records are left (%v), want those of the %d commits", left, err, between+1)
			}
			return
		default:
			commit(t, s, epoch, saga.Append(1, 0))
			between++
		}
	}
}
