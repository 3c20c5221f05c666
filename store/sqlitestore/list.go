package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// columns of a summary, in the order in which scanSummary reads them.
const columns = "s.n, s.id, r.definition, r.version, r.mode, s.key, s.state, s.step, s.reason, s.incident, s.started, s.updated, s.ended, s.wake, s.seq, s.chain"

// List implements store.Store.
func (s *Store) List(ctx context.Context, f store.Filter) (store.Page, error) {
	if err := s.enter(ctx); err != nil {
		return store.Page{}, err
	}
	defer s.life.RUnlock()
	q, err := s.plan(ctx, &f)
	if err != nil || q == nil {
		return store.Page{}, err
	}
	rows, err := s.readers.QueryContext(ctx, q.sql, q.args...)
	if err != nil {
		return store.Page{}, readError(err)
	}
	defer rows.Close()
	var page store.Page
	var last int64
	for rows.Next() {
		if len(page.Sagas) == f.Size() {
			page.Next = f.CursorAt(last)
			return page, nil
		}
		var summary store.Summary
		if last, err = scanSummary(rows, &summary); err != nil {
			return store.Page{}, readError(err)
		}
		page.Sagas = append(page.Sagas, summary)
	}
	if err := rows.Err(); err != nil {
		return store.Page{}, readError(err)
	}
	return page, nil
}

// query is a finished statement.
type query struct {
	sql  string
	args []any
}

// where collects conditions and their arguments.
type where struct {
	terms []string
	args  []any
}

func (w *where) and(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

// maxMerged is how many runs a list merges, each read in order from the index on runs. When more match, there is hardly a saga that does
// not, and reading all in order is as good.
const maxMerged = 100

// plan makes the statement of a page, or none when nothing can match. It names the index itself: without statistics of the
// data the database cannot know that unended sagas are few and ended ones many, and a plan that changes by itself is a surprise.
func (s *Store) plan(ctx context.Context, f *store.Filter) (*query, error) {
	after, resumed, err := f.Position()
	if err != nil {
		return nil, err
	}
	w := conditions(f)
	if resumed {
		w.and(map[bool]string{true: "s.n > ?", false: "s.n < ?"}[f.Oldest], after)
	}
	index := indexFor(f)
	legs := []string{""}
	if f.Namespace != "" || f.Definition != "" || f.Version != "" {
		runs, err := s.runsOf(ctx, f)
		if err != nil || len(runs) == 0 {
			return nil, err
		}
		if index == "" && len(runs) <= maxMerged {
			index, legs = "sagas_run", runs
		} else {
			w.and("s.run IN (" + strings.Join(runs, ", ") + ")")
		}
	}
	return assemble(f, w, index, legs), nil
}

// assemble writes one SELECT for each leg, which SQLite merges in order of start without sorting.
func assemble(f *store.Filter, w where, index string, legs []string) *query {
	by := "NOT INDEXED"
	if index != "" {
		by = "INDEXED BY " + index
	}
	var q query
	for i, run := range legs {
		leg := w
		if run != "" {
			leg.terms = append(slices.Clip(leg.terms), "s.run = "+run)
		}
		if i > 0 {
			q.sql += " UNION ALL "
		}
		q.sql += "SELECT " + columns + " FROM sagas s " + by + " CROSS JOIN runs r ON r.n = s.run"
		if len(leg.terms) > 0 {
			q.sql += " WHERE " + strings.Join(leg.terms, " AND ")
		}
		q.args = append(q.args, leg.args...)
	}
	q.sql += " ORDER BY 1" + map[bool]string{true: "", false: " DESC"}[f.Oldest] + " LIMIT ?"
	q.args = append(q.args, f.Size()+1)
	return &q
}

// indexFor chooses the index that leaves the fewest sagas to look at; none means the order of start itself.
func indexFor(f *store.Filter) string {
	every := func(in ...store.State) bool {
		return len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s store.State) bool { return !slices.Contains(in, s) })
	}
	switch {
	case f.ID != "":
		return "sagas_id"
	case f.Key != "":
		return "sagas_key"
	case f.Incident:
		return "sagas_incident"
	case f.Unended || !f.Due.IsZero() || every(store.Running, store.Compensating):
		return "sagas_unended"
	case f.Reason != "":
		return "sagas_reason"
	case every(store.Compensating, store.Compensated):
		return "sagas_turned"
	}
	return ""
}

// conditions are all of a filter but its namespace, definition and version. They say literally what the partial indexes say.
func conditions(f *store.Filter) (w where) {
	if f.ID != "" {
		w.and("s.id = ?", string(f.ID))
	}
	if f.Key != "" {
		w.and("s.key = ? AND s.key <> ''", f.Key)
	}
	if f.Step != "" {
		w.and("s.step = ?", f.Step)
	}
	if f.Reason != "" {
		w.and("s.reason = ? AND s.reason <> ''", f.Reason)
	}
	if f.Incident {
		w.and("s.incident <> ''")
	}
	if len(f.States) > 0 {
		var numbers []string
		for _, state := range f.States {
			numbers = append(numbers, fmt.Sprint(stateNumber(state)))
		}
		w.and("s.state IN (" + strings.Join(numbers, ", ") + ")")
	}
	switch indexFor(f) {
	case "sagas_unended":
		w.and("s.ended = 0")
	case "sagas_turned":
		w.and("s.state >= 3")
	default:
		if f.Unended {
			w.and("s.ended = 0")
		}
	}
	if !f.Due.IsZero() {
		w.and("s.ended = 0 AND s.wake <= ?", f.Due.UnixMicro())
	}
	if !f.Before.IsZero() {
		t := microsUp(f.Before)
		w.and("s.started < ? AND s.n < ? + (SELECT value FROM counters WHERE name = 'skew')", t, t)
	}
	if !f.After.IsZero() {
		t := microsUp(f.After)
		w.and("s.started >= ? AND s.n >= ?", t, t)
	}
	return w
}

// microsUp rounds up: a time kept in microseconds is before t exactly if it is before this.
func microsUp(t time.Time) int64 {
	n := t.UnixMicro()
	if t.Nanosecond()%1000 > 0 {
		n++
	}
	return n
}

// runsOf returns the numbers of the runs with the filter's namespace, definition and version. Runs are few, so that they are looked at one by one.
func (s *Store) runsOf(ctx context.Context, f *store.Filter) ([]string, error) {
	rows, err := s.readers.QueryContext(ctx,
		"SELECT CAST(n AS TEXT), definition FROM runs WHERE (?1 = '' OR definition = ?1) AND (?2 = '' OR version = ?2)", f.Definition, f.Version)
	if err != nil {
		return nil, readError(err)
	}
	defer rows.Close()
	var runs []string
	for rows.Next() {
		var n, definition string
		if err := rows.Scan(&n, &definition); err != nil {
			return nil, readError(err)
		}
		if f.Namespace == "" || f.Namespace == journal.NamespaceOf(definition) {
			runs = append(runs, n)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, readError(err)
	}
	return runs, nil
}

// scanSummary reads one row of columns.
func scanSummary(rows *sql.Rows, to *store.Summary) (n int64, err error) {
	var state, started, updated, ended, wake int64
	err = rows.Scan(&n, &to.ID, &to.Definition, &to.Version, &to.Mode, &to.Key, &state, &to.Step, &to.Reason, &to.Incident,
		&started, &updated, &ended, &wake, &to.Seq, &to.Chain)
	to.State = stateNamed(state)
	to.Started, to.Updated, to.Ended, to.Wake = instant(started), instant(updated), instant(ended), instant(wake)
	return n, err
}

func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// stateNumber is the number of a state in the file, 0 for one that is none. The numbers are durable.
func stateNumber(s store.State) int64 {
	switch s {
	case store.Running:
		return 1
	case store.Completed:
		return 2
	case store.Compensating:
		return 3
	case store.Compensated:
		return 4
	}
	return 0
}

func stateNamed(n int64) store.State {
	switch n {
	case 1:
		return store.Running
	case 2:
		return store.Completed
	case 3:
		return store.Compensating
	case 4:
		return store.Compensated
	}
	return ""
}
