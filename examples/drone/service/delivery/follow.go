package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/participant"
)

// glance is how often the service looks which flights have come further.
const glance = 200 * time.Millisecond

// moves are what the service does by itself as flights go on.
const (
	departs   = "departs"
	ships     = "ships"     // of a delivery that a client put: nobody else asks
	completes = "completes" // the same
)

// moving asks for a move.
type moving struct {
	Delivery string `json:"delivery"`
	Move     string `json:"move"`
}

var moveOperation = skald.Retriable[moving, struct{}]("delivery.move")

// move carries one out.
func (s *service) move(ctx context.Context, tx participant.Tx, in moving) (none struct{}, err error) {
	r, err := find(ctx, tx, in.Delivery)
	if err != nil {
		return none, err
	}
	now := time.Now()
	switch in.Move {
	case departs:
		if r.state != started || now.Before(r.plan.Depart) {
			return none, skald.Working(0, "the drone does not depart")
		}
		r.departed = true
		if err := r.update(ctx, tx, now); err != nil {
			return none, err
		}
		return none, publish(ctx, contract.EventHeadedToPickup, r.event(now))
	case ships:
		_, err = r.ship(ctx, tx, now)
	case completes:
		if _, err = r.complete(ctx, tx, now); err == nil {
			_, err = r.notify(ctx, tx)
		}
	default:
		return none, errors.New("there is no move " + in.Move)
	}
	return none, err
}

// follow looks at the flights until the context ends, and does what is due.
func (s *service) follow(ctx context.Context) {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		due, err := s.due(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "flights cannot be followed now; tried again", "error", err)
		}
		for _, m := range due {
			s.moveOn(ctx, m)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// moveOn makes a move, once: its key is the delivery and the move. What fails is logged by the desk and due again.
func (s *service) moveOn(ctx context.Context, m moving) {
	input, err := json.Marshal(m)
	if err != nil {
		s.log.ErrorContext(ctx, "a move cannot be written", "delivery", m.Delivery, "error", err)
		return
	}
	s.desk.Invoke(ctx, participant.Call{Saga: skald.SagaID(m.Delivery), Step: m.Move, Phase: participant.Action, Operation: moveOperation.Name(), Attempt: 1, Input: input})
}

// due returns the moves that are to be made now.
func (s *service) due(ctx context.Context) ([]moving, error) {
	const due = `SELECT id, 'departs' FROM deliveries WHERE state = 'started' AND departed = 0 AND depart_us <= ?1
		UNION ALL SELECT id, 'ships' FROM deliveries WHERE state = 'started' AND by_client = 1 AND reason = '' AND leave_us <= ?1
		UNION ALL SELECT id, 'completes' FROM deliveries WHERE state = 'shipped' AND by_client = 1 AND arrive_us <= ?1 LIMIT 200`
	rows, err := s.db.QueryContext(ctx, due, time.Now().UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []moving
	for rows.Next() {
		var m moving
		if err := rows.Scan(&m.Delivery, &m.Move); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}
