package sqlparticipant

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// ledger reads and writes what a desk holds, in a transaction.
type ledger struct {
	p   *Participant
	tx  transaction
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
		if _, err := l.tx.run(ctx, turn, l.p.name, string(saga)); err != nil {
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
	return l.tx.run(ctx, statement, l.p.name, string(saga), t.Step, string(t.Direction()), string(t.Kind), t.Payload, string(said), l.now.UnixMicro())
}

// read reads all that is known of a saga.
func (l *ledger) read(ctx context.Context, saga journal.SagaID) (known participant.Ledger, err error) {
	waits := false
	err = l.tx.each(ctx, func(columns []any) error {
		waits = number(columns[tokenColumns]) == 1
		t, heard, err := tokenOf(columns, l.new)
		if heard {
			known.Heard = append(known.Heard, t)
		} else {
			known.Told = append(known.Told, t)
		}
		return err
	}, l.p.sql.tokens, l.p.name, string(saga), l.p.name, string(saga))
	if err != nil {
		return known, fmt.Errorf("reading tokens: %w", err)
	}
	if !waits {
		return known, nil
	}
	err = l.tx.each(ctx, func(columns []any) error {
		known.Waiting = append(known.Waiting, waitingOf(columns))
		return nil
	}, l.p.sql.waiting, l.p.name, string(saga))
	if err != nil {
		return known, fmt.Errorf("reading waiting calls: %w", err)
	}
	return known, nil
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
		_, err := l.tx.run(ctx, l.p.sql.wait, l.p.name, string(saga), w.Step, string(w.Phase), int64(w.Attempt), w.Since.UnixMicro(),
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
	if _, err := l.tx.run(ctx, l.p.sql.waited, l.p.name, string(saga), step); err != nil {
		return fmt.Errorf("forgetting what step %s waited for: %w", step, err)
	}
	return nil
}

// tokenColumns is how many columns a token has.
const tokenColumns = 6

// tokenOf makes a token of its columns, and says whether it was heard. What stands in known is taken from there.
func tokenOf(columns []any, known []participant.Token) (t participant.Token, heard bool, err error) {
	step, kind := text(columns[1]), participant.TokenKind(text(columns[3]))
	heard = number(columns[2]) == 1
	same := func(k participant.Token) bool { return k.Step == step && k.Kind == kind }
	if i := slices.IndexFunc(known, same); i >= 0 {
		return known[i], heard, nil
	}
	var m meta
	if err := json.Unmarshal(blob(columns[5]), &m); err != nil {
		return t, heard, fmt.Errorf("the token of saga %s, step %s: %w", text(columns[0]), step, err)
	}
	return participant.Token{
		Saga: journal.SagaID(text(columns[0])), Step: step, Kind: kind, Payload: blob(columns[4]),
		ID: m.ID, Definition: m.Definition, Version: m.Version, Reason: m.Reason, Detail: m.Detail, By: m.By, Verb: m.Verb,
		Source: m.Source, Attempts: m.Attempts, Time: m.Time, Cause: m.Cause, Trace: m.Trace, Key: m.Key, Deadline: m.Deadline,
	}, heard, nil
}

// waitingOf makes a waiting call of its columns.
func waitingOf(columns []any) participant.Waiting {
	at := func(i int) time.Time { return time.UnixMicro(number(columns[i])).UTC() }
	return participant.Waiting{
		Saga: journal.SagaID(text(columns[0])), Step: text(columns[1]), Phase: participant.Phase(text(columns[2])), Attempt: uint32(number(columns[3])), //nolint:gosec // it was written as one
		Since: at(4), At: at(5), Reason: text(columns[6]), Detail: text(columns[7]), Input: blob(columns[8]), Refused: number(columns[9]) == 1, Aside: number(columns[10]) == 1,
		Round: uint32(number(columns[11])), FirstReason: text(columns[12]), FirstDetail: text(columns[13]), //nolint:gosec // as above
	}
}

// Untold implements participant.Desk. What was settled is written first.
func (p *Participant) Untold(ctx context.Context, before time.Time, limit int) (all []participant.Token, err error) {
	if err := p.settleNow(ctx); err != nil {
		return nil, fmt.Errorf("sqlparticipant: %w", err)
	}
	rows, err := p.db.QueryContext(ctx, p.sql.untold, p.name, before.UnixMicro(), limit)
	if err == nil {
		err = eachOf(rows, func(columns []any) error {
			t, _, err := tokenOf(columns, nil)
			all = append(all, t)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("sqlparticipant: reading tokens: %w", err)
	}
	return all, nil
}

// Due implements participant.Desk.
func (p *Participant) Due(ctx context.Context, limit int) (all []participant.Waiting, err error) {
	rows, err := p.db.QueryContext(ctx, p.sql.due, p.name, limit)
	if err == nil {
		err = eachOf(rows, func(columns []any) error {
			all = append(all, waitingOf(columns))
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("sqlparticipant: reading waiting calls: %w", err)
	}
	return all, nil
}
