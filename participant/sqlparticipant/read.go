package sqlparticipant

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/skaldhq/skald/participant"
)

// read makes a call that stores nothing, in a transaction that cannot write and is always rolled back.
func (p *Participant) read(ctx context.Context, op *operation, c participant.Call) (participant.Answer, error) {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return participant.Answer{}, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close() }() // back to the pool
	if p.dialect == SQLite {
		// SQLite knows no read-only transactions, but connections that do not write for a while.
		if _, err := conn.ExecContext(ctx, `PRAGMA query_only = ON`); err != nil {
			return participant.Answer{}, err
		}
		defer writable(ctx, conn)
	}
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return participant.Answer{}, fmt.Errorf("beginning a transaction: %w", err)
	}
	defer rollback(tx)
	b := &barrier{p: p, tx: tx, op: op, call: c, now: p.now()}
	result, err := b.do(ctx)
	if refusal, ok := refusalOf(err); ok {
		return refused(refusal), nil
	}
	if err != nil {
		return participant.Answer{}, err
	}
	return done(result), nil
}

// writable lets a connection write again, whatever became of the call. If that fails the pool must not have it back.
func writable(ctx context.Context, conn *sql.Conn) {
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), `PRAGMA query_only = OFF`); err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}
