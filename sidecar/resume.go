package sidecar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// recent is how far back a sidecar looks, when it starts, for sagas that its predecessor may have died over. What is older the broker has handed out again by then.
const recent = 5 * time.Minute

// resumption is what is left of a predecessor: sagas of which something was heard and perhaps not all was done. Their tokens come again from the broker, but only when the
// predecessor's locks have run out, and until then the sagas would stand still.
type resumption struct {
	mu    sync.Mutex
	sagas map[journal.SagaID]bool
}

// read finds the sagas that the database heard of lately, from the last token that it wrote backwards.
func (r *resumption) read(ctx context.Context, x *inbox, name string) (err error) {
	rows, err := x.db.QueryContext(ctx, `SELECT owner, saga, updated_us FROM skald_token ORDER BY seq DESC`)
	if err != nil {
		return fmt.Errorf("reading what was heard last: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r.sagas = make(map[journal.SagaID]bool)
	since := x.now().Add(-recent).UnixMicro()
	for rows.Next() {
		var owner string
		var saga journal.SagaID
		var at int64
		if err := rows.Scan(&owner, &saga, &at); err != nil {
			return fmt.Errorf("reading what was heard last: %w", err)
		}
		if at < since {
			return nil
		}
		if owner == name {
			r.sagas[saga] = true
		}
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
