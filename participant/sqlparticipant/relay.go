package sqlparticipant

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// How the relay works.
const (
	relayBatch   = 256
	relayBytes   = 4 << 20 // a batch ends when it has so much
	relayBackoff = 100 * time.Millisecond
	relayCap     = 30 * time.Second
)

// Relay sends what is in the outbox until the context ends, and then returns the context's cause. It is woken by every commit of this
// participant and looks by itself every Config.Poll for messages of other processes.
//
// Messages are sent oldest first and forgotten after the publisher took them. After an error the same messages are sent again, same IDs
// and same order, with a jittered back-off of up to 30 s; none is ever given up. One relay per process is enough; of several
// processes on one PostgreSQL, one sends at a time. Messages of one saga are sent in the order of their commits.
func (p *Participant) Relay(ctx context.Context, to participant.Publisher) error {
	wait := relayBackoff
	for {
		sent, err := p.relay(ctx, to)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			p.log.WarnContext(ctx, "outbox: not sent, will be sent again", "error", err)
			if !sleep(ctx, wait/2+rand.N(wait/2+1)) {
				return context.Cause(ctx)
			}
			wait = min(2*wait, relayCap)
		case sent > 0:
			wait = relayBackoff // there may be more
		default:
			wait = relayBackoff
			if !p.idle(ctx) {
				return context.Cause(ctx)
			}
		}
	}
}

// idle waits for a commit, the next poll or the end, which is false.
func (p *Participant) idle(ctx context.Context) bool {
	poll := time.NewTimer(p.poll/2 + rand.N(p.poll))
	defer poll.Stop()
	select {
	case <-p.committed:
	case <-poll.C:
	case <-ctx.Done():
		return false
	}
	return true
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// wake tells the relay that there is something to send.
func (p *Participant) wake() {
	select {
	case p.committed <- struct{}{}:
	default: // it knows already
	}
}

// relay sends one batch and returns how many messages that were.
func (p *Participant) relay(ctx context.Context, to participant.Publisher) (int, error) {
	if p.sql.lead == "" {
		return p.send(ctx, p.db, to, p.forget)
	}
	tx, err := p.db.BeginTx(ctx, p.writes())
	if err != nil {
		return 0, fmt.Errorf("beginning a transaction: %w", err)
	}
	defer rollback(tx)
	var leads bool
	if err := tx.QueryRowContext(ctx, p.sql.lead, p.name).Scan(&leads); err != nil || !leads {
		return 0, err // another process sends
	}
	n, err := p.send(ctx, tx, to, func(ctx context.Context, seqs []int64) error { return deleteSent(ctx, tx, p.sql.sent, seqs) })
	if err != nil || n == 0 {
		return 0, err
	}
	return n, tx.Commit()
}

// send publishes the oldest messages. It asks for those that are there, never for those after a number: numbers are given before the commit, so a
// smaller one may become visible later than a larger one.
func (p *Participant) send(ctx context.Context, from participant.Tx, to participant.Publisher, forget func(context.Context, []int64) error) (int, error) {
	messages, seqs, err := p.unsent(ctx, from)
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	if err := to.Publish(ctx, messages); err != nil {
		return 0, fmt.Errorf("publishing %d messages from %s on: %w", len(messages), messages[0].ID, err)
	}
	if err := forget(ctx, seqs); err != nil {
		return 0, fmt.Errorf("forgetting what was sent: %w", err)
	}
	return len(messages), nil
}

func (p *Participant) unsent(ctx context.Context, from participant.Tx) ([]participant.Message, []int64, error) {
	rows, err := from.QueryContext(ctx, p.sql.unsent, p.name, relayBatch)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var messages []participant.Message
	var seqs []int64
	for size := 0; size < relayBytes && rows.Next(); {
		m := participant.Message{Source: p.name}
		var seq, micros int64
		var saga string
		if err := rows.Scan(&seq, &m.ID, &m.Type, &saga, &m.Step, &micros, &m.Data, &m.Trace); err != nil {
			return nil, nil, fmt.Errorf("reading the outbox: %w", err)
		}
		m.Saga, m.Time = journal.SagaID(saga), time.UnixMicro(micros).UTC()
		size += len(m.Data)
		messages, seqs = append(messages, m), append(seqs, seq)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return messages, seqs, nil
}

// forget deletes what was sent, in a transaction of its own.
func (p *Participant) forget(ctx context.Context, seqs []int64) error {
	release, err := p.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer rollback(tx)
	if err := deleteSent(ctx, tx, p.sql.sent, seqs); err != nil {
		return err
	}
	return tx.Commit()
}

func deleteSent(ctx context.Context, tx *sql.Tx, statement string, seqs []int64) error {
	remove, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = remove.Close() }()
	for _, seq := range seqs {
		if _, err := remove.ExecContext(ctx, seq); err != nil {
			return err
		}
	}
	return nil
}
