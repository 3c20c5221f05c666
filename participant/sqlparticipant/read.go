package sqlparticipant

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// reading hands a transaction to a handler without the means to write, or to end it: what queries change is counted, and what no count shows they cannot be.
type reading struct {
	participant.Tx
	tried bool // to do something else
}

// only returns the error of a statement that does not read.
func (r *reading) only(query string) error {
	if reads(query) {
		return nil
	}
	r.tried = true
	return errWrites
}

// ExecContext implements participant.Tx.
func (r *reading) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	r.tried = true
	return nil, errWrites
}

// PrepareContext implements participant.Tx.
func (r *reading) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := r.only(query); err != nil {
		return nil, err
	}
	return r.Tx.PrepareContext(ctx, query)
}

// QueryContext implements participant.Tx.
func (r *reading) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := r.only(query); err != nil {
		return nil, err
	}
	return r.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements participant.Tx.
func (r *reading) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := r.only(query); err != nil {
		ctx = ended(ctx, err)
	}
	return r.Tx.QueryRowContext(ctx, query, args...)
}

// reads says whether a text is one statement, and begins as those do that read, or that change rows, which are counted.
func reads(query string) bool {
	first, more := statementIn(query)
	return !more && slices.ContainsFunc([]string{"SELECT", "WITH", "VALUES", "EXPLAIN"}, func(word string) bool {
		return len(first) >= len(word) && strings.EqualFold(first[:len(word)], word)
	})
}

// statementIn finds a text's first statement, without what stands before it, and says whether anything follows it. It knows comments and quotes.
func statementIn(query string) (first string, more bool) {
	begin, ended := -1, false
	for i := 0; i < len(query); {
		rest := query[i:]
		switch {
		case strings.HasPrefix(rest, "--"):
			i += through(rest, 2, "\n")
		case strings.HasPrefix(rest, "/*"):
			i += through(rest, 2, "*/")
		case strings.ContainsRune(" \t\r\n\f", rune(rest[0])):
			i++
		case rest[0] == ';':
			ended = ended || begin >= 0
			i++
		case ended:
			return query[begin:], true
		default:
			if begin < 0 {
				begin = i
			}
			switch rest[0] {
			case '\'', '"', '`':
				i += through(rest, 1, rest[:1])
			case '[':
				i += through(rest, 1, "]")
			default:
				i++
			}
		}
	}
	return query[max(begin, 0):], false
}

// through is how much of a text it takes to the end of a mark that stands behind its first bytes; all of it if there is none.
func through(text string, first int, mark string) int {
	if n := strings.Index(text[first:], mark); n >= 0 {
		return first + n + len(mark)
	}
	return len(text)
}
