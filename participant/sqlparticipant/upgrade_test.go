package sqlparticipant_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// tablesOf returns the statements that made the tables of an earlier version on SQLite.
func tablesOf(version int) []string {
	later := `, refused SMALLINT NOT NULL DEFAULT 0, aside SMALLINT NOT NULL DEFAULT 0, round BIGINT NOT NULL DEFAULT 0, first_reason TEXT NOT NULL DEFAULT '', first_detail TEXT NOT NULL DEFAULT ''`
	if version == 2 {
		later = ""
	}
	return []string{
		`CREATE TABLE skald_participant_schema (version INTEGER PRIMARY KEY)`,
		`CREATE TABLE skald_barrier (saga TEXT NOT NULL, step TEXT NOT NULL, operation TEXT NOT NULL, status SMALLINT NOT NULL, input BLOB NOT NULL, result BLOB,
			reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '', created_us BIGINT NOT NULL, updated_us BIGINT NOT NULL, PRIMARY KEY (saga, step))`,
		`CREATE INDEX skald_barrier_updated ON skald_barrier (updated_us)`,
		`CREATE TABLE skald_outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, source TEXT NOT NULL, type TEXT NOT NULL, saga TEXT NOT NULL, step TEXT NOT NULL,
			time_us BIGINT NOT NULL, data BLOB NOT NULL, trace TEXT NOT NULL DEFAULT '')`,
		`CREATE TABLE skald_token (seq INTEGER PRIMARY KEY, owner TEXT NOT NULL, saga TEXT NOT NULL, step TEXT NOT NULL, direction TEXT NOT NULL, heard SMALLINT NOT NULL, kind TEXT NOT NULL,
			payload BLOB, meta TEXT NOT NULL, updated_us BIGINT NOT NULL, UNIQUE (owner, saga, step, direction))`,
		`CREATE INDEX skald_token_updated ON skald_token (updated_us)`,
		`CREATE INDEX skald_token_untold ON skald_token (owner, updated_us) WHERE heard = 0`,
		`CREATE TABLE skald_waiting (owner TEXT NOT NULL, saga TEXT NOT NULL, step TEXT NOT NULL, phase TEXT NOT NULL, attempt BIGINT NOT NULL, since_us BIGINT NOT NULL, due_us BIGINT NOT NULL,
			reason TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '', input BLOB` + later + `, PRIMARY KEY (owner, saga, step))`,
		`CREATE INDEX skald_waiting_due ON skald_waiting (owner, due_us)`,
		fmt.Sprintf(`INSERT INTO skald_participant_schema VALUES (%d)`, version),
	}
}

// fill writes what a participant of that version may have left: an action that was done, and tokens, one of which is to be told.
func fill(t *testing.T, db *sql.DB, version int) {
	t.Helper()
	const meta = `'{"id":"s-1/ask/done","definition":"order","version":"1","source":"other","time":"2026-11-21T20:00:00Z"}'`
	for _, statement := range append(tablesOf(version),
		`CREATE TABLE orders (id TEXT PRIMARY KEY, saga TEXT, step TEXT, FOREIGN KEY (saga, step) REFERENCES skald_barrier (saga, step) ON DELETE SET NULL)`,
		`CREATE VIEW kept AS SELECT saga, step FROM skald_barrier`,
		`INSERT INTO skald_barrier (saga, step, operation, status, input, result, created_us, updated_us) VALUES ('s-1', 'hold', 'stock.hold', 1, '1', '"did"', 7, 8)`,
		`INSERT INTO skald_token (owner, saga, step, direction, heard, kind, payload, meta, updated_us) VALUES ('stock', 's-1', 'more', 'forward', 1, 'done', '2', `+meta+`, 7), ('stock', 's-1', 'ask', 'forward', 1, 'done', '1', `+meta+`, 8),
			('stock', 's-1', 'hold', 'forward', 0, 'done', NULL, `+meta+`, 9), ('another', 's-1', 'ask', 'forward', 1, 'done', NULL, `+meta+`, 10)`,
		`INSERT INTO skald_waiting (owner, saga, step, phase, attempt, since_us, due_us, reason) VALUES ('stock', 's-1', 'pay', 'action', 3, 7, 8, 'Slow')`,
		`INSERT INTO orders VALUES ('o-1', 's-1', 'hold')`,
	) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Tables of earlier versions are brought up to date, with all that is in them: by a program that starts, and by a team's own migration.
func TestTablesAreUpgraded(t *testing.T) {
	address := func(t *testing.T) string { return filepath.Join(t.TempDir(), "a.db") }
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprintf("version %d, by the program", version), func(t *testing.T) {
			path := address(t)
			fill(t, open(t, sqlparticipant.SQLite, path), version)
			wantUpgraded(t, path)
		})
		t.Run(fmt.Sprintf("version %d, by a migration", version), func(t *testing.T) {
			path := address(t)
			db := open(t, sqlparticipant.SQLite, path)
			fill(t, db, version)
			kept := sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock", KeepSchema: true}
			if _, err := sqlparticipant.New(kept, publishing()); err == nil || !strings.Contains(err.Error(), "sqlparticipant.Upgrade") {
				t.Errorf("before the migration the error is %v, want one that says where the statements are", err)
			}
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range sqlparticipant.Upgrade(sqlparticipant.SQLite, version) {
				if _, err := tx.Exec(statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			mustNew(t, kept, publishing())
			wantUpgraded(t, path)
		})
	}
}

func wantUpgraded(t *testing.T, path string) {
	t.Helper()
	k, db := newClerk(t, sqlparticipant.SQLite, path), open(t, sqlparticipant.SQLite, path)
	k.wantLedger("more:done ask:done [hold:done] pay#3")
	if untold, err := k.Untold(t.Context(), time.Now(), 10); err != nil || len(untold) != 1 || untold[0].Step != "hold" {
		t.Errorf("to be told is %+v (%v)", untold, err)
	}
	c := participant.Call{Saga: "s-1", Step: "hold", Phase: participant.Action, Operation: "stock.hold", Input: []byte(`1`)}
	if a := k.Invoke(t.Context(), c); a.Class != participant.Done || string(a.Result) != `"did"` {
		t.Errorf("repeated, the action gives %s %s (%s)", a.Class, a.Result, a.Detail)
	}
	wantColumn(t, db, "indexes that only pruning used", `SELECT name FROM sqlite_schema WHERE name IN ('skald_barrier_updated', 'skald_token_updated')`, "")
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "")
	wantColumn(t, db, "tokens of another participant", `SELECT saga FROM skald_token WHERE owner = 'another'`, "s-1")
	// What is old is found there, too.
	old := time.Now().Add(-2 * sqlparticipant.DefaultRetention)
	if n, err := k.Prune(t.Context(), old, 10); err != nil || n != 3 {
		t.Errorf("pruned %d (%v), want the three tokens that were heard", n, err)
	}
	wantColumn(t, db, "tokens", `SELECT step FROM skald_token`, "hold")
	// And what the service itself has that refers to a table stays as it is.
	wantColumn(t, db, "the service's rows", `SELECT id FROM orders`, "o-1")
	wantColumn(t, db, "the service's view", `SELECT count(*) FROM kept`, "0")
}
