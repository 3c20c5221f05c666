package sqlparticipant

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Failed is closed when the disk under a database of OpenSQLite could not sync what was committed: by a transaction, or by a statement outside of one, however it was made. Every transaction and Exec that begins then gets an error, queries can read only, and closing the database leaves its files
// as they are. The process should end: the next one that opens the file goes on from what is durable. For a database that was opened otherwise it is nil, and never ready.
func Failed(db *sql.DB) <-chan struct{} {
	if d, ok := db.Driver().(*disk); ok {
		return d.failed
	}
	return nil
}

// disk makes a database's connections, and watches over its syncs. After one that failed, an operating system may have dropped what it could not write, and say of the next sync that all is well; so
// there must be no next one.
type disk struct {
	driver.Driver // for Failed to find it
	connector     driver.Connector
	path          string

	mu     sync.Mutex
	err    error
	failed chan struct{}
}

func newDisk(path string, c driver.Connector) *disk {
	return &disk{Driver: c.Driver(), connector: c, path: path, failed: make(chan struct{})}
}

// connector is a disk as database/sql wants it.
type connector struct{ *disk }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	made, err := c.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := made.(fullConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("sqlparticipant: the driver's connections are %T, which cannot do all that is needed", made), made.Close())
	}
	watched := &connection{fullConn: full, disk: c.disk, statements: make(map[string]statement)}
	full.RegisterRollbackHook(func() { watched.lost = watched.open })
	return watched, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.disk }

// alive is the error of a disk that failed, or nil.
func (d *disk) alive() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// look notes whether an error says that a sync failed, and passes it on.
func (d *disk) look(err error) error {
	var coded interface{ Code() int }
	if err == nil || !errors.As(err, &coded) || coded.Code() != lib.SQLITE_IOERR_FSYNC && coded.Code() != lib.SQLITE_IOERR_DIR_FSYNC {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = fmt.Errorf("sqlparticipant: syncing %s failed: %w; nothing more is written until a new process opens it", d.path, err)
		close(d.failed)
	}
	return d.err
}

// fullConn is what database/sql makes use of.
type fullConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	RegisterRollbackHook(told sqlite.RollbackHookFn) // is told of every rollback of a transaction as a whole, whoever asked for it
}

// connection is a connection whose commits are watched, and that keeps statements of this package prepared. What goes through database/sql is watched, whichever way it takes: once the disk has failed nothing is written, and once SQLite has
// rolled a transaction back by itself nothing is done any more in its name, which would be committed at once, each statement by itself.
type connection struct {
	fullConn
	disk       *disk
	statements map[string]statement // by text
	open       bool                 // a transaction was begun and has not been ended by whoever began it
	lost       bool                 // and SQLite has ended it
}

// writable says why nothing can be written now.
func (c *connection) writable() error {
	if c.open && c.lost {
		return errLost
	}
	return c.disk.alive()
}

// readable says why nothing can be read now, and makes sure that nothing is written by what returns rows if nothing may be.
func (c *connection) readable(ctx context.Context) error {
	if c.open && c.lost {
		return errLost
	}
	select {
	case <-c.disk.failed:
		_, err := c.fullConn.ExecContext(ctx, `PRAGMA query_only = ON`, nil)
		return err
	default:
		return nil
	}
}

// statement is a prepared one.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// statement prepares a statement that is run often, once.
func (c *connection) statement(text string) (statement, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	made, err := c.fullConn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, fmt.Errorf("preparing %q: %w", text, err)
	}
	s, ok := made.(statement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("sqlparticipant: the driver's statements are %T, which cannot do all that is needed", made), made.Close())
	}
	c.statements[text] = s
	return s, nil
}

// BeginTx implements driver.ConnBeginTx.
func (c *connection) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.disk.alive(); err != nil {
		return nil, err
	}
	begin := `BEGIN IMMEDIATE`
	if opts.ReadOnly {
		begin = `BEGIN`
	}
	if err := c.run(ctx, begin); err != nil {
		if !c.open {
			_ = c.run(context.Background(), `ROLLBACK`) // the context may have ended when it had begun already
		}
		return nil, c.disk.look(err)
	}
	c.open, c.lost = true, false
	return watchedTx{c}, nil
}

// run runs a statement that begins or ends a transaction. The driver's own way prepares it anew each time.
func (c *connection) run(ctx context.Context, text string) error {
	s, err := c.statement(text)
	if err == nil {
		_, err = s.ExecContext(ctx, nil)
	}
	return err
}

// ExecContext implements driver.ExecerContext.
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.writable(); err != nil {
		return nil, err
	}
	r, err := c.fullConn.ExecContext(ctx, query, args)
	return r, c.disk.look(err)
}

// QueryContext implements driver.QueryerContext.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.readable(ctx); err != nil {
		return nil, err
	}
	return c.watched(c.fullConn.QueryContext(ctx, query, args))
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *connection) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	made, err := c.fullConn.PrepareContext(ctx, query)
	if s, ok := made.(statement); ok && err == nil {
		return watchedStatement{s, c}, nil
	}
	return made, err
}

// watched are rows of which it is noticed that a sync failed. Those of a transaction are as they are: it syncs when it commits.
func (c *connection) watched(rows driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, c.disk.look(err)
	}
	if full, ok := rows.(fullRows); ok && !c.open {
		return watchedRows{full, c.disk}, nil
	}
	return rows, nil
}

// watchedStatement is a statement that somebody else than this package has prepared.
type watchedStatement struct {
	statement
	conn *connection
}

// ExecContext implements driver.StmtExecContext.
func (s watchedStatement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.conn.writable(); err != nil {
		return nil, err
	}
	r, err := s.statement.ExecContext(ctx, args)
	return r, s.conn.disk.look(err)
}

// QueryContext implements driver.StmtQueryContext.
func (s watchedStatement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.conn.readable(ctx); err != nil {
		return nil, err
	}
	return s.conn.watched(s.statement.QueryContext(ctx, args))
}

// fullRows is what database/sql makes use of.
type fullRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// watchedRows are rows of a statement that commits by itself.
type watchedRows struct {
	fullRows
	disk *disk
}

// Next implements driver.Rows.
func (r watchedRows) Next(into []driver.Value) error { return r.disk.look(r.fullRows.Next(into)) }

// Close implements driver.Rows.
func (r watchedRows) Close() error { return r.disk.look(r.fullRows.Close()) }

// Close implements driver.Conn. When the disk has failed the connection is left open until the process ends: closing the last one folds the log into the file, and syncs both.
func (c *connection) Close() error {
	select {
	case <-c.disk.failed:
		return nil
	default:
		var all error
		for _, s := range c.statements {
			all = errors.Join(all, s.Close())
		}
		return errors.Join(all, c.fullConn.Close())
	}
}

// watchedTx is a transaction whose commit is watched.
type watchedTx struct{ conn *connection }

// Commit implements driver.Tx. A transaction that could not be committed is rolled back, so that the connection is free.
func (t watchedTx) Commit() error {
	if err := t.conn.disk.alive(); err != nil { // another connection's sync failed meanwhile
		return errors.Join(err, t.Rollback())
	}
	err := t.conn.run(context.Background(), `COMMIT`)
	if err != nil && !t.conn.lost {
		_ = t.conn.run(context.Background(), `ROLLBACK`) // it says that there is nothing to roll back, or the connection is dropped
	}
	t.conn.open = false
	return t.conn.disk.look(err)
}

// Rollback implements driver.Tx.
func (t watchedTx) Rollback() error {
	err := t.conn.run(context.Background(), `ROLLBACK`)
	t.conn.open = false
	return err
}
