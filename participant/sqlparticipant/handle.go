package sqlparticipant

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// guarded hands a transaction to a handler without the means to end it. SQLite ends it by itself on some errors (an interrupted write, a full disk): what the handler
// wrote before is gone, and what it writes from then on would be committed at once, each statement by itself. So after every error it is looked whether the
// transaction is still there, and if it is not, nothing is written any more and the call fails, whatever the handler makes of it.
type guarded struct {
	p    *Participant
	tx   *sql.Tx
	lost *bool // the transaction is gone; nil where that cannot be
}

// errLost says that the transaction is gone.
var errLost = errors.New("the database rolled the transaction back on an error before; everything of this call is undone, and it comes again")

// guard lets run work in a transaction and watches over it. It fails if run does or if the transaction is gone, also after an error that run passed over, or met where nobody looked.
func (p *Participant) guard(tx *sql.Tx, run func(participant.Tx) error) error {
	g := guarded{p: p, tx: tx}
	if p.dialect == SQLite {
		if _, err := p.exec(context.Background(), tx, savepointGuard); err != nil {
			return err
		}
		g.lost = new(bool)
	}
	if err := run(g); err != nil {
		return err
	}
	return g.check(nil)
}

// check says whether the transaction is still there, after an error and in the end.
func (g guarded) check(err error) error {
	switch {
	case g.lost == nil:
		return err
	case *g.lost:
		return errors.Join(err, errLost)
	}
	if _, gone := g.p.exec(context.Background(), g.tx, releaseGuard); gone != nil {
		*g.lost = true
		return errors.Join(err, errLost)
	}
	if _, gone := g.p.exec(context.Background(), g.tx, savepointGuard); gone != nil {
		*g.lost = true
		return errors.Join(err, errLost)
	}
	return err
}

func (g guarded) gone() bool { return g.lost != nil && *g.lost }

func (g guarded) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if g.gone() {
		return nil, errLost
	}
	res, err := g.tx.ExecContext(ctx, query, args...)
	if err != nil {
		err = g.check(err)
	}
	return res, err
}

func (g guarded) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if g.gone() {
		return nil, errLost
	}
	return g.tx.PrepareContext(ctx, query)
}

func (g guarded) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if g.gone() {
		return nil, errLost
	}
	rows, err := g.tx.QueryContext(ctx, query, args...)
	if err != nil {
		err = g.check(err)
	}
	return rows, err
}

func (g guarded) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if g.gone() {
		ended, end := context.WithCancelCause(ctx)
		end(errLost)
		ctx = ended // its Scan returns an error
	}
	return g.tx.QueryRowContext(ctx, query, args...)
}

// panicked is a handler's panic.
type panicked struct{ value any }

func (p panicked) Error() string { return fmt.Sprintf("the handler panicked: %v", p.value) }

// handle runs a handler's function and checks its result. Panics become errors.
func (p *Participant) handle(ctx context.Context, b *barrier, run func(context.Context, participant.Tx) ([]byte, error)) ([]byte, error) {
	ctx = context.WithValue(ctx, barrierKey{}, b)
	var result []byte
	call := func(tx participant.Tx) (err error) {
		result, err = p.recovered(ctx, b.op, b.call, func() ([]byte, error) { return run(ctx, tx) })
		return err
	}
	var err error
	switch {
	case b.op.stores():
		err = p.guard(b.tx, call)
	case p.dialect == SQLite:
		err = call(reading{b.tx})
	default:
		err = call(b.tx)
	}
	if err != nil {
		return nil, err
	}
	result = orNull(result)
	if len(result) > participant.MaxPayload {
		return nil, fmt.Errorf("the handler's result has %d bytes and %d are allowed: return a reference to where the data is", len(result), participant.MaxPayload)
	}
	if !json.Valid(result) {
		return nil, errors.New("the handler's result is not JSON")
	}
	return result, nil
}

// recovered runs a handler's function and makes an error of its panic.
func (p *Participant) recovered(ctx context.Context, op *operation, c participant.Call, run func() ([]byte, error)) (result []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked{v}
			p.log.ErrorContext(ctx, "a handler panicked", "saga", c.Saga, "step", c.Step, "operation", op.name,
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	return run()
}

// refusalOf returns the refusal in an error, ready to be stored.
func refusalOf(err error) (participant.Refusal, bool) {
	var r *participant.Refusal
	if !errors.As(err, &r) || r == nil {
		return participant.Refusal{}, false
	}
	return participant.Refusal{Reason: r.Reason, Detail: trim(r.Detail)}, true
}

// trim cuts words to the length that a journal keeps, and makes them text that every database takes.
func trim(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= journal.MaxDetail {
		return s
	}
	cut := journal.MaxDetail - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func null() []byte { return []byte("null") }

func orNull(data []byte) []byte {
	if len(data) == 0 {
		return null()
	}
	return data
}

func isNull(data []byte) bool { return len(data) == 0 || string(bytes.TrimSpace(data)) == "null" }

// sameJSON compares payloads without regard to space between tokens, which encoders differ in.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
