package webhook

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/skaldhq/skald"
)

// State is how far a delivery is.
type State string

// The states.
const (
	Waiting   State = "waiting"   // to be made, or made again
	Delivered State = "delivered" // the endpoint took it
	GivenUp   State = "given up"  // it was tried for days; Again tries it anew
)

// Delivery is one message for one endpoint.
type Delivery struct {
	ID       string // of the message, the same in every attempt
	Saga     skald.SagaID
	Endpoint string
	State    State
	Attempts int
	Status   int       // HTTP status of the last attempt; 0 if there was no answer
	Error    string    // of the last attempt
	Made     time.Time // when the saga's end was seen
	Due      time.Time // of the next attempt, or when the last one was

	body []byte
}

// ErrNotFound says that there is no such delivery.
var ErrNotFound = errors.New("webhook: no such delivery")

// Deliveries lists the latest deliveries, newest first, at most limit. Empty conditions select all.
func (s *Sender) Deliveries(ctx context.Context, saga skald.SagaID, state State, limit int) ([]Delivery, error) {
	return s.list(ctx, `WHERE (?1 = '' OR saga = ?1) AND (?2 = '' OR state = ?2) ORDER BY made DESC, id LIMIT ?3`, saga, state, limit)
}

func (s *Sender) list(ctx context.Context, where string, args ...any) (all []Delivery, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, saga, endpoint, body, state, attempts, status, error, made, due FROM deliveries `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d Delivery
		var made, due int64
		if err := rows.Scan(&d.ID, &d.Saga, &d.Endpoint, &d.body, &d.State, &d.Attempts, &d.Status, &d.Error, &made, &due); err != nil {
			return nil, err
		}
		d.Made, d.Due = time.UnixMilli(made).UTC(), time.UnixMilli(due).UTC()
		all = append(all, d)
	}
	return all, rows.Err()
}

// Again makes a delivery once more, from its first attempt on, whatever became of it.
func (s *Sender) Again(ctx context.Context, id string) error {
	r, err := s.db.ExecContext(ctx, `UPDATE deliveries SET state = 'waiting', attempts = 0, due = ? WHERE id = ?`, s.Now().UnixMilli(), id)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return cmp.Or(err, ErrNotFound)
	}
	return nil
}
