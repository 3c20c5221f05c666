package delivery

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/participant"
)

// cancel decides about a cancel: before the drone has left the pickup point it is taken, and the delivery will not be shipped.
func (s *service) cancel(ctx context.Context, tx participant.Tx, in command.Cancel) (contract.Event, error) {
	now := time.Now()
	r, err := find(ctx, tx, in.Delivery)
	if errors.Is(err, sql.ErrNoRows) {
		const wish = `INSERT INTO wishes (delivery, cancelled) VALUES (?, 1) ON CONFLICT (delivery) DO UPDATE SET cancelled = 1`
		if _, err := tx.ExecContext(ctx, wish, in.Delivery); err != nil {
			return contract.Event{}, fmt.Errorf("noting that delivery %s is cancelled: %w", in.Delivery, err)
		}
		return contract.Event{Delivery: in.Delivery, Stage: contract.StageCancelled, Reason: contract.ReasonCancelled}, nil
	}
	if err != nil {
		return contract.Event{}, err
	}
	if err := r.changeable(); err != nil {
		return contract.Event{}, err
	}
	if r.state == withdrawn || r.reason != "" { // cancelled before
		return r.event(now), nil
	}
	r.reason = "cancelled by " + in.By
	if in.Reason != "" {
		r.reason += ": " + in.Reason
	}
	if r.byClient {
		return r.event(now), r.withdraw(ctx, tx)
	}
	return r.event(now), r.update(ctx, tx, now)
}

// changeable refuses to change what cannot be changed any more.
func (r *row) changeable() error {
	switch r.state {
	case shipped:
		return skald.Refuse(contract.ReasonShipped, "the drone has left the pickup point")
	case completed:
		return skald.Refuse(contract.ReasonEnded, "the delivery was made")
	}
	return nil
}

// reschedule decides about another time.
func (s *service) reschedule(ctx context.Context, tx participant.Tx, in command.Reschedule) (contract.Event, error) {
	now := time.Now()
	r, err := find(ctx, tx, in.Delivery)
	if errors.Is(err, sql.ErrNoRows) {
		return s.wish(ctx, tx, in)
	}
	if err != nil {
		return contract.Event{}, err
	}
	if err := r.changeable(); err != nil {
		return contract.Event{}, err
	}
	if r.state == withdrawn || r.reason != "" {
		return contract.Event{}, skald.Refuse(contract.ReasonEnded, "the delivery was cancelled")
	}
	if in.Deadline != nil {
		r.deadline.Time = *in.Deadline
	}
	if in.PickupTime != nil {
		r.pickupTime.Time = *in.PickupTime
		r.rescheduled = untilDeparture
		if !now.Before(r.plan.Depart) {
			r.rescheduled = untilShipped
		}
		r.plan = r.plan.Postponed(now, r.pickupTime.Time)
	}
	if err := r.possible(now); err != nil {
		return contract.Event{}, err
	}
	if in.PickupTime == nil && r.rescheduled == 0 {
		r.rescheduled = untilDeparture
	}
	return r.event(now), r.update(ctx, tx, now)
}

// wish keeps another time for a delivery that has not begun. Whether it can be kept is seen when it begins.
func (s *service) wish(ctx context.Context, tx participant.Tx, in command.Reschedule) (contract.Event, error) {
	const wish = `INSERT INTO wishes (delivery, has_pickup, pickup_us, has_deadline, deadline_us) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (delivery) DO UPDATE SET
		pickup_us = iif(excluded.has_pickup, excluded.pickup_us, pickup_us), has_pickup = max(has_pickup, excluded.has_pickup),
		deadline_us = iif(excluded.has_deadline, excluded.deadline_us, deadline_us), has_deadline = max(has_deadline, excluded.has_deadline)
		RETURNING pickup_us, deadline_us`
	var pickup, deadline bus.Moment
	err := tx.QueryRowContext(ctx, wish, in.Delivery, in.PickupTime != nil, bus.Micros(in.PickupTime), in.Deadline != nil, bus.Micros(in.Deadline)).Scan(&pickup, &deadline)
	if err != nil {
		return contract.Event{}, fmt.Errorf("noting another time for delivery %s: %w", in.Delivery, err)
	}
	e := contract.Event{Delivery: in.Delivery, Stage: contract.Rescheduled} // all that was asked so far, as an event of a delivery that has begun: those who note it keep nothing from before
	if !pickup.IsZero() {
		e.PickupTime = &pickup.Time
	}
	if !deadline.IsZero() {
		e.Deadline = &deadline.Time
	}
	return e, nil
}
