package sqlitewebhook

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/webhook"
)

// place is how far the list of sagas was read: a cursor, and the one saga after it that was last, since an end has no cursor.
type place struct {
	cursor  string
	last    string
	started int64
	begun   bool // something was read before
}

func (p *place) is(x *store.Summary) bool {
	return p.last == string(x.ID) && p.started == x.Started.UnixMicro()
}

// pageSize is how many sagas are listed at a time.
const pageSize = 1000

// discover takes in sagas that were started since, from a place that is kept together with them.
func (s *Sender) discover(ctx context.Context) error {
	var at place
	err := s.db.QueryRowContext(ctx, `SELECT cursor, last, started FROM place`).Scan(&at.cursor, &at.last, &at.started)
	if at.begun = err == nil; !at.begun && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	first := !at.begun
	for f := (skald.Filter{Oldest: true, Limit: pageSize, Cursor: at.cursor}); ; f.Limit, f.Cursor = pageSize, at.cursor {
		page, err := s.Source.List(ctx, f)
		if n := len(page.Sagas); err == nil && page.Next == "" && n > 1 { // read to the last but one, after which there is a cursor
			f.Limit = n - 1
			page, err = s.Source.List(ctx, f)
		}
		if err != nil {
			return err
		}
		end := page.Next == ""
		if n := len(page.Sagas); end && (n == 0 || n == 1 && at.is(&page.Sagas[0])) {
			return s.keep(ctx, &skald.Page{}, &at, first) // nothing is new
		}
		if err := s.keep(ctx, &page, &at, first); err != nil || end {
			return err
		}
	}
}

// keep looks out for the sagas of a page that somebody is to be told of, and keeps the place after it. The first time, those that have ended already are left out.
func (s *Sender) keep(ctx context.Context, page *skald.Page, at *place, first bool) error {
	if len(page.Sagas) == 0 && at.begun {
		return nil
	}
	next := place{cursor: page.Next, begun: true}
	if next.cursor == "" {
		next = *at
		next.begun = true
		if n := len(page.Sagas); n > 0 {
			next.last, next.started = string(page.Sagas[n-1].ID), page.Sagas[n-1].Started.UnixMicro()
		}
	}
	err := s.within(ctx, func(tx *sql.Tx) error {
		for i := range page.Sagas {
			x := &page.Sagas[i]
			if at.is(x) || first && x.State.Ended() {
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO watched SELECT ?1 WHERE EXISTS (SELECT 1 FROM told WHERE definition = ?2) OR EXISTS (SELECT 1 FROM asked WHERE saga = ?1)`, x.ID, x.Definition); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO place VALUES (1, ?, ?, ?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor, last = excluded.last, started = excluded.started`, next.cursor, next.last, next.started)
		return err
	})
	if err == nil {
		*at = next
	}
	return err
}

// finish makes the deliveries of sagas that have ended: those that are looked out for and not among the unended ones.
func (s *Sender) finish(ctx context.Context) error {
	watched, err := column(ctx, s.db, `SELECT saga FROM watched`)
	if err != nil || len(watched) == 0 {
		return err
	}
	open := make(map[string]bool, len(watched))
	for f := (skald.Filter{Unended: true, Oldest: true, Limit: pageSize}); ; {
		page, err := s.Source.List(ctx, f)
		if err != nil {
			return err
		}
		for i := range page.Sagas {
			open[string(page.Sagas[i].ID)] = true
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	for _, saga := range watched {
		if open[saga] {
			continue
		}
		if err := s.tell(ctx, saga); err != nil {
			return err
		}
	}
	return nil
}

// tell makes the deliveries of one saga, in one transaction with forgetting it.
func (s *Sender) tell(ctx context.Context, saga string) error {
	x, err := s.Source.Status(ctx, skald.SagaID(saga))
	switch {
	case errors.Is(err, skald.ErrNotFound): // it was pruned while this program was away
		s.Logger.Error("an outcome is not told: the saga was pruned first; keep sagas longer than this program is away", "saga", saga)
	case err != nil:
		return err
	case !x.State.Ended():
		return nil // it was started in between, and is seen next time
	}
	told := err == nil
	return s.within(ctx, func(tx *sql.Tx) error {
		if told {
			if err := s.write(ctx, tx, &x); err != nil {
				return err
			}
		}
		for _, forget := range []string{`DELETE FROM watched WHERE saga = ?`, `DELETE FROM asked WHERE saga = ?`} {
			if _, err := tx.ExecContext(ctx, forget, saga); err != nil {
				return err
			}
		}
		return nil
	})
}

// write writes down a delivery for everybody who is told of a saga.
func (s *Sender) write(ctx context.Context, tx *sql.Tx, x *skald.Status) error {
	body, err := json.Marshal(webhook.Message{Type: "saga." + string(x.State), Timestamp: x.Ended,
		Data: webhook.Outcome{Saga: x.ID, Definition: x.Definition, Version: x.Version, Key: x.Key, State: x.State, Reason: x.Reason, Started: x.Started}})
	if err != nil {
		return err
	}
	names, err := endpointsOf(ctx, tx, x)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO deliveries (id, saga, endpoint, namespace, body, state, made, due) VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', ?6, ?6)`,
			messageID(x, name), x.ID, name, journal.NamespaceOf(name), body, s.Now().UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// endpointsOf are the names of those who are told of a saga: of its own namespace only, whatever was asked for under its id before there was one.
func endpointsOf(ctx context.Context, tx *sql.Tx, x *skald.Status) ([]string, error) {
	names, err := column(ctx, tx, `SELECT name FROM endpoints WHERE name IN (SELECT endpoint FROM told WHERE definition = ?) OR name IN (SELECT endpoint FROM asked WHERE saga = ?)`, x.Definition, x.ID)
	return slices.DeleteFunc(names, func(name string) bool { return journal.NamespaceOf(name) != journal.NamespaceOf(x.Definition) }), err
}

// messageID is the id of a message: the same in every attempt, another for a saga whose id is used again. It has no dot, since the signature puts dots around it.
func messageID(x *skald.Status, endpoint string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", x.ID, x.Started.UnixMicro(), endpoint))
	return "msg_" + hex.EncodeToString(sum[:16])
}
