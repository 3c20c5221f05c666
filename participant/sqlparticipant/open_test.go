package sqlparticipant_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// What several goroutines of a handler wrote is undone when it refuses.
func TestRefusalsUndoWhatGoroutinesWrote(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	if _, err := db.Exec(`CREATE TABLE effect (what TEXT)`); err != nil {
		t.Fatal(err)
	}
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"},
		participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Success: "Paid", Do: func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					if i == 0 {
						_ = sqlparticipant.Publish(ctx, sqlparticipant.Event{Type: "Paying"})
					}
					_, _ = tx.ExecContext(ctx, `INSERT INTO effect VALUES ('+pay')`)
				})
			}
			all.Wait()
			return nil, &participant.Refusal{Reason: "NoMoney"}
		}})
	for i := range 200 {
		c := participant.Call{Saga: journal.SagaID(fmt.Sprint("s-", i)), Step: "pay", Phase: participant.Action, Operation: "stock.pay", Input: []byte(`1`)}
		if a := p.Invoke(t.Context(), c); a.Class != participant.Refused {
			t.Fatalf("%s %s", a.Class, a.Detail)
		}
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "")
	wantColumn(t, db, "events", `SELECT id FROM skald_outbox`, "")
}

// A write that is interrupted where nobody looks takes the transaction with it; nothing is written after it.
func TestNothingIsWrittenAfterAnErrorThatNobodySaw(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	for _, q := range []string{`CREATE TABLE effect (what TEXT)`, `CREATE TABLE audit (n INTEGER)`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"},
		participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Do: func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
			if runs++; runs == 1 {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				var n int
				_ = tx.QueryRowContext(short, `INSERT INTO audit WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 50000000) SELECT n FROM c RETURNING n`).Scan(&n)
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO effect VALUES ('+pay')`)
			return nil, err
		}})
	c := participant.Call{Saga: "s-1", Step: "pay", Phase: participant.Action, Operation: "stock.pay", Input: []byte(`1`)}
	if a := p.Invoke(t.Context(), c); a.Class != participant.Unknown {
		t.Errorf("the first time: %s %s", a.Class, a.Detail)
	}
	wantColumn(t, db, "effects of a call without a result", `SELECT what FROM effect`, "")
	if a := p.Invoke(t.Context(), c); a.Class != participant.Done {
		t.Errorf("the second time: %s %s", a.Class, a.Detail)
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+pay")
}

// The deadline of a call holds also while it waits for a connection.
func TestACallDoesNotWaitForAConnectionBeyondItsDeadline(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "a.db"))
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"},
		participant.Handler{Action: "stock.look", Kind: participant.ReadOnly, Do: func(context.Context, participant.Tx, []byte) ([]byte, error) { return nil, nil }},
		participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Do: func(context.Context, participant.Tx, []byte) ([]byte, error) { return nil, nil }})
	db.SetMaxOpenConns(1)
	taken, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"stock.look", "stock.pay"} {
		c := participant.Call{Saga: "s-1", Step: operation, Phase: participant.Action, Operation: operation, Deadline: time.Now().Add(200 * time.Millisecond)}
		if a := p.Invoke(t.Context(), c); a.Class != participant.Unknown {
			t.Errorf("%s: %s %s", operation, a.Class, a.Detail)
		}
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	c := participant.Call{Saga: "s-1", Step: "stock.pay", Phase: participant.Action, Operation: "stock.pay"}
	if a := p.Invoke(t.Context(), c); a.Class != participant.Done {
		t.Errorf("afterwards: %s %s", a.Class, a.Detail)
	}
}

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
		"a statement and its rows of another context": func(ctx context.Context, tx participant.Tx) error {
			s, err := tx.PrepareContext(ctx, `SELECT what FROM effect`) //nolint:sqlclosecheck // this is the test
			if err != nil {
				return err
			}
			rows, err := s.QueryContext(context.WithoutCancel(ctx)) //nolint:rowserrcheck,sqlclosecheck // this is the test
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
