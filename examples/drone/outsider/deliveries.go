package outsider

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/skaldhq/skald/broker"
)

// Reason codes of dead letters.
const (
	reasonUnreachable = "outsider.unreachable" // no connection, or no answer in time
	reasonForbidden   = "outsider.forbidden"   // its address must not be called
	reasonRedirected  = "outsider.redirected"  // answered 3xx, which is not followed
	reasonRefused     = "outsider.refused"     // answered 4xx
	reasonFailing     = "outsider.failing"     // answered 5xx or 429
)

// errSettled says that a dead letter was settled in another way before.
var errSettled = errors.New("it was settled otherwise before")

// delivery is one event on its way to one subscription.
type delivery struct {
	Event  int64 // events.seq
	ID     string
	Header map[string]string
	Data   []byte
	Count  int
	Due    time.Time
	Since  time.Time
}

// letter is a delivery that was given up.
type letter struct {
	ID          string    `json:"id"` // the event's webhook-id
	Event       event     `json:"event"`
	Reason      string    `json:"reason"`
	Description string    `json:"description"`
	Count       int       `json:"count"`
	First       failure   `json:"first"`
	Last        failure   `json:"last"`
	State       string    `json:"state"` // dead or discarded
	Note        string    `json:"note,omitempty"`
	At          time.Time `json:"at"`
}

type event struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Source  string `json:"source"`
	Subject string `json:"subject,omitempty"`
}

type failure struct {
	At          time.Time `json:"at"`
	Description string    `json:"description"`
}

// take writes an event and what follows from it, one row per subscription that wants it, in one transaction. An event that is there already changes nothing.
// It returns the subscriptions that have a new delivery.
func (s store) take(ctx context.Context, m broker.Message, header map[string]string, now time.Time) (concerned []string, err error) {
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	err = s.in(ctx, func(tx *sql.Tx) error {
		concerned = nil
		var seq int64
		err := tx.QueryRowContext(ctx, `INSERT INTO events (source, id, ref, type, subject, header, data, taken) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING seq`,
			m.Source, m.ID, webhookID(header), m.Type, string(m.Saga), string(text), append([]byte{}, m.Data...), micros(now)).Scan(&seq)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // taken before
		}
		if err != nil {
			return err
		}
		all, err := list(ctx, tx, scan, `SELECT `+columns+` FROM subscriptions s WHERE validated > 0`)
		if err != nil {
			return err
		}
		for _, sub := range all {
			if !sub.Filter.matches(m.Type, string(m.Saga)) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO deliveries (subscription, event, due, since) VALUES (?, ?, ?, ?)`, sub.ID, seq, micros(now), micros(now)); err != nil {
				return err
			}
			concerned = append(concerned, sub.ID)
		}
		return nil
	})
	return concerned, err
}

// next returns the delivery that is due first, or errGone if none waits.
func (s store) next(ctx context.Context, id string) (delivery, error) {
	var d delivery
	var header string
	var due, since int64
	err := s.db.QueryRowContext(ctx, `SELECT d.event, e.ref, e.header, e.data, d.count, d.due, d.since FROM deliveries d JOIN events e ON e.seq = d.event
		WHERE d.subscription = ? AND d.state = 'waiting' ORDER BY d.due, d.event LIMIT 1`, id).Scan(&d.Event, &d.ID, &header, &d.Data, &d.Count, &due, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return d, errGone
	}
	if err != nil {
		return d, err
	}
	d.Due, d.Since = instant(due), instant(since)
	return d, json.Unmarshal([]byte(header), &d.Header)
}

// delivered settles a delivery that the outsider took. The subscription rests until rest, if that is not zero: its rate says so.
func (s store) delivered(ctx context.Context, id string, d delivery, rest, now time.Time) error {
	return s.in(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'delivered', count = count + 1, settled = ? WHERE subscription = ? AND event = ? AND state = 'waiting'`, micros(now), id, d.Event)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE subscriptions SET failures = 0, note = '', paused = ?1 WHERE id = ?2 AND (failures > 0 OR note <> '' OR ?1 > 0)`, micros(rest), id)
		return err
	})
}

// miss is a failed attempt.
type miss struct {
	reason, description string
	again               time.Time // when to try this delivery again
	rest                time.Time // before this nothing is sent to the subscription
	dead                bool
}

// missed records a failed attempt: the delivery comes again or is a dead letter, and the subscription rests.
func (s store) missed(ctx context.Context, id string, d delivery, m miss, now time.Time) error {
	state, settled := "waiting", int64(0)
	if m.dead {
		state, settled = "dead", micros(now)
	}
	return s.in(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = ?1, settled = ?2, count = count + 1, due = ?3, reason = ?4, last_error = ?5, last_at = ?6,
			first_error = iif(first_at = 0, ?5, first_error), first_at = iif(first_at = 0, ?6, first_at)
			WHERE subscription = ?7 AND event = ?8 AND state = 'waiting'`, state, settled, micros(m.again), m.reason, m.description, micros(now), id, d.Event)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE subscriptions SET failures = failures + 1, paused = ?, note = ? WHERE id = ?`, micros(m.rest), m.description, id)
		return err
	})
}

// letters returns the deliveries of a subscription that were given up, newest first, at most 200.
func (s store) letters(ctx context.Context, id string) ([]letter, error) {
	return list(ctx, s.db, scanLetter, `SELECT e.ref, e.id, e.type, e.source, e.subject, d.reason, d.last_error, d.count, d.first_error, d.first_at, d.last_at, d.state, d.note, d.settled
		FROM deliveries d JOIN events e ON e.seq = d.event WHERE d.subscription = ? AND d.state IN ('dead', 'discarded') ORDER BY d.settled DESC, d.event DESC LIMIT 200`, id)
}

func scanLetter(row interface{ Scan(...any) error }) (letter, error) {
	var l letter
	var first, last, settled int64
	err := row.Scan(&l.ID, &l.Event.ID, &l.Event.Type, &l.Event.Source, &l.Event.Subject, &l.Reason, &l.Last.Description, &l.Count, &l.First.Description, &first, &last, &l.State, &l.Note, &settled)
	l.Description, l.First.At, l.Last.At, l.At = l.Last.Description, instant(first), instant(last), instant(settled)
	return l, err
}

// replay lets a dead letter be delivered again with a new budget, at once. A letter that was replayed before stays as it is; of a discarded one the error is errSettled.
func (s store) replay(ctx context.Context, id, ref, note string, now time.Time) error {
	return s.in(ctx, func(tx *sql.Tx) error {
		state, seq, err := stateOf(ctx, tx, id, ref)
		switch {
		case err != nil:
			return err
		case state == "discarded":
			return errSettled
		case state != "dead":
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = 'waiting', count = 0, due = ?1, since = ?1, reason = '', first_error = '', first_at = 0, last_error = '', last_at = 0, settled = 0,
			note = ?2 WHERE subscription = ?3 AND event = ?4`, micros(now), note, id, seq)
		if err != nil {
			return err
		}
		// Who replays has mended something: the queue does not rest any longer.
		_, err = tx.ExecContext(ctx, `UPDATE subscriptions SET failures = 0, paused = 0 WHERE id = ?`, id)
		return err
	})
}

// discard gives a dead letter up. Discarding it twice is harmless; of a replayed one the error is errSettled.
func (s store) discard(ctx context.Context, id, ref, note string, now time.Time) error {
	return s.in(ctx, func(tx *sql.Tx) error {
		state, seq, err := stateOf(ctx, tx, id, ref)
		switch {
		case err != nil:
			return err
		case state == "discarded":
			return nil
		case state != "dead":
			return errSettled
		}
		_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = 'discarded', note = ?, settled = ? WHERE subscription = ? AND event = ?`, note, micros(now), id, seq)
		return err
	})
}

// stateOf returns a delivery's state and event, or errGone.
func stateOf(ctx context.Context, tx *sql.Tx, id, ref string) (state string, seq int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT d.state, d.event FROM deliveries d JOIN events e ON e.seq = d.event WHERE d.subscription = ? AND e.ref = ?`, id, ref).Scan(&state, &seq)
	if errors.Is(err, sql.ErrNoRows) {
		err = errGone
	}
	return state, seq, err
}

// prune forgets events that were taken before a moment and that no subscription waits for or must decide on.
func (s store) prune(ctx context.Context, before time.Time) error {
	const old = `SELECT seq FROM events e WHERE taken < ? AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = e.seq AND d.state IN ('waiting', 'dead')) LIMIT 1000`
	return s.in(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM deliveries WHERE event IN (`+old+`)`, micros(before)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM events WHERE seq IN (`+old+`)`, micros(before))
		return err
	})
}
