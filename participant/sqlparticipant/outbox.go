package sqlparticipant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/participant"
)

type barrierKey struct{}

// Event is something that a handler says to the world beyond its own answer.
type Event struct {
	// Type is the event's name, such as "StockLow".
	Type string
	// Suffix tells events of the same type in one call apart; it becomes part of the message's ID. Empty if there is only one.
	Suffix string
	// Data is JSON; empty means null.
	Data []byte
}

// Publish puts an event into the outbox, in the transaction of the handler that runs under ctx: it is sent if and only if the handler's change is committed. It must be called from within the handler, with the handler's context.
func Publish(ctx context.Context, e Event) error {
	b, ok := ctx.Value(barrierKey{}).(*barrier)
	if !ok {
		return errors.New("sqlparticipant: Publish was called outside a handler: give it the context that the handler got")
	}
	if b.op.Kind == participant.ReadOnly && !b.op.Stored {
		return fmt.Errorf("sqlparticipant: %s is readonly and stores nothing, so it cannot publish: set Stored", b.op.name)
	}
	if why := participant.CheckName(e.Type); why != "" {
		return fmt.Errorf("sqlparticipant: the event's type cannot be used: %s", why)
	}
	if why := participant.CheckName(e.Suffix); e.Suffix != "" && why != "" {
		return fmt.Errorf("sqlparticipant: the event's suffix cannot be used: %s", why)
	}
	data := orNull(e.Data)
	if !json.Valid(data) || len(data) > 2*participant.MaxPayload {
		return fmt.Errorf("sqlparticipant: the data of event %s is not JSON, or larger than %d bytes", e.Type, 2*participant.MaxPayload)
	}
	if err := b.guard.touch(ctx, false); err != nil {
		return err
	}
	return b.emit(ctx, e.Type, e.Suffix, data)
}

// emit puts a message into the outbox. An empty type publishes nothing.
func (b *barrier) emit(ctx context.Context, eventType, suffix string, data []byte) error {
	if eventType == "" {
		return nil
	}
	id := b.call.Key() + "/" + eventType
	if suffix != "" {
		id += "/" + suffix
	}
	_, err := b.tx.run(ctx, b.p.sql.emit, id, b.p.name, eventType, string(b.call.Saga), b.call.Step, b.now.UnixMicro(), data, b.call.Trace)
	if err != nil {
		return fmt.Errorf("outbox: event %s: %w", id, err)
	}
	b.emitted.Store(true)
	return nil
}

// Backlog says how far sending is behind.
type Backlog struct {
	Messages int
	Oldest   time.Time // when the oldest message was written; zero if there is none
}

// Backlog counts the messages that wait to be sent. It scans the outbox, which is short unless sending is interrupted.
func (p *Participant) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	var oldest int64
	if err := p.db.QueryRowContext(ctx, p.sql.backlog, p.name).Scan(&b.Messages, &oldest); err != nil {
		return Backlog{}, fmt.Errorf("sqlparticipant: counting the outbox: %w", err)
	}
	if oldest != 0 {
		b.Oldest = time.UnixMicro(oldest).UTC()
	}
	return b, nil
}
