package sidecar

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// How a sidecar looks, when it starts, for sagas that its predecessor may have died over.
const (
	recent  = 5 * time.Minute // how far back: what is older the broker has handed out again by then
	looking = time.Second     // how long at most: what it does not find the broker hands out in a few seconds
)

// resumption is what is left of a predecessor: sagas of which something was heard and perhaps not all was done. Their tokens come again from the broker, but only when the
// predecessor's locks have run out, and until then the sagas would stand still.
type resumption struct {
	mu    sync.Mutex
	sagas map[journal.SagaID]bool
}

// read finds the sagas that the database heard of lately, those with the highest ids first: where they are generated, those are the youngest. No index finds them, and the tables may be large.
func (r *resumption) read(ctx context.Context, x *inbox, name string) error {
	r.sagas = make(map[journal.SagaID]bool)
	short, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	err := r.readAll(short, x.db, name, x.now().Add(-recent))
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		x.log.InfoContext(ctx, "not all was looked for that a predecessor may have left; the broker hands it out again in a few seconds", "found", len(r.sagas))
		return nil
	}
	return err
}

func (r *resumption) readAll(ctx context.Context, db *sql.DB, name string, since time.Time) (err error) {
	rows, err := db.QueryContext(ctx, `SELECT DISTINCT saga FROM skald_token WHERE owner = ? AND updated_us >= ? ORDER BY saga DESC`, name, since.UnixMicro())
	if err != nil {
		return fmt.Errorf("reading what was heard last: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var saga journal.SagaID
		if err := rows.Scan(&saga); err != nil {
			return fmt.Errorf("reading what was heard last: %w", err)
		}
		r.sagas[saga] = true
	}
	return rows.Err()
}

// taken says that a saga's work was looked at.
func (r *resumption) taken(saga journal.SagaID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sagas, saga)
}

// due lists at most so many sagas that were not looked at yet.
func (r *resumption) due(limit int) (all []participant.Waiting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for saga := range r.sagas {
		if len(all) == limit {
			break
		}
		all = append(all, participant.Waiting{Saga: saga, Phase: participant.Action})
	}
	return all
}

// Due implements participant.Desk. What a predecessor left comes first.
func (x *inbox) Due(ctx context.Context, limit int) ([]participant.Waiting, error) {
	left := x.left.due(limit)
	waiting, err := x.Participant.Due(ctx, limit-len(left))
	return append(left, waiting...), err
}
