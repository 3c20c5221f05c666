package sqlparticipant_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// A handler that is to read neither writes nor ends its transaction, whatever it asks, and by which method.
func TestAReadOnlyReads(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	if _, err := db.Exec(`CREATE TABLE effect (what TEXT)`); err != nil {
		t.Fatal(err)
	}
	ways := map[string]func(ctx context.Context, tx participant.Tx, query string) error{
		"Exec": func(ctx context.Context, tx participant.Tx, query string) error {
			_, err := tx.ExecContext(ctx, query)
			return err
		},
		"Query": func(ctx context.Context, tx participant.Tx, query string) error {
			rows, err := tx.QueryContext(ctx, query)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
			}
			return rows.Err()
		},
		"QueryRow": func(ctx context.Context, tx participant.Tx, query string) error {
			var v any
			return tx.QueryRowContext(ctx, query).Scan(&v)
		},
		"Prepare": func(ctx context.Context, tx participant.Tx, query string) error {
			s, err := tx.PrepareContext(ctx, query)
			if err != nil {
				return err
			}
			defer func() { _ = s.Close() }()
			var v any
			return s.QueryRowContext(ctx).Scan(&v)
		},
	}
	var ask func(ctx context.Context, tx participant.Tx) error
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"},
		participant.Handler{Action: "stock.look", Kind: participant.ReadOnly, Do: func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) { return nil, ask(ctx, tx) }})
	call := participant.Call{Saga: "s-1", Step: "look", Phase: participant.Action, Operation: "stock.look"}
	for name, way := range ways {
		for _, query := range []string{
			`CREATE TABLE other (n INTEGER)`, `COMMIT`, `PRAGMA user_version = 7`, `INSERT INTO effect VALUES ('x') RETURNING what`, "-- name: Sneak :one\nDELETE FROM effect RETURNING what",
			`WITH x AS (SELECT 1) INSERT INTO effect SELECT 'x' FROM x RETURNING what`, `SELECT 1; PRAGMA user_version = 7; COMMIT; BEGIN`, `SELECT ';'; COMMIT; INSERT INTO effect VALUES ('x'); BEGIN`,
			`/*/SELECT*/ INSERT INTO effect VALUES ('x') RETURNING what`,
		} {
			ask = func(ctx context.Context, tx participant.Tx) error { return way(ctx, tx, query) }
			if a := p.Invoke(t.Context(), call); a.Class != participant.Unknown || !strings.Contains(a.Detail, "ReadOnly cannot write") {
				t.Errorf("%s %q: %s %s", name, query, a.Class, a.Detail)
			}
		}
		for _, query := range []string{`SELECT 1`, "/* a */ -- b\n  select 1", `VALUES (1)`, `SELECT '; COMMIT' || "a;b" FROM (SELECT 1 AS "a;b"); -- ; COMMIT`, `with x AS (SELECT 1) SELECT * FROM x`} {
			ask = func(ctx context.Context, tx participant.Tx) error { return way(ctx, tx, query) }
			if a := p.Invoke(t.Context(), call); (a.Class == participant.Done) != (name != "Exec") {
				t.Errorf("%s %q: %s %s", name, query, a.Class, a.Detail)
			}
		}
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "")
	wantColumn(t, db, "version", `PRAGMA user_version`, "0")
	wantColumn(t, db, "tables", `SELECT name FROM sqlite_master WHERE name = 'other'`, "")
}
