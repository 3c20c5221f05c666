package sqlparticipant_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Rows and statements that a handler leaves open keep neither its transaction nor the next one from going on.
func TestWhatAHandlerLeavesOpenIsClosed(t *testing.T) {
	leave := map[string]func(ctx context.Context, tx participant.Tx) error{
		"rows": func(ctx context.Context, tx participant.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT what FROM effect`) //nolint:rowserrcheck,sqlclosecheck // this is the test
			if err == nil {
				rows.Next()
			}
			return err
		},
		"rows of another context": func(ctx context.Context, tx participant.Tx) error {
			rows, err := tx.QueryContext(context.WithoutCancel(ctx), `SELECT what FROM effect`) //nolint:rowserrcheck,sqlclosecheck // this is the test
			if err == nil {
				rows.Next()
			}
			return err
		},
		"a row": func(ctx context.Context, tx participant.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT what FROM effect`).Err()
		},
		"a statement and its rows": func(ctx context.Context, tx participant.Tx) error {
			s, err := tx.PrepareContext(ctx, `SELECT what FROM effect`) //nolint:sqlclosecheck // this is the test
			if err != nil {
				return err
			}
			rows, err := s.QueryContext(ctx) //nolint:rowserrcheck,sqlclosecheck // this is the test
			if err == nil {
				rows.Next()
			}
			return err
		},
	}
	for name, leave := range leave {
		t.Run(name, func(t *testing.T) {
			db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
			if _, err := db.Exec(`CREATE TABLE effect (what TEXT)`); err != nil {
				t.Fatal(err)
			}
			p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"},
				participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Do: func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
					if _, err := tx.ExecContext(ctx, `INSERT INTO effect VALUES ('+pay')`); err != nil {
						return nil, err
					}
					return nil, leave(ctx, tx)
				}})
			for _, saga := range []string{"s-1", "s-2"} {
				c := participant.Call{Saga: journal.SagaID(saga), Step: "pay", Phase: participant.Action, Operation: "stock.pay", Input: []byte(`1`)}
				if a := p.Invoke(t.Context(), c); a.Class != participant.Done {
					t.Errorf("saga %s: %s %s", saga, a.Class, a.Detail)
				}
			}
			wantColumn(t, db, "effects", `SELECT what FROM effect`, "+pay +pay")
		})
	}
}
