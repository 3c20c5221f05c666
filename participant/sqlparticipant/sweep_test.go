package sqlparticipant_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// What is old is found among much that is young, wherever it lies, and also what grew old behind the place where the call before ended.
func pruneFindsWhatIsOldEverywhere(t *testing.T, d sqlparticipant.Dialect, address string) {
	db := open(t, d, address)
	start := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	now := start
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Now: func() time.Time { return now }}, publishing())
	// Of each table 9,000 rows: every third is of the first hour, of the second, and of the third. Of the tokens, 1,000 of each hour were not told.
	const many = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 8999) `
	for _, statement := range []string{
		many + `INSERT INTO skald_barrier (saga, step, operation, status, input, created_us, updated_us) SELECT 's-' || i, 'hold', 'stock.reserve', 1, '', 0, %[1]d + i %% 3 * 3600000000 FROM n`,
		many + `INSERT INTO skald_token (owner, saga, step, direction, heard, kind, meta, updated_us) SELECT 'stock', 's-' || i, 'hold', 'forward', CASE WHEN i %% 9 < 3 THEN 0 ELSE 1 END, 'done', '{}', %[1]d + i %% 3 * 3600000000 FROM n`,
	} {
		if _, err := db.ExecContext(t.Context(), fmt.Sprintf(statement, start.UnixMicro())); err != nil {
			t.Fatal(err)
		}
	}
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	now = hour(3).Add(sqlparticipant.DefaultRetention)
	prune := func(before time.Time, want int) {
		t.Helper()
		if n, err := p.Prune(t.Context(), before, 800); err != nil || n != want {
			t.Errorf("pruned %d (%v), want %d", n, err, want)
		}
	}
	counts := func(barrier, told, untold int) {
		t.Helper()
		wantColumn(t, db, "rows", `SELECT count(*) FROM skald_barrier`, fmt.Sprint(barrier))
		wantColumn(t, db, "tokens that were told", `SELECT count(*) FROM skald_token WHERE heard = 1`, fmt.Sprint(told))
		wantColumn(t, db, "tokens that were not", `SELECT count(*) FROM skald_token WHERE heard = 0`, fmt.Sprint(untold))
	}
	prune(start, 0)
	prune(hour(1), 800)
	prune(hour(1), 800)
	counts(9000-1600, 6000-1600, 3000)
	before := 9000 - 1600
	for { // two hours: what is left of the first, and all of the second
		n, err := p.Prune(t.Context(), hour(2), 800)
		if before -= n; err != nil || n < 800 {
			t.Logf("the last call pruned %d (%v)", n, err)
			break
		}
	}
	counts(3000, 2000, 3000)
	if before != 3000 {
		t.Errorf("the calls said that %d are left", before)
	}
	prune(hour(1), 0) // an earlier one is a call like any other
	prune(hour(3), 800)
	prune(hour(2), 0) // what is left of the third hour is not what this one asks for
	counts(2200, 1200, 3000)
}

// A table is looked through once, however much is forgotten of another, and there is a rest after each look, also while there is much to forget.
func TestTidyLooksThroughEachTableOnce(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, publishing())
	const many = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999) `
	for _, statement := range []string{
		many + `INSERT INTO skald_barrier (saga, step, operation, status, input, created_us, updated_us) SELECT 's-' || i, 'hold', 'stock.reserve', 1, '', 0, 9000000000000000 FROM n`,
		many + `INSERT INTO skald_token (owner, saga, step, direction, heard, kind, meta, updated_us) SELECT 'stock', 's-' || i, 'hold', 'forward', 1, 'done', '{}', 0 FROM n`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	rests := 0
	if err := p.TidyOnce(t.Context(), func(time.Duration) { rests++ }); err != nil {
		t.Fatal(err)
	}
	wantColumn(t, db, "rows", `SELECT count(*) FROM skald_barrier`, "20000")
	wantColumn(t, db, "tokens", `SELECT count(*) FROM skald_token`, "0")
	if rests != 10+20 { // ten spans that are young, and twenty batches
		t.Errorf("it looked %d times, want 30", rests)
	}
}

func TestPruningNothingIsRefused(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, publishing())
	for _, limit := range []int{0, -1} {
		if _, err := p.Prune(t.Context(), time.Now().Add(-2*sqlparticipant.DefaultRetention), limit); err == nil || !strings.Contains(err.Error(), "at least 1") {
			t.Errorf("with a limit of %d the error is %v", limit, err)
		}
	}
}

// A sweep reads a span by the table's key: it neither sorts nor reads what lies before.
func TestASweepReadsASpanOnly(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, publishing())
	all := sqlparticipant.SweepStatements(sqlparticipant.SQLite)
	if len(all) != 4 {
		t.Errorf("there are %d statements, want two for each of two tables", len(all))
	}
	for statement, parameters := range all {
		reads := 0
		for _, step := range plan(t, db, statement, parameters) {
			if !strings.Contains(step, "skald_") {
				continue
			}
			if reads++; !strings.HasPrefix(step, "SEARCH") || !strings.Contains(step, "PRIMARY KEY") {
				t.Errorf("the plan has %q for\n%s", step, statement)
			}
		}
		if reads == 0 {
			t.Errorf("no table is read by\n%s", statement)
		}
	}
}

// plan is how SQLite executes a statement with so many parameters.
func plan(t *testing.T, db *sql.DB, statement string, parameters int) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, parameters)...)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		all = append(all, detail)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
