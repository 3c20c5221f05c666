package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald/examples/drone/bus"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// states of a delivery.
const (
	started   = "started"
	shipped   = "shipped"
	completed = "completed"
	withdrawn = "withdrawn"
)

// How long a new time shows as the stage Rescheduled.
const (
	untilDeparture = 1
	untilShipped   = 2
)

// row is a delivery.
type row struct {
	id, owner, pack, drone, confirmation string
	expedited, byClient, departed        bool
	state, reason                        string
	rescheduled                          int
	pickupTime, deadline                 bus.Moment // as agreed
	plan                                 flight.Plan
	used                                 float64
	created                              bus.Moment
}

const columns = `id, owner, package, drone, expedited, confirmation, state, by_client, departed, rescheduled, reason, pickup_us, deadline_us,
	base_lat, base_lon, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon, speed_mps, factor, depart_us, ready_us, leave_us, arrive_us, used, created_us`

type scanner interface{ Scan(into ...any) error }

func scan(from scanner) (row, error) {
	var r row
	p := &r.plan
	var depart, ready, leave, arrive bus.Moment
	err := from.Scan(&r.id, &r.owner, &r.pack, &r.drone, &r.expedited, &r.confirmation, &r.state, &r.byClient, &r.departed, &r.rescheduled, &r.reason, &r.pickupTime, &r.deadline,
		&p.Base.Lat, &p.Base.Lon, &p.Pickup.Lat, &p.Pickup.Lon, &p.Dropoff.Lat, &p.Dropoff.Lon, &p.Speed, &p.Factor, &depart, &ready, &leave, &arrive, &r.used, &r.created)
	p.Depart, p.Ready, p.Leave, p.Arrive = depart.Time, ready.Time, leave.Time, arrive.Time
	return r, err
}

// find returns a delivery, or an error that wraps sql.ErrNoRows.
func find(ctx context.Context, tx participant.Tx, id string) (row, error) {
	r, err := scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM deliveries WHERE id = ?`, id))
	if err != nil {
		return r, fmt.Errorf("reading delivery %s: %w", id, err)
	}
	return r, nil
}

// insert writes a new delivery.
func (r *row) insert(ctx context.Context, tx participant.Tx, now time.Time) error {
	const insert = `INSERT INTO deliveries (` + columns + `, changed_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	p := &r.plan
	_, err := tx.ExecContext(ctx, insert, r.id, r.owner, r.pack, r.drone, r.expedited, r.confirmation, r.state, r.byClient, r.departed, r.rescheduled, r.reason,
		bus.Micros(&r.pickupTime.Time), bus.Micros(&r.deadline.Time), p.Base.Lat, p.Base.Lon, p.Pickup.Lat, p.Pickup.Lon, p.Dropoff.Lat, p.Dropoff.Lon, p.Speed, p.Factor,
		p.Depart.UnixMicro(), p.Ready.UnixMicro(), p.Leave.UnixMicro(), p.Arrive.UnixMicro(), r.used, now.UnixMicro(), now.UnixMicro())
	if err != nil {
		return fmt.Errorf("writing delivery %s: %w", r.id, err)
	}
	return nil
}

// update writes what can change of a delivery.
func (r *row) update(ctx context.Context, tx participant.Tx, now time.Time) error {
	const update = `UPDATE deliveries SET owner = ?, expedited = ?, confirmation = ?, state = ?, departed = ?, rescheduled = ?, reason = ?, pickup_us = ?, deadline_us = ?,
		dropoff_lat = ?, dropoff_lon = ?, depart_us = ?, ready_us = ?, leave_us = ?, arrive_us = ?, used = ?, changed_us = max(changed_us, ?) WHERE id = ?`
	p := &r.plan
	res, err := tx.ExecContext(ctx, update, r.owner, r.expedited, r.confirmation, r.state, r.departed, r.rescheduled, r.reason, bus.Micros(&r.pickupTime.Time), bus.Micros(&r.deadline.Time),
		p.Dropoff.Lat, p.Dropoff.Lon, p.Depart.UnixMicro(), p.Ready.UnixMicro(), p.Leave.UnixMicro(), p.Arrive.UnixMicro(), r.used, now.UnixMicro(), r.id)
	if err != nil {
		return fmt.Errorf("writing delivery %s: %w", r.id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("delivery %s is gone", r.id))
	}
	return nil
}

// stage is how far a delivery is at a moment.
func (r *row) stage(now time.Time) contract.Stage {
	switch {
	case r.state == withdrawn:
		return contract.StageCancelled
	case r.state == completed:
		return contract.StageCompleted
	case r.state == shipped:
		return contract.HeadedToDropoff
	case r.rescheduled == untilShipped, r.rescheduled == untilDeparture && now.Before(r.plan.Depart):
		return contract.Rescheduled
	case now.Before(r.plan.Depart):
		return contract.Created
	}
	return contract.HeadedToPickup
}

// gone says whether the drone was let go from the pickup point.
func (r *row) gone() bool { return r.state == shipped || r.state == completed }

// position is where the drone is.
func (r *row) position(now time.Time) flight.Position { return r.plan.At(now, r.gone()) }

// event is what is published of a delivery at a moment.
func (r *row) event(now time.Time) contract.Event {
	at, pickup, arrive := r.position(now).At, r.plan.Ready, r.plan.Arrive
	e := contract.Event{Delivery: r.id, Owner: r.owner, Drone: r.drone, Stage: r.stage(now), LastKnownLocation: &at}
	if r.reason != "" {
		e.Reason, e.Detail = contract.ReasonCancelled, r.reason
	}
	if r.state != withdrawn {
		e.PickupETA, e.DeliveryETA = &pickup, &arrive
	}
	if !r.pickupTime.IsZero() {
		e.PickupTime = &r.pickupTime.Time
	}
	if !r.deadline.IsZero() {
		e.Deadline = &r.deadline.Time
	}
	return e
}

// publish puts an event into the outbox of the handler that runs under ctx.
func publish(ctx context.Context, eventType string, e contract.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return sqlparticipant.Publish(ctx, sqlparticipant.Event{Type: eventType, Data: data})
}
