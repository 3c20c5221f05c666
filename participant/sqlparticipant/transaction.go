package sqlparticipant

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"github.com/skaldhq/skald/participant"
)

// transaction is a database's transaction as this package works in it, and as handlers get it.
type transaction interface {
	participant.Tx
	// run runs a statement of this package and says how many rows it changed.
	run(ctx context.Context, statement string, args ...any) (int64, error)
	// each hands every row of a query of this package to yield, which must not keep the slice.
	each(ctx context.Context, yield func(columns []any) error, statement string, args ...any) error
	Commit() error
	// Rollback ends the transaction if it has not ended.
	Rollback() error
}

// begin begins a transaction. The context bounds the wait for a connection. What began lasts until it is committed or rolled back.
func (p *Participant) begin(ctx context.Context, opts *sql.TxOptions) (transaction, error) {
	if _, ours := p.db.Driver().(*disk); ours {
		return beginOurs(ctx, p.db, opts)
	}
	tx, err := p.db.BeginTx(p.lasting(ctx), opts)
	if err != nil {
		return nil, err
	}
	return theirs{p, tx}, nil
}

// rollback ends a transaction that was not committed. Its error says nothing new: the connection is dropped if it failed.
func rollback(tx interface{ Rollback() error }) { _ = tx.Rollback() }

// theirs is a transaction of database/sql.
type theirs struct {
	p *Participant
	*sql.Tx
}

func (t theirs) run(ctx context.Context, statement string, args ...any) (int64, error) {
	res, err := t.ExecContext(t.p.lasting(ctx), statement, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t theirs) each(ctx context.Context, yield func(columns []any) error, statement string, args ...any) error {
	rows, err := t.QueryContext(t.p.lasting(ctx), statement, args...)
	if err != nil {
		return err
	}
	return eachOf(rows, yield)
}

// eachOf hands every row to yield, and closes them.
func eachOf(rows *sql.Rows, yield func(columns []any) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	columns, into := make([]any, len(names)), make([]any, len(names))
	for i := range columns {
		into[i] = &columns[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := yield(columns); err != nil {
			return err
		}
	}
	return rows.Err()
}

// ours is a transaction on a connection that OpenSQLite made. Statements of this package go past database/sql, which begins a goroutine for each query in a transaction, and locks and copies for each statement: that costs as much
// as the statements. What handlers do goes its usual way.
type ours struct {
	*sql.Tx
	conn *sql.Conn
}

func beginOurs(ctx context.Context, db *sql.DB, opts *sql.TxOptions) (*ours, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), opts)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &ours{tx, conn}, nil
}

// with lends a statement, prepared on the connection, and its arguments. Nobody else uses the connection meanwhile.
func (t *ours) with(text string, args []any, use func(s statement, values []driver.NamedValue) error) error {
	values, err := named(args)
	if err != nil {
		return err
	}
	return t.conn.Raw(func(lent any) error {
		c, ok := lent.(*connection)
		if !ok {
			return fmt.Errorf("sqlparticipant: a connection of OpenSQLite is a %T", lent)
		}
		s, err := c.statement(text)
		if err != nil {
			return err
		}
		return use(s, values)
	})
}

func (t *ours) run(_ context.Context, text string, args ...any) (n int64, err error) {
	err = t.with(text, args, func(s statement, values []driver.NamedValue) error {
		res, err := s.ExecContext(context.Background(), values)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

func (t *ours) each(_ context.Context, yield func(columns []any) error, text string, args ...any) error {
	return t.with(text, args, func(s statement, values []driver.NamedValue) (err error) {
		rows, err := s.QueryContext(context.Background(), values)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		got := make([]driver.Value, len(rows.Columns()))
		columns := make([]any, len(got))
		for {
			if err := rows.Next(got); err == io.EOF { //nolint:errorlint // drivers return it as it is
				return nil
			} else if err != nil {
				return err
			}
			for i, v := range got {
				columns[i] = v
			}
			if err := yield(columns); err != nil {
				return err
			}
		}
	})
}

// named makes arguments what drivers take.
func named(args []any) ([]driver.NamedValue, error) {
	values := make([]driver.NamedValue, len(args))
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		values[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return values, nil
}

// Commit implements transaction.
func (t *ours) Commit() error {
	defer t.leave()
	return t.Tx.Commit()
}

// Rollback implements transaction.
func (t *ours) Rollback() error {
	defer t.leave()
	return t.Tx.Rollback()
}

// leave gives the connection back once the transaction is over. Its error changes nothing of what that came to.
func (t *ours) leave() { _ = t.conn.Close() }

// Columns of a row are what database/sql calls driver values; of some, databases differ in the type.
func text(column any) string {
	switch v := column.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

func blob(column any) []byte {
	switch v := column.(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

func number(column any) int64 {
	n, _ := column.(int64)
	return n
}
