package sqlparticipant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Record is what the barrier has of a saga's step.
type Record struct {
	Operation string // the action's durable name
	Acted     bool   // the action took effect and was not undone: a compensation would undo it
	Input     []byte // of the action, JSON
	Result    []byte // of the action, JSON; nil if it gave none
}

// Record reads what the barrier has of a saga's step; the second result is false if it has nothing. It is for participants that do their work
// outside the database and need to know beforehand what a call would find. What it says may be outdated when it returns, unless the caller makes sure that
// nobody calls for the step meanwhile.
func (p *Participant) Record(ctx context.Context, saga journal.SagaID, step string) (Record, bool, error) {
	var r Record
	var s status
	statement := `SELECT operation, status, input, result FROM skald_barrier WHERE saga = ? AND step = ?`
	if p.dialect == PostgreSQL {
		statement = numbered(statement)
	}
	err := p.db.QueryRowContext(ctx, statement, string(saga), step).Scan(&r.Operation, &s, &r.Input, &r.Result)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Record{}, false, nil
	case err != nil:
		return Record{}, false, fmt.Errorf("sqlparticipant: reading the record of saga %s, step %s: %w", saga, step, err)
	}
	r.Acted = s == acted
	return r, true, nil
}

// Write runs a change of the service's own in a transaction, in turn with those of calls: on SQLite, whose one writer they share, that is fair, and the
// database's own waiting is not. It commits if change returns nil and rolls back otherwise. The transaction is tried again when others got in its way, so change may run
// several times.
func (p *Participant) Write(ctx context.Context, change func(tx participant.Tx) error) error {
	wait := tryAfter
	for try := 1; ; try++ {
		err := p.transact(ctx, func(tx transaction) (bool, error) {
			return true, p.guard(tx).do(ctx, change)
		})
		if err == nil || !passing(err) || try == tries || ctx.Err() != nil {
			return err
		}
		pause(ctx, wait)
		wait *= 2
	}
}
