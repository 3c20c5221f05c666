// Package eventlog keeps the events that the order system publishes, each once, in one SQLite file: the services' events as they
// arrive and the states that the orchestrator announces. What Publish acknowledged survives kill -9 and power loss.
//
// It also remembers which orders still have states to be announced, so that a restart goes on with them. It keeps names, sources
// and times, not what the events carry: their readers need no more, and customers' data is then in one place less. Events older than the retention are forgotten.
package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// ErrClosed says that the log was closed before the call.
var ErrClosed = errors.New("eventlog: closed")

// Event is one published event.
type Event struct {
	Seq    int64 // position in the log, over all orders; later events have greater ones
	Name   string
	Source string // who published it: a service's name, or "orchestrator"
	Step   string // of the saga; empty for events of the saga as a whole
	Time   time.Time
}

const schema = `
CREATE TABLE IF NOT EXISTS published (
	seq     INTEGER PRIMARY KEY AUTOINCREMENT,
	source  TEXT NOT NULL,
	id      TEXT NOT NULL,
	saga    TEXT NOT NULL,
	step    TEXT NOT NULL,
	name    TEXT NOT NULL,
	time_us INTEGER NOT NULL,
	UNIQUE (source, id)
) STRICT;
CREATE INDEX IF NOT EXISTS published_saga ON published (saga, seq);
CREATE INDEX IF NOT EXISTS published_time ON published (time_us);
CREATE TABLE IF NOT EXISTS followed (saga TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
`

// Log is the log. Its methods may be called concurrently. It implements participant.Publisher.
type Log struct {
	db        *sql.DB
	retention time.Duration
	jobs      chan job
	quit      chan struct{} // closed by Close
	finished  chan struct{} // closed when the writer has ended
	watchers  watchers
}

// Open opens the file at path, making it if it is missing; its folder must exist. Events are kept for the retention, which must be positive.
func Open(path string, retention time.Duration) (*Log, error) {
	if retention <= 0 {
		return nil, fmt.Errorf("eventlog: a retention of %s keeps nothing: give a positive one", retention)
	}
	db, err := sqlparticipant.OpenSQLite(path)
	if err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	l := &Log{db: db, retention: retention, jobs: make(chan job), quit: make(chan struct{}), finished: make(chan struct{})}
	if _, err := db.ExecContext(context.Background(), schema); err != nil {
		return nil, errors.Join(fmt.Errorf("eventlog: setting up %s: %w", path, err), db.Close())
	}
	go l.write()
	return l, nil
}

// Close ends the log after the writes under way. It may be called once.
func (l *Log) Close() error {
	close(l.quit)
	<-l.finished
	return l.db.Close()
}

// Failed is closed when the disk did not sync the file. Nothing more is written then until a new process opens it.
func (l *Log) Failed() <-chan struct{} { return sqlparticipant.Failed(l.db) }

// Publish keeps the messages that are not kept yet, told apart by source and id, and returns when they are durable.
func (l *Log) Publish(ctx context.Context, messages []participant.Message) error {
	sagas := make([]journal.SagaID, 0, len(messages))
	for i := range messages {
		sagas = append(sagas, messages[i].Saga)
	}
	return l.do(ctx, sagas, func(ctx context.Context, tx *sql.Tx) error {
		for i := range messages {
			m := &messages[i]
			if _, err := tx.ExecContext(ctx, `INSERT INTO published (source, id, saga, step, name, time_us) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				m.Source, m.ID, string(m.Saga), m.Step, m.Type, m.Time.UnixMicro()); err != nil {
				return fmt.Errorf("keeping event %s: %w", m.ID, err)
			}
		}
		return nil
	})
}

// Of returns an order's events that stand after a position (0 for all), in the order in which they arrived.
func (l *Log) Of(ctx context.Context, order journal.SagaID, after int64) ([]Event, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT seq, name, source, step, time_us FROM published WHERE saga = ? AND seq > ? ORDER BY seq`, string(order), after)
	if err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	defer rows.Close()
	var events []Event
	for rows.Next() {
		var e Event
		var micros int64
		if err := rows.Scan(&e.Seq, &e.Name, &e.Source, &e.Step, &micros); err != nil {
			return nil, fmt.Errorf("eventlog: %w", err)
		}
		e.Time = time.UnixMicro(micros).UTC()
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	return events, nil
}

// Follow remembers that an order has states to be announced, until Unfollow.
func (l *Log) Follow(ctx context.Context, order journal.SagaID) error {
	return l.do(ctx, nil, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO followed (saga) VALUES (?) ON CONFLICT DO NOTHING`, string(order))
		return err
	})
}

// Unfollow forgets what Follow remembered.
func (l *Log) Unfollow(ctx context.Context, order journal.SagaID) error {
	return l.do(ctx, nil, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM followed WHERE saga = ?`, string(order))
		return err
	})
}

// Followed returns the orders that are followed.
func (l *Log) Followed(ctx context.Context) ([]journal.SagaID, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT saga FROM followed ORDER BY saga`)
	if err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	defer rows.Close()
	var orders []journal.SagaID
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("eventlog: %w", err)
		}
		orders = append(orders, journal.SagaID(id))
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("eventlog: %w", err)
	}
	return orders, nil
}
