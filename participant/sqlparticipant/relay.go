package sqlparticipant

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	relayCap     = 5 * time.Second
	relayDown    = 3 // so many sagas' messages are not taken in a row: the receiver is down, rather than the messages bad
	relayHold    = 4 // a saga is held for so many times the pause, so that the next pass tries others first
)

// Relay sends what is in the outbox until the context ends, and then returns the context's cause. It is woken by every commit of this
// participant and looks by itself every Config.Poll for messages of other processes.
//
// Messages are sent oldest first and forgotten after the publisher took them; those of one saga in the order of their commits. What the
// publisher does not take is sent again, same IDs and same order, with a jittered back-off of up to 20 s; none is ever given up. Messages that
// are never taken hold up their own saga only. One relay per process is enough; of several processes on one PostgreSQL, one sends at a time.
func (p *Participant) Relay(ctx context.Context, to participant.Publisher) error {
	r := &relay{p: p, to: to, held: make(map[journal.SagaID]hold), wait: relayBackoff}
	for {
		err := r.pass(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			r.wait = relayBackoff
			r.idle(ctx)
			continue
		}
		p.log.WarnContext(ctx, "outbox: not sent, will be sent again", "error", err)
		pause(ctx, r.wait)
		r.wait = min(2*r.wait, relayCap)
	}
}

// relay is what a running relay remembers.
type relay struct {
	p    *Participant
	to   participant.Publisher
	wait time.Duration           // about how long it pauses when the receiver is down
	held map[journal.SagaID]hold // sagas whose messages were not taken
	// began is when the pass did. What is held then stays held for the whole pass, and so does what is held anew: otherwise a saga's later messages
	// could be sent in a pass that left its earlier ones out.
	began time.Time
}

// hold says how long a saga's messages wait.
type hold struct {
	until time.Time
	wait  time.Duration
}

// holding says whether a saga's messages are left out of this pass.
func (r *relay) holding(saga journal.SagaID) bool { return r.held[saga].until.After(r.began) }

func (r *relay) hold(saga journal.SagaID) {
	wait := min(max(2*r.held[saga].wait, relayHold*r.wait), relayHold*relayCap)
	r.held[saga] = hold{until: time.Now().Add(wait/2 + rand.N(wait/2)), wait: wait}
}

// idle waits for a commit, for held messages' time, for the next poll or for the end.
func (r *relay) idle(ctx context.Context) {
	wait := r.p.poll/2 + rand.N(r.p.poll)
	for _, h := range r.held {
		wait = min(wait, max(time.Until(h.until), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-r.p.committed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pause waits for about this long, or for the end.
func pause(ctx context.Context, about time.Duration) {
	timer := time.NewTimer(about/2 + rand.N(about))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wake tells the relay that there is something to send.
func (p *Participant) wake() {
	select {
	case p.committed <- struct{}{}:
	default: // it knows already
	}
}

// pass sends until there is nothing left but what is held. Every batch begins at the beginning: numbers are given before the
// commit, so a smaller one may become visible later than a larger one, and with it what has to be sent first.
func (r *relay) pass(ctx context.Context) error {
	r.began = time.Now()
	for {
		n, err := r.batch(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	// What was due and is not held anew has been sent, by this process or another.
	maps.DeleteFunc(r.held, func(saga journal.SagaID, _ hold) bool { return !r.holding(saga) })
	return nil
}

// batch sends the oldest messages that are not held, and returns how many it tried to send. On PostgreSQL it does so under a lock that one process at a time has.
func (r *relay) batch(ctx context.Context) (int, error) {
	p := r.p
	if p.sql.lead == "" {
		return r.send(ctx, p.db, p.forget)
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
	n, err := r.send(ctx, tx, func(ctx context.Context, seqs []int64) error { return deleteSent(ctx, tx, p.sql.sent, seqs) })
	if n == 0 {
		return 0, err
	}
	return n, errors.Join(err, tx.Commit())
}

type forgetter func(ctx context.Context, seqs []int64) error

// outgoing are messages of an outbox with their numbers.
type outgoing struct {
	messages []participant.Message
	seqs     []int64
}

func (o *outgoing) add(m participant.Message, seq int64) {
	o.messages, o.seqs = append(o.messages, m), append(o.seqs, seq)
}

// send publishes the oldest messages, as one batch or, if the publisher does not take it, saga by saga. It returns how many it tried to send.
func (r *relay) send(ctx context.Context, from participant.Tx, forget forgetter) (n int, err error) {
	all, err := r.unsent(ctx, from)
	n = len(all.messages)
	if err != nil || n == 0 {
		return 0, err
	}
	if r.to.Publish(ctx, all.messages) == nil {
		for _, m := range all.messages {
			delete(r.held, m.Saga)
		}
		return n, forget(ctx, all.seqs)
	}
	sagas, order := bySaga(all)
	var failures, inARow int
	for _, saga := range order {
		if err = r.to.Publish(ctx, sagas[saga].messages); err != nil {
			r.hold(saga)
			failures++
			if inARow++; inARow == relayDown || ctx.Err() != nil {
				return n, fmt.Errorf("publishing, from %s on: %w", sagas[saga].messages[0].ID, err)
			}
			continue
		}
		inARow = 0
		delete(r.held, saga)
		if err := forget(ctx, sagas[saga].seqs); err != nil {
			return n, fmt.Errorf("forgetting what was sent: %w", err)
		}
	}
	if failures > 0 {
		r.p.log.WarnContext(ctx, "outbox: messages of some sagas were not taken, and will be sent again", "sagas", failures, "error", err)
	}
	return n, nil
}

func bySaga(all outgoing) (map[journal.SagaID]*outgoing, []journal.SagaID) {
	sagas := make(map[journal.SagaID]*outgoing)
	var order []journal.SagaID
	for i, m := range all.messages {
		if sagas[m.Saga] == nil {
			sagas[m.Saga] = new(outgoing)
			order = append(order, m.Saga)
		}
		sagas[m.Saga].add(m, all.seqs[i])
	}
	return sagas, order
}

// unsent reads the oldest messages that are not held.
func (r *relay) unsent(ctx context.Context, from participant.Tx) (all outgoing, err error) {
	held := []journal.SagaID{}
	for saga := range r.held {
		if r.holding(saga) {
			held = append(held, saga)
		}
	}
	without, err := json.Marshal(held)
	if err != nil {
		return all, err
	}
	rows, err := from.QueryContext(ctx, r.p.sql.unsent, r.p.name, string(without), relayBatch)
	if err != nil {
		return all, fmt.Errorf("reading the outbox: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for size := 0; size < relayBytes && rows.Next(); {
		m := participant.Message{Source: r.p.name}
		var seq, micros int64
		var saga string
		if err := rows.Scan(&seq, &m.ID, &m.Type, &saga, &m.Step, &micros, &m.Data, &m.Trace); err != nil {
			return all, fmt.Errorf("reading the outbox: %w", err)
		}
		m.Saga, m.Time = journal.SagaID(saga), time.UnixMicro(micros).UTC()
		size += len(m.Data)
		all.add(m, seq)
	}
	if err := rows.Err(); err != nil {
		return all, fmt.Errorf("reading the outbox: %w", err)
	}
	return all, nil
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
