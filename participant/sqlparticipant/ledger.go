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

// entry is a token as the desk has it.
type entry struct {
	*participant.Token
	heard bool // it is known to be decided; otherwise it is to be told
}

// read reads all that is known of a saga, together with what was heard just now, and says which of that is new. Others that take for the saga wait from then on, so that it is new until write writes it.
func (l *ledger) read(ctx context.Context, saga journal.SagaID, heard []participant.Token) (known participant.Ledger, fresh []entry, err error) {
	if turn := l.p.sql.turn; turn != "" {
		if _, err := l.tx.run(ctx, turn, l.p.name, string(saga)); err != nil {
			return known, nil, fmt.Errorf("waiting for the saga's turn: %w", err)
		}
	}
	all := make([]entry, 0, len(heard)+1)
	waits := false
	err = l.tx.each(ctx, func(columns []any) error {
		waits = number(columns[tokenColumns]) == 1
		t, heard, err := tokenOf(columns)
		all = append(all, entry{&t, heard})
		return err
	}, l.p.sql.tokens, l.p.name, string(saga), l.p.name, string(saga))
	if err != nil {
		return known, nil, fmt.Errorf("reading tokens: %w", err)
	}
	for i := range heard {
		if err := check(&heard[i], saga); err != nil {
			return known, nil, err
		}
		var isNew bool
		if all, isNew = join(all, &heard[i]); isNew {
			fresh = append(fresh, entry{&heard[i], true})
		}
	}
	known.Heard = make([]participant.Token, 0, len(all)+1) // with room for what follows from them
	for _, e := range all {
		if e.heard {
			known.Heard = append(known.Heard, *e.Token)
		} else {
			known.Told = append(known.Told, *e.Token)
		}
	}
	if waits {
		known.Waiting, err = l.waiting(ctx, saga)
	}
	return known, fresh, err
}

// join adds a token that was heard to those there are, in the place of the one that was to be told if there is one, and says whether it is new.
func join(all []entry, t *participant.Token) ([]entry, bool) {
	i := slices.IndexFunc(all, func(e entry) bool { return e.Step == t.Step && e.Direction() == t.Direction() })
	switch {
	case i < 0:
		return append(all, entry{t, true}), true
	case all[i].heard:
		return all, false
	}
	all[i] = entry{t, true}
	return all, true
}

func (l *ledger) waiting(ctx context.Context, saga journal.SagaID) (all []participant.Waiting, err error) {
	err = l.tx.each(ctx, func(columns []any) error {
		all = append(all, waitingOf(columns))
		return nil
	}, l.p.sql.waiting, l.p.name, string(saga))
	if err != nil {
		return nil, fmt.Errorf("reading waiting calls: %w", err)
	}
	return all, nil
}

// check says what keeps a token from being one of a saga.
func check(t *participant.Token, saga journal.SagaID) error {
	if !t.Kind.Valid() || t.Step == "" || t.Saga != saga {
		return fmt.Errorf("token %s: it is no token of saga %s: step %q, kind %q", t.ID, saga, t.Step, t.Kind)
	}
	return nil
}

// tokens writes tokens that were heard and are new, and those that are to be told, unless there are any in their places. One statement writes several of them.
func (l *ledger) tokens(ctx context.Context, saga journal.SagaID, fresh []entry, tell []participant.Token) error {
	all := fresh
	for i := range tell {
		if err := check(&tell[i], saga); err != nil {
			return err
		}
		all = append(all, entry{&tell[i], false})
	}
	at := l.now.UnixMicro()
	for some := range slices.Chunk(all, insertMost) {
		args := make([]any, 0, 9*len(some))
		for _, t := range some {
			said, err := metaOf(t.Token)
			if err != nil {
				return fmt.Errorf("token %s: %w", t.ID, err)
			}
			args = append(args, l.p.name, string(saga), t.Step, string(t.Direction()), flag(t.heard), string(t.Kind), t.Payload, said, at)
			at++ // they are read in this order
		}
		if _, err := l.tx.run(ctx, l.p.sql.insert[len(some)-1], args...); err != nil {
			return fmt.Errorf("writing token %s: %w", some[0].ID, err)
		}
	}
	return nil
}

// metaOf is what is kept of a token beside its key, kind and payload.
func metaOf(t *participant.Token) (string, error) {
	said, err := json.Marshal(meta{
		ID: t.ID, Definition: t.Definition, Version: t.Version, Reason: t.Reason, Detail: trim(t.Detail), By: t.By, Verb: t.Verb, Source: t.Source, Attempts: t.Attempts,
		Time: t.Time, Cause: t.Cause, Trace: t.Trace, Key: t.Key, Deadline: t.Deadline,
	})
	return string(said), err
}

// write writes what was heard and is new, and what came of a piece of work that was found in what is known.
func (l *ledger) write(ctx context.Context, saga journal.SagaID, known *participant.Ledger, fresh []entry, e *participant.Entry) error {
	if err := l.tokens(ctx, saga, fresh, e.Tell); err != nil {
		return err
	}
	for i := range e.Tell {
		waits := func(w participant.Waiting) bool { return w.Step == e.Tell[i].Step }
		if !slices.ContainsFunc(known.Waiting, waits) {
			continue
		}
		if err := l.forget(ctx, saga, e.Tell[i].Step); err != nil {
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

// tokenOf makes a token of its columns, and says whether it was heard.
func tokenOf(columns []any) (t participant.Token, heard bool, err error) {
	step, kind := text(columns[1]), participant.TokenKind(text(columns[3]))
	heard = number(columns[2]) == 1
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
	rows, err := p.db.QueryContext(ctx, p.sql.untold, p.name, before.UnixMicro(), p.now().Add(skew).UnixMicro(), limit)
	if err == nil {
		err = eachOf(rows, func(columns []any) error {
			t, _, err := tokenOf(columns)
			all = append(all, t)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("sqlparticipant: reading tokens: %w", err)
	}
	return all, nil
}

// skew is by how much a row may be written ahead of this clock, by another process of the service. What lies further ahead was written before the clock was set back.
const skew = time.Minute

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
