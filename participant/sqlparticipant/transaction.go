package sqlparticipant

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"

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

// begin begins a transaction. On a database of OpenSQLite it is one of this package's own: database/sql begins a goroutine for each transaction and for each query in one, and locks and copies for each
// statement, which together cost as much as the statements.
func (p *Participant) begin(ctx context.Context, opts *sql.TxOptions) (transaction, error) {
	if _, ours := p.db.Driver().(*disk); ours {
		return beginOurs(p.lasting(ctx), p.db, opts)
	}
	tx, err := p.db.BeginTx(ctx, opts)
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

// ours is a transaction on a connection that OpenSQLite made. Its statements are not cut off when a context ends: they are short, and SQLite would roll the whole transaction back, which others share.
type ours struct {
	conn  *sql.Conn
	begun driver.Tx
	ended bool

	mu       sync.Mutex
	ends     []context.CancelFunc // close rows that handlers got
	prepared []*sql.Stmt          // by handlers
}

func beginOurs(ctx context.Context, db *sql.DB, opts *sql.TxOptions) (*ours, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	t := &ours{conn: conn}
	err = t.raw(func(c *connection) (err error) {
		t.begun, err = c.BeginTx(ctx, driver.TxOptions{ReadOnly: opts != nil && opts.ReadOnly})
		return err
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return t, nil
}

// raw lends the connection, which nobody else uses meanwhile.
func (t *ours) raw(use func(c *connection) error) error {
	return t.conn.Raw(func(lent any) error {
		c, ok := lent.(*connection)
		if !ok {
			return fmt.Errorf("sqlparticipant: a connection of OpenSQLite is a %T", lent)
		}
		return use(c)
	})
}

func (t *ours) run(_ context.Context, statement string, args ...any) (n int64, err error) {
	err = t.raw(func(c *connection) error {
		values, err := named(args)
		if err != nil {
			return err
		}
		s, err := c.statement(statement)
		if err != nil {
			return err
		}
		res, err := s.ExecContext(context.Background(), values)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}

func (t *ours) each(_ context.Context, yield func(columns []any) error, statement string, args ...any) error {
	return t.raw(func(c *connection) (err error) {
		values, err := named(args)
		if err != nil {
			return err
		}
		s, err := c.statement(statement)
		if err != nil {
			return err
		}
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
	t.end()
	err := t.raw(func(*connection) error { return t.begun.Commit() })
	if err != nil {
		rollback(t)
		return err
	}
	t.ended = true
	return t.leave()
}

// Rollback implements transaction. If it cannot be rolled back the connection is dropped, and SQLite does it.
func (t *ours) Rollback() error {
	if t.ended {
		return nil
	}
	t.ended = true
	t.end()
	var failed error
	dropped := t.raw(func(*connection) error {
		if failed = t.begun.Rollback(); failed != nil {
			return driver.ErrBadConn
		}
		return nil
	})
	if failed != nil {
		return errors.Join(failed, t.leave())
	}
	return errors.Join(dropped, t.leave())
}

// end lets rows that handlers left open be closed.
func (t *ours) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, end := range t.ends {
		end()
	}
	t.ends = nil
}

// leave gives the connection back. That waits until all rows are closed; only then can their statements be.
func (t *ours) leave() error {
	err := t.conn.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.prepared {
		err = errors.Join(err, s.Close())
	}
	t.prepared = nil
	return err
}

// ExecContext implements participant.Tx, for handlers.
func (t *ours) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.conn.ExecContext(ctx, query, args...)
}

// PrepareContext implements participant.Tx, for handlers. The statement lasts until the transaction ends.
func (t *ours) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	s, err := t.conn.PrepareContext(ctx, query) //nolint:sqlclosecheck // leave closes it
	if err == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.prepared = append(t.prepared, s)
	}
	return s, err
}

// QueryContext implements participant.Tx, for handlers. The rows last until the transaction ends.
func (t *ours) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.conn.QueryContext(t.lasting(ctx), query, args...)
}

// QueryRowContext implements participant.Tx, for handlers.
func (t *ours) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.conn.QueryRowContext(t.lasting(ctx), query, args...)
}

// lasting is a context that ends with the transaction.
func (t *ours) lasting(ctx context.Context) context.Context {
	ctx, end := context.WithCancel(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = append(t.ends, end)
	return ctx
}

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
