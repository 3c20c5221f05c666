package sqlparticipant_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// A call that comes twice takes effect once: the second one gets the stored answer. Handlers are usually made of typed functions, with skald.Handle.
func ExampleNew() {
	if err := countTwice(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// done 1
	// done 1
	// counted 1
}

func countTwice(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp("", "counter")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(folder, "counter.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `CREATE TABLE counter (n INTEGER NOT NULL); INSERT INTO counter VALUES (0)`); err != nil {
		return err
	}
	count := func(ctx context.Context, tx participant.Tx, _ []byte) (result []byte, err error) {
		var n int
		err = tx.QueryRowContext(ctx, `UPDATE counter SET n = n + 1 RETURNING n`).Scan(&n) // the participant's own transaction
		return fmt.Append(nil, n), err
	}
	counter, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "counter"},
		participant.Handler{Action: "counter.count", Kind: participant.Retriable, Do: count})
	if err != nil {
		return err
	}
	for attempt := range uint32(2) {
		a := counter.Invoke(ctx, participant.Call{
			Saga: "order-1017", Step: "counter.count", Phase: participant.Action, Operation: "counter.count", Attempt: attempt + 1, Input: []byte(`{}`),
		})
		fmt.Println(a.Class, string(a.Result))
	}
	var n int
	err = db.QueryRowContext(ctx, `SELECT n FROM counter`).Scan(&n)
	fmt.Println("counted", n)
	return err
}
