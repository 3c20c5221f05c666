package sqlparticipant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// ledger reads and writes what a desk holds, in a transaction.
type ledger struct {
	p   *Participant
	tx  *sql.Tx
	now time.Time
	new []participant.Token // written in this transaction: they need not be read
}

// meta is what is kept of a token beside its key, kind and payload. Its fields are durable.
type meta struct {
	ID         string       `json:"id"`
	Definition string       `json:"definition"`
	Version    string       `json:"version"`
	Reason     string       `json:"reason,omitempty"`
	Detail     string       `json:"detail,omitempty"`
	By         string       `json:"by,omitempty"`
	Verb       journal.Verb `json:"verb,omitempty"`
	Source     string       `json:"source"`
	Attempts   uint32       `json:"attempts,omitempty"`
	Time       time.Time    `json:"time"`
	Cause      string       `json:"cause,omitempty"`
	Trace      string       `json:"trace,omitempty"`
	Key        string       `json:"key,omitempty"`
	Deadline   time.Time    `json:"deadline,omitzero"`
}

// hear writes tokens that were heard and says whether any of them was new. Others that take for the saga wait from then on.
func (l *ledger) hear(ctx context.Context, saga journal.SagaID, heard []participant.Token) (wrote bool, err error) {
	if turn := l.p.sql.turn; turn != "" {
		if _, err := l.p.exec(ctx, l.tx, turn, l.p.name, string(saga)); err != nil {
			return false, fmt.Errorf("waiting for the saga's turn: %w", err)
		}
	}
	for i := range heard {
		n, err := l.token(ctx, l.p.sql.hear, saga, &heard[i])
		if err != nil {
			return wrote, fmt.Errorf("token %s: %w", heard[i].ID, err)
		}
		if n > 0 {
			wrote = true
			l.new = append(l.new, heard[i])
		}
	}
	return wrote, nil
}

func (l *ledger) token(ctx context.Context, statement string, saga journal.SagaID, t *participant.Token) (int64, error) {
	if !t.Kind.Valid() || t.Step == "" || t.Saga != saga {
		return 0, fmt.Errorf("it is no token of saga %s: step %q, kind %q", saga, t.Step, t.Kind)
	}
	said, err := json.Marshal(meta{
		ID: t.ID, Definition: t.Definition, Version: t.Version, Reason: t.Reason, Detail: trim(t.Detail), By: t.By, Verb: t.Verb, Source: t.Source, Attempts: t.Attempts,
		Time: t.Time, Cause: t.Cause, Trace: t.Trace, Key: t.Key, Deadline: t.Deadline,
	})
	if err != nil {
		return 0, err
	}
	res, err := l.p.exec(ctx, l.tx, statement, l.p.name, string(saga), t.Step, string(t.Direction()), string(t.Kind), t.Payload, string(said), l.now.UnixMicro())
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// read reads all that is known of a saga.
func (l *ledger) read(ctx context.Context, saga journal.SagaID) (known participant.Ledger, err error) {
	err = tokens(ctx, l.query, l.new, func(t participant.Token, heard bool) {
		if heard {
			known.Heard = append(known.Heard, t)
		} else {
			known.Told = append(known.Told, t)
		}
	}, l.p.sql.tokens, l.p.name, string(saga))
	if err != nil {
		return known, err
	}
	known.Waiting, err = waiting(ctx, l.query, l.p.sql.waiting, l.p.name, string(saga))
	return known, err
}

// write writes what came of a piece of work that was found in what is known.
func (l *ledger) write(ctx context.Context, saga journal.SagaID, known *participant.Ledger, e *participant.Entry) error {
	for i := range e.Tell {
		t := &e.Tell[i]
		if _, err := l.token(ctx, l.p.sql.tell, saga, t); err != nil {
			return fmt.Errorf("token %s: %w", t.ID, err)
		}
		waits := func(w participant.Waiting) bool { return w.Step == t.Step }
		if !slices.ContainsFunc(known.Waiting, waits) {
			continue
		}
		if err := l.forget(ctx, saga, t.Step); err != nil {
			return err
		}
	}
	if e.Forget != "" {
		if err := l.forget(ctx, saga, e.Forget); err != nil {
			return err
		}
	}
	if w := e.Wait; w != nil {
		_, err := l.p.exec(ctx, l.tx, l.p.sql.wait, l.p.name, string(saga), w.Step, string(w.Phase), int64(w.Attempt), w.Since.UnixMicro(),
			w.At.UnixMicro(), w.Reason, trim(w.Detail), w.Input, flag(w.Refused), flag(w.Aside), int64(w.Round), w.FirstReason, trim(w.FirstDetail))
		if err != nil {
			return fmt.Errorf("planning the next attempt of step %s: %w", w.Step, err)
		}
	}
	return nil
}

func flag(set bool) int {
	if set {
		return 1
	}
	return 0
}

// forget forgets a step's waiting call.
func (l *ledger) forget(ctx context.Context, saga journal.SagaID, step string) error {
	if _, err := l.p.exec(ctx, l.tx, l.p.sql.waited, l.p.name, string(saga), step); err != nil {
		return fmt.Errorf("forgetting what step %s waited for: %w", step, err)
	}
	return nil
}

// querier runs a statement of this package, on the database or in a transaction.
type querier func(ctx context.Context, statement string, args ...any) (*sql.Rows, error)

func (l *ledger) query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	return l.p.query(ctx, l.tx, statement, args...)
}

// tokens reads what a statement selects, in its order. What stands in known is taken from there.
func tokens(ctx context.Context, query querier, known []participant.Token, yield func(t participant.Token, heard bool), statement string, args ...any) (err error) {
	rows, err := query(ctx, statement, args...)
	if err != nil {
		return fmt.Errorf("reading tokens: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var t participant.Token
		var saga, kind, said string
		var heard int
		if err := rows.Scan(&saga, &t.Step, &heard, &kind, &t.Payload, &said); err != nil {
			return fmt.Errorf("reading tokens: %w", err)
		}
		same := func(k participant.Token) bool { return k.Step == t.Step && string(k.Kind) == kind }
		if i := slices.IndexFunc(known, same); i >= 0 {
			yield(known[i], heard == 1)
			continue
		}
		var m meta
		if err := json.Unmarshal([]byte(said), &m); err != nil {
			return fmt.Errorf("reading the token of saga %s, step %s: %w", saga, t.Step, err)
		}
		t.Saga, t.Kind = journal.SagaID(saga), participant.TokenKind(kind)
		t.ID, t.Definition, t.Version, t.Reason, t.Detail, t.By = m.ID, m.Definition, m.Version, m.Reason, m.Detail, m.By
		t.Verb = m.Verb
		t.Source, t.Attempts, t.Time, t.Cause, t.Trace, t.Key, t.Deadline = m.Source, m.Attempts, m.Time, m.Cause, m.Trace, m.Key, m.Deadline
		yield(t, heard == 1)
	}
	return rows.Err()
}

func waiting(ctx context.Context, query querier, statement string, args ...any) (all []participant.Waiting, err error) {
	rows, err := query(ctx, statement, args...)
	if err != nil {
		return nil, fmt.Errorf("reading waiting calls: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var w participant.Waiting
		var saga, phase string
		var since, due int64
		var refused, aside int
		if err := rows.Scan(&saga, &w.Step, &phase, &w.Attempt, &since, &due, &w.Reason, &w.Detail, &w.Input, &refused, &aside, &w.Round, &w.FirstReason, &w.FirstDetail); err != nil {
			return nil, fmt.Errorf("reading waiting calls: %w", err)
		}
		w.Saga, w.Phase, w.Refused, w.Aside = journal.SagaID(saga), participant.Phase(phase), refused == 1, aside == 1
		w.Since, w.At = time.UnixMicro(since).UTC(), time.UnixMicro(due).UTC()
		all = append(all, w)
	}
	return all, rows.Err()
}

// Untold implements participant.Desk. What was settled is written first.
func (p *Participant) Untold(ctx context.Context, before time.Time, limit int) (all []participant.Token, err error) {
	if err := p.settleNow(ctx); err != nil {
		return nil, fmt.Errorf("sqlparticipant: %w", err)
	}
	err = tokens(ctx, p.db.QueryContext, nil, func(t participant.Token, _ bool) { all = append(all, t) }, p.sql.untold, p.name, before.UnixMicro(), limit)
	if err != nil {
		return nil, fmt.Errorf("sqlparticipant: %w", err)
	}
	return all, nil
}

// Due implements participant.Desk.
func (p *Participant) Due(ctx context.Context, limit int) ([]participant.Waiting, error) {
	all, err := waiting(ctx, p.db.QueryContext, p.sql.due, p.name, limit)
	if err != nil {
		return nil, fmt.Errorf("sqlparticipant: %w", err)
	}
	return all, nil
}
