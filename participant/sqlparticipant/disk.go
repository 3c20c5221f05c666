package sqlparticipant

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	lib "modernc.org/sqlite/lib"
)

// Failed is closed when the disk under a database of OpenSQLite could not sync what was committed. Every transaction and Exec that begins then gets an error (what was prepared outside a transaction does not), and closing the database leaves its files
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
	return &connection{fullConn: full, disk: c.disk, statements: make(map[string]statement)}, nil
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
}

// connection is a connection whose commits are watched, and that keeps statements of this package prepared.
type connection struct {
	fullConn
	disk       *disk
	statements map[string]statement // by text
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
	made, err := c.PrepareContext(context.Background(), text)
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
	tx, err := c.fullConn.BeginTx(ctx, opts)
	if err != nil {
		return nil, c.disk.look(err)
	}
	return watchedTx{tx, c.disk}, nil
}

// ExecContext implements driver.ExecerContext.
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.disk.alive(); err != nil {
		return nil, err
	}
	r, err := c.fullConn.ExecContext(ctx, query, args)
	return r, c.disk.look(err)
}

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
type watchedTx struct {
	driver.Tx
	disk *disk
}

// Commit implements driver.Tx.
func (t watchedTx) Commit() error {
	if err := t.disk.alive(); err != nil { // another connection's sync failed meanwhile
		return errors.Join(err, t.Rollback())
	}
	return t.disk.look(t.Tx.Commit())
}
