package sqlitestore

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
)

// prepared is a connection that keeps its statements. One goroutine at a time may use it.
type prepared struct {
	conn  *conn
	stmts map[string]*stmt // by their SQL
}

func prepare(c *conn) *prepared { return &prepared{c, map[string]*stmt{}} }

func (p *prepared) close() error {
	var errs []error
	for _, s := range p.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, p.conn.Close())...)
}

// stmt is a prepared statement with room for its arguments.
type stmt struct {
	driver.Stmt
	args []driver.NamedValue
}

func (p *prepared) stmt(sql string) (*stmt, error) {
	if s := p.stmts[sql]; s != nil {
		return s, nil
	}
	prepared, err := p.conn.Prepare(sql)
	if err != nil {
		return nil, err
	}
	s := &stmt{Stmt: prepared, args: make([]driver.NamedValue, strings.Count(sql, "?"))}
	for i := range s.args {
		s.args[i].Ordinal = i + 1
	}
	p.stmts[sql] = s
	return s, nil
}

// exec runs a statement that is kept prepared. It takes no context: once begun, a transaction is not interrupted.
func (p *prepared) exec(sql string, args ...driver.Value) error {
	s, err := p.stmt(sql)
	if err != nil {
		return err
	}
	for i, v := range args {
		s.args[i].Value = v
	}
	_, err = s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), s.args)
	for i := range s.args {
		s.args[i].Value = nil // it is the caller's: keep none
	}
	return err
}

// query hands the rows to yield one after another; a row is valid until yield returns.
func (p *prepared) query(sql string, yield func([]driver.Value), args ...driver.Value) error {
	s, err := p.stmt(sql)
	if err != nil {
		return readError(err)
	}
	for i, v := range args {
		s.args[i].Value = v
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), s.args)
	if err != nil {
		return readError(err)
	}
	defer rows.Close()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return readError(err)
		}
		yield(row)
	}
}

func text(v driver.Value) string {
	s, _ := v.(string) // the tables are STRICT: a text column holds text
	return s
}

func number(v driver.Value) int64 {
	n, _ := v.(int64) // the tables are STRICT: an integer column holds integers
	return n
}
