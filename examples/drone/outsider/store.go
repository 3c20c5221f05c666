package outsider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"
)

// store keeps subscriptions, events and deliveries. Its methods may be used concurrently; each is one transaction.
type store struct{ db *sql.DB }

// errGone says that there is no such row.
var errGone = errors.New("there is no such thing")

// in runs a transaction.
func (s store) in(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

const columns = `id, url, filter, secret, token, callback, validated, withheld, rate, failures, paused, note, created,
	(SELECT count(*) FROM deliveries d WHERE d.subscription = s.id AND d.state = 'waiting'),
	(SELECT count(*) FROM deliveries d WHERE d.subscription = s.id AND d.state = 'dead')`

func scan(row interface{ Scan(...any) error }) (subscription, error) {
	var s subscription
	var wanted string
	var validated, paused, created int64
	err := row.Scan(&s.ID, &s.URL, &wanted, &s.Secret, &s.Token, &s.Callback, &validated, &s.Withheld, &s.Rate, &s.Failures, &paused, &s.Note, &created, &s.Waiting, &s.Dead)
	if errors.Is(err, sql.ErrNoRows) {
		return s, errGone
	}
	if err != nil {
		return s, err
	}
	s.Validated, s.Paused, s.Created = instant(validated), instant(paused), instant(created)
	return s, json.Unmarshal([]byte(wanted), &s.Filter)
}

// subscribe adds a subscription, or returns the one that has this address and filter; added says which.
func (s store) subscribe(ctx context.Context, n subscription) (kept subscription, added bool, err error) {
	err = s.in(ctx, func(tx *sql.Tx) error {
		kept, err = scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM subscriptions s WHERE url = ? AND filter = ?`, n.URL, n.Filter.text()))
		if !errors.Is(err, errGone) {
			return err
		}
		var count int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM subscriptions`).Scan(&count); err != nil {
			return err
		}
		if count >= maxSubscriptions {
			return errTooMany
		}
		kept, added = n, true
		_, err := tx.ExecContext(ctx, `INSERT INTO subscriptions (id, url, filter, secret, token, callback, created) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			n.ID, n.URL, n.Filter.text(), n.Secret, n.Token, n.Callback, micros(n.Created))
		return err
	})
	return kept, added, err
}

// subscription returns one, or errGone.
func (s store) subscription(ctx context.Context, id string) (subscription, error) {
	return scan(s.db.QueryRowContext(ctx, `SELECT `+columns+` FROM subscriptions s WHERE id = ?`, id))
}

// subscriptions returns all, oldest first.
func (s store) subscriptions(ctx context.Context) ([]subscription, error) {
	return list(ctx, s.db, scan, `SELECT `+columns+` FROM subscriptions s ORDER BY created, id`)
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func list[T any](ctx context.Context, db querier, read func(interface{ Scan(...any) error }) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		one, err := read(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// unsubscribe removes a subscription with all its deliveries. Removing it twice is harmless.
func (s store) unsubscribe(ctx context.Context, id string) error {
	_, err := s.db.ExecContext(ctx, `DELETE FROM subscriptions WHERE id = ?`, id)
	return err
}

// permit validates a subscription and sets the rate that the outsider allows. The moment of the first permission stays.
func (s store) permit(ctx context.Context, id string, rate int, now time.Time) error {
	_, err := s.db.ExecContext(ctx, `UPDATE subscriptions SET validated = iif(validated = 0, ?, validated), withheld = 0, rate = ?, failures = 0, paused = 0, note = '' WHERE id = ?`, micros(now), rate, id)
	return err
}

// pause lets a subscription rest after a failure in a row.
func (s store) pause(ctx context.Context, id, note string, until time.Time) error {
	_, err := s.db.ExecContext(ctx, `UPDATE subscriptions SET failures = failures + 1, paused = ?, note = ? WHERE id = ?`, micros(until), note, id)
	return err
}

// withhold notes that the outsider was asked and did not agree. A subscription that was validated before is not any more.
func (s store) withhold(ctx context.Context, id, note string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE subscriptions SET validated = 0, withheld = 1, failures = 0, paused = 0, note = ? WHERE id = ?`, note, id)
	return err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
