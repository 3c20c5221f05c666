package sqlparticipant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/skaldhq/skald/participant"
)

// read makes a call that stores nothing, in a transaction that is always rolled back. PostgreSQL lets it write nothing. SQLite knows no read-only transactions, and a connection that is told not to
// write prepares all its statements anew each time: there the handler gets no means to write, and it is looked whether it found some.
func (p *Participant) read(ctx context.Context, op *operation, c participant.Call) (answer participant.Answer, err error) {
	tx, err := p.begin(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return participant.Answer{}, fmt.Errorf("beginning a transaction: %w", err)
	}
	defer rollback(tx)
	before, err := p.changes(ctx, tx)
	if err != nil {
		return participant.Answer{}, err
	}
	b := &barrier{p: p, tx: tx, op: op, call: c, now: p.now()}
	result, err := b.do(ctx)
	refusal, isRefusal := refusalOf(err)
	if err != nil && !isRefusal {
		return participant.Answer{}, err
	}
	after, err := p.changes(ctx, tx)
	switch {
	case err != nil:
		return participant.Answer{}, err
	case after != before:
		return participant.Answer{}, errWrites
	case isRefusal:
		return refused(refusal), nil
	}
	return done(result), nil
}

// errWrites says that a handler of kind ReadOnly writes.
var errWrites = errors.New("a handler of kind ReadOnly cannot write; what it wrote was rolled back: set Stored, or make the operation of another kind")

// changes counts the rows that a connection has changed so far, where only that tells whether a transaction writes.
func (p *Participant) changes(ctx context.Context, tx transaction) (n int64, err error) {
	if p.dialect != SQLite {
		return 0, nil
	}
	err = tx.each(ctx, func(columns []any) error {
		n = number(columns[0])
		return nil
	}, countChanges)
	if err != nil {
		return 0, fmt.Errorf("counting changes: %w", err)
	}
	return n, nil
}

const countChanges = `SELECT total_changes()`

// stores says whether a call leaves anything in the database, if only its answer.
func (o *operation) stores() bool { return o.Kind != participant.ReadOnly || o.Stored }

// reading hands a transaction to a handler without the means to write.
type reading struct{ participant.Tx }

// ExecContext implements participant.Tx.
func (reading) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errWrites
}
