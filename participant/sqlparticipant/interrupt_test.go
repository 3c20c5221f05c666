package sqlparticipant_test

import (
	"context"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// A handler bounds an optional statement and goes on without it. SQLite rolls the whole transaction back when it interrupts a write: what follows commits by itself, without the barrier.
func TestAnInterruptedWriteLosesNothing(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, t.TempDir()+"/a.db")
	for _, q := range []string{`CREATE TABLE effect (what TEXT)`, `CREATE TABLE audit (n INTEGER)`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	runs := 0
	h := participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Do: func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
		if runs++; runs == 1 { // slow once
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, err := tx.ExecContext(short, `INSERT INTO audit WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 50000000) SELECT n FROM c`)
			t.Log("the optional write:", err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO effect VALUES ('+pay')`)
		return nil, err
	}}
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, h)
	c := participant.Call{Saga: "s-1", Step: "pay", Phase: participant.Action, Operation: "stock.pay", Input: []byte(`1`)}
	for range 3 {
		a := p.Invoke(t.Context(), c)
		t.Log(a.Class, a.Detail)
		if a.Class == participant.Done {
			break
		}
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "+pay")
}

// The same with statements that the handler prepared, and with rows of one: nobody is asked before they run, so the connection refuses them.
func TestWhatIsPreparedWritesNothingAfterTheTransaction(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, t.TempDir()+"/a.db")
	for _, q := range []string{`CREATE TABLE effect (what TEXT)`, `CREATE TABLE audit (n INTEGER)`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	runs, wrote := 0, 0
	h := participant.Handler{Action: "stock.pay", Kind: participant.Pivot, Do: func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
		pay, err := tx.PrepareContext(ctx, `INSERT INTO effect VALUES (?) RETURNING what`)
		if err != nil {
			return nil, err
		}
		defer pay.Close()
		slow, err := tx.PrepareContext(ctx, `INSERT INTO audit WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 50000000) SELECT n FROM c`)
		if err != nil {
			return nil, err
		}
		defer slow.Close()
		if runs++; runs == 1 {
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, _ = slow.ExecContext(short)
		}
		var what string
		if _, err := pay.ExecContext(ctx, "+exec"); err == nil {
			wrote++
		}
		if err := pay.QueryRowContext(ctx, "+query").Scan(&what); err == nil {
			wrote++
		}
		return nil, nil // whatever came of it
	}}
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, h)
	c := participant.Call{Saga: "s-1", Step: "pay", Phase: participant.Action, Operation: "stock.pay", Input: []byte(`1`)}
	if a := p.Invoke(t.Context(), c); a.Class != participant.Unknown || wrote != 0 {
		t.Errorf("the call whose transaction was rolled back is %s (%s), with %d statements after that", a.Class, a.Detail, wrote)
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "")
	if a := p.Invoke(t.Context(), c); a.Class != participant.Done || wrote != 2 {
		t.Errorf("made again it is %s (%s), with %d statements", a.Class, a.Detail, wrote)
	}
	wantColumn(t, db, "effects", `SELECT what FROM effect ORDER BY what`, "+exec +query")
}

// The same in a compensation: what it undid before is rolled back, and that it is undone commits.
func TestAnInterruptedCompensationIsMadeAgain(t *testing.T) {
	db := open(t, sqlparticipant.SQLite, t.TempDir()+"/a.db")
	for _, q := range []string{`CREATE TABLE effect (what TEXT)`, `CREATE TABLE audit (n INTEGER)`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	h := compensatable("stock.hold", "stock.free")
	h.Do = func(ctx context.Context, tx participant.Tx, _ []byte) ([]byte, error) {
		_, err := tx.ExecContext(ctx, `INSERT INTO effect VALUES ('+hold')`)
		return nil, err
	}
	runs := 0
	h.Undo = func(ctx context.Context, tx participant.Tx, _, _ []byte) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM effect`)
		if runs++; runs == 1 {
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, _ = tx.ExecContext(short, `INSERT INTO audit WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 50000000) SELECT n FROM c`)
		}
		return err
	}
	p := mustNew(t, sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock"}, h)
	c := participant.Call{Saga: "s-1", Step: "hold", Phase: participant.Action, Operation: "stock.hold", Input: []byte(`1`)}
	t.Log(p.Invoke(t.Context(), c).Class)
	c.Phase, c.Operation = participant.Compensation, "stock.free"
	for range 3 {
		a := p.Invoke(t.Context(), c)
		t.Log(a.Class, a.Detail)
		if a.Class == participant.Done {
			break
		}
	}
	t.Log("the handler ran", runs, "times")
	wantColumn(t, db, "effects", `SELECT what FROM effect`, "")
}
