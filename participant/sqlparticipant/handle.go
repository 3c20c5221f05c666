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
	"sync"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// guarded hands a transaction to a handler without the means to end it, and can undo what the handler did. A savepoint for that is set when the handler first needs the database.
//
// SQLite ends a transaction by itself on some errors (an interrupted write, a full disk): what the handler wrote before is gone, and what it writes from then on would be committed at once, each statement by
// itself. So after every error, and after rows whose errors only the handler sees, it is looked whether the transaction is still there, and if it is not, nothing is written any more and the call fails, whatever the handler makes of
// it. In the end the savepoint shows it. Statements that a handler prepared are not seen here: on a connection of OpenSQLite each is refused once the transaction is gone (see connection), on another driver's that is found out in the end only,
// when what they wrote meanwhile is committed. Goroutines of a handler may share it.
type guarded struct {
	tx      transaction
	dialect Dialect

	mu      sync.Mutex
	touched bool // the savepoint is set
	unseen  bool // there may have been an error that nobody looked at
	lost    bool // the transaction is gone
}

// errLost says that the transaction is gone.
var errLost = errors.New("the database rolled the transaction back on an error before; everything of this call is undone, and it comes again")

func (p *Participant) guard(tx transaction) *guarded { return &guarded{tx: tx, dialect: p.dialect} }

// do lets run work in the transaction. It fails if run does or if the transaction is gone, also after an error that run passed over.
func (g *guarded) do(ctx context.Context, run func(participant.Tx) error) error {
	if err := run(g); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost || !g.touched {
		return g.aliveLocked()
	}
	_, err := g.tx.run(ctx, releaseHandler)
	switch {
	case err == nil:
		return nil
	case passing(err):
		return fmt.Errorf("the handler left rows of a statement open that writes; close them: %s", err.Error())
	}
	return errors.Join(errLost, err)
}

// touch comes before everything that a handler does in the transaction. Unseen is what may fail without anybody looking.
func (g *guarded) touch(ctx context.Context, unseen bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unseen && !g.lost {
		g.unseen = false
		if err := g.checkLocked(nil); err != nil {
			return err
		}
	}
	if err := g.aliveLocked(); err != nil {
		return err
	}
	if !g.touched {
		if _, err := g.tx.run(ctx, savepointHandler); err != nil {
			return err
		}
		g.touched = true
	}
	g.unseen = g.unseen || unseen
	return nil
}

func (g *guarded) aliveLocked() error {
	if g.lost {
		return errLost
	}
	return nil
}

// undo undoes what the handler did.
func (g *guarded) undo(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost || !g.touched {
		return g.aliveLocked()
	}
	_, err := g.tx.run(ctx, rollbackHandler)
	return err
}

// check says whether the transaction is still there after an error.
func (g *guarded) check(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.checkLocked(err)
}

// checkLocked tries to begin another transaction, which cannot be while there is one.
func (g *guarded) checkLocked(err error) error {
	if g.dialect != SQLite || g.lost {
		return errors.Join(err, g.aliveLocked())
	}
	ctx := context.Background()
	_, begun := g.tx.ExecContext(ctx, `BEGIN`)
	if begun != nil && strings.Contains(begun.Error(), "within a transaction") {
		return err
	}
	g.lost = true
	if begun == nil {
		if _, ended := g.tx.ExecContext(ctx, `ROLLBACK`); ended != nil {
			err = errors.Join(err, ended)
		}
	}
	return errors.Join(err, errLost)
}

func (g *guarded) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := g.touch(ctx, false); err != nil {
		return nil, err
	}
	res, err := g.tx.ExecContext(ctx, query, args...)
	if err != nil {
		err = g.check(err)
	}
	return res, err
}

func (g *guarded) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if err := g.touch(ctx, true); err != nil {
		return nil, err
	}
	return g.tx.PrepareContext(ctx, query)
}

func (g *guarded) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := g.touch(ctx, true); err != nil {
		return nil, err
	}
	rows, err := g.tx.QueryContext(ctx, query, args...)
	if err != nil {
		err = g.check(err)
	}
	return rows, err
}

// ended is a context that has ended: a row that is asked for with it returns an error when it is read.
func ended(ctx context.Context, why error) context.Context {
	ctx, end := context.WithCancelCause(ctx)
	end(why)
	return ctx
}

func (g *guarded) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := g.touch(ctx, true); err != nil {
		ctx = ended(ctx, err)
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
		b.guard = p.guard(b.tx)
		err = b.guard.do(ctx, call)
	case p.dialect == SQLite:
		r := &reading{Tx: b.tx}
		if err = call(r); r.tried {
			err = errWrites // also if the handler passed over it, or met another error in its place
		}
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
	if journal.TooDeep(result) {
		return nil, fmt.Errorf("the handler's result is nested deeper than the %d levels that are allowed", journal.MaxDepth)
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
	return journal.Beginning(s, journal.MaxDetail-len("…")) + "…"
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
