package drone

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/area"
	contract "github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/participant"
)

const (
	// reserve is what must be left in a battery at the drop-off, so that no drone falls from the sky.
	reserve = 0.15
	// charging is how long an idle drone takes to charge from empty to full, in the fleet's time: crews swap batteries where it stands.
	charging = 20 * time.Minute
	// askAgain is when somebody who found no drone free may ask again.
	askAgain = 200 * time.Millisecond
)

// states of an assignment.
const (
	assigned = "assigned"
	freed    = "freed"    // the delivery was withdrawn
	released = "released" // the delivery was made
)

// craft is a drone as it is now.
type craft struct {
	id, name               string
	capacity, speed, reach float64
	at                     geo.Point
	battery                float64
	delivery               sql.NullString // that has it
}

// order is what a drone is wanted for.
type order struct {
	delivery        string
	pickup, dropoff geo.Point
	weight          float64
	expedited       bool
	byClient        bool
}

// orderOf reads what a request asks for, or refuses it for what no drone could change.
func orderOf(in contract.AssignRequest) (order, error) {
	o := order{delivery: in.Delivery, weight: in.Weight, expedited: in.Expedited}
	var err error
	if o.pickup, err = geo.Parse(in.Pickup); err != nil {
		return o, skald.Refuse(contract.ReasonLocation, "the pickup location %.80q: %v", in.Pickup, err)
	}
	if o.dropoff, err = geo.Parse(in.Dropoff); err != nil {
		return o, skald.Refuse(contract.ReasonLocation, "the drop-off location %.80q: %v", in.Dropoff, err)
	}
	nearest := math.Inf(1)
	for _, d := range area.Depots() {
		nearest = min(nearest, geo.Distance(d.At, o.pickup))
	}
	if nearest > area.Reach {
		return o, skald.Refuse(contract.ReasonRange, "the pickup is %.1f km from the nearest depot, and %.1f km are served", nearest/1000, float64(area.Reach)/1000)
	}
	return o, nil
}

// assign gives a delivery of a saga its drone.
func (s service) assign(ctx context.Context, tx participant.Tx, in contract.AssignRequest) (contract.Assignment, error) {
	o, err := orderOf(in)
	if err != nil {
		return contract.Assignment{}, err
	}
	a, _, err := s.give(ctx, tx, o)
	return a, err
}

// give finds the drone that a delivery has, or gives it the one that suits it. The transaction holds the database's write lock since it began, so nobody else chooses meanwhile.
func (s service) give(ctx context.Context, tx participant.Tx, o order) (a contract.Assignment, created bool, err error) {
	a, state, err := assignmentOf(ctx, tx, o.delivery)
	switch {
	case err == nil && state == assigned:
		return a, false, s.adopt(ctx, tx, o)
	case err == nil:
		return a, false, skald.Refuse(contract.ReasonCancelled, "delivery %s had drone %s, which was %s", o.delivery, a.Drone, state)
	case !errors.Is(err, sql.ErrNoRows):
		return a, false, fmt.Errorf("looking for the drone of delivery %s: %w", o.delivery, err)
	}
	var cancelled bool
	err = tx.QueryRowContext(ctx, `SELECT cancelled FROM notes WHERE delivery = ?`, o.delivery).Scan(&cancelled)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return a, false, fmt.Errorf("looking for notes on delivery %s: %w", o.delivery, err)
	}
	if cancelled {
		return a, false, skald.Refuse(contract.ReasonCancelled, "delivery %s was cancelled", o.delivery)
	}
	fleet, err := s.crafts(ctx, tx)
	if err != nil {
		return a, false, err
	}
	best, err := choose(fleet, o)
	if err != nil {
		return a, false, err
	}
	const give = `INSERT INTO assignments (delivery, drone, state, by_client, pickup, dropoff, weight_kg, lat, lon, battery, changed_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	_, err = tx.ExecContext(ctx, give, o.delivery, best.id, assigned, o.byClient, o.pickup.String(), o.dropoff.String(), o.weight, best.at.Lat, best.at.Lon, best.battery, time.Now().UnixMicro())
	if err != nil {
		return a, false, fmt.Errorf("assigning drone %s to delivery %s: %w", best.id, o.delivery, err)
	}
	return contract.Assignment{Drone: best.id, Base: best.at, Speed: best.speed, Capacity: best.capacity, Range: best.reach, Battery: best.battery}, true, nil
}

// adopt notes that a saga has the drone now, so that no client takes it away.
func (s service) adopt(ctx context.Context, tx participant.Tx, o order) error {
	if o.byClient {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE assignments SET by_client = 0 WHERE delivery = ?`, o.delivery); err != nil {
		return fmt.Errorf("keeping the drone of delivery %s: %w", o.delivery, err)
	}
	return nil
}

// choose picks from the drones that are free and can do it: the one that uses the least of its battery's charge to fly to the pickup point, so that heavy ones stay for what is heavy; for an expedited delivery
// the one that is there first.
func choose(fleet []craft, o order) (craft, error) {
	var carry, could bool
	var able []craft
	for _, c := range fleet {
		if c.capacity < o.weight {
			continue
		}
		carry = true
		need := flight.Used(c.at, o.pickup, o.dropoff, o.weight, c.capacity, c.reach) + reserve
		could = could || need <= 1 // from where it is, on a full battery
		if !c.delivery.Valid && c.battery >= need {
			able = append(able, c)
		}
	}
	switch {
	case !carry:
		return craft{}, skald.Refuse(contract.ReasonTooHeavy, "%g kg: no drone of the fleet can carry it", o.weight)
	case !could:
		return craft{}, skald.Refuse(contract.ReasonRange, "the way is too long for every drone: choose a drop-off nearer to the pickup")
	case len(able) == 0:
		return craft{}, skald.Later(contract.ReasonNone, askAgain, "every drone that could do it is on its way or charges")
	}
	cost := func(c craft) float64 {
		way := geo.Distance(c.at, o.pickup)
		if o.expedited {
			return way / c.speed
		}
		return (way + 500) * c.capacity // half a kilometre to take off: with none to fly the lighter one goes
	}
	return slices.MinFunc(able, func(a, b craft) int { return cmp.Or(cmp.Compare(cost(a), cost(b)), cmp.Compare(a.id, b.id)) }), nil
}

// assignmentOf returns the drone that a delivery has or had, or sql.ErrNoRows.
func assignmentOf(ctx context.Context, tx participant.Tx, delivery string) (a contract.Assignment, state string, err error) {
	const find = `SELECT a.drone, a.state, a.lat, a.lon, a.battery, d.speed_mps, d.capacity_kg, d.range_m FROM assignments a JOIN drones d ON d.id = a.drone WHERE a.delivery = ?`
	err = tx.QueryRowContext(ctx, find, delivery).Scan(&a.Drone, &state, &a.Base.Lat, &a.Base.Lon, &a.Battery, &a.Speed, &a.Capacity, &a.Range)
	return a, state, err
}

// crafts returns the whole fleet as it is now.
func (s service) crafts(ctx context.Context, tx participant.Tx) ([]craft, error) {
	rows, err := tx.QueryContext(ctx, `SELECT d.id, d.name, d.capacity_kg, d.speed_mps, d.range_m, d.lat, d.lon, d.battery, d.battery_us, a.delivery
		FROM drones d LEFT JOIN assignments a ON a.drone = d.id AND a.state = 'assigned' ORDER BY d.id`)
	if err != nil {
		return nil, fmt.Errorf("reading the fleet: %w", err)
	}
	defer rows.Close()
	var fleet []craft
	now := time.Now()
	for rows.Next() {
		var c craft
		var since int64
		if err := rows.Scan(&c.id, &c.name, &c.capacity, &c.speed, &c.reach, &c.at.Lat, &c.at.Lon, &c.battery, &since, &c.delivery); err != nil {
			return nil, fmt.Errorf("reading the fleet: %w", err)
		}
		if !c.delivery.Valid {
			c.battery = s.charged(c.battery, now.Sub(time.UnixMicro(since)))
		}
		fleet = append(fleet, c)
	}
	return fleet, rows.Err()
}

// charged is the charge of a battery after a drone was idle for a time on the clock.
func (s service) charged(battery float64, idle time.Duration) float64 {
	return min(1, battery+max(0, idle.Seconds())*s.factor/charging.Seconds())
}

// free is what assign is undone with: the drone is where it stood, with the charge it had.
func (s service) free(ctx context.Context, tx participant.Tx, in contract.AssignRequest, done contract.Assignment) error {
	return s.end(ctx, tx, in.Delivery, freed, done.Drone, done.Base, done.Battery)
}

// release lets the drone of a delivery that was made be assigned again.
func (s service) release(ctx context.Context, tx participant.Tx, in contract.ReleaseRequest) (contract.Released, error) {
	a, state, err := assignmentOf(ctx, tx, in.Delivery)
	if err != nil {
		return contract.Released{}, fmt.Errorf("looking for the drone of delivery %s: %w", in.Delivery, err)
	}
	out := contract.Released{Drone: a.Drone, Battery: max(0, a.Battery-in.Used)}
	if state == released {
		return out, nil
	}
	return out, s.end(ctx, tx, in.Delivery, released, a.Drone, in.At, out.Battery)
}

// end takes a drone back.
func (s service) end(ctx context.Context, tx participant.Tx, delivery, state, drone string, at geo.Point, battery float64) error {
	now := time.Now().UnixMicro()
	res, err := tx.ExecContext(ctx, `UPDATE assignments SET state = ?, changed_us = max(changed_us, ?) WHERE delivery = ? AND drone = ? AND state = 'assigned'`, state, now, delivery, drone)
	if err != nil {
		return fmt.Errorf("taking drone %s back from delivery %s: %w", drone, delivery, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("delivery %s does not have drone %s", delivery, drone))
	}
	if _, err := tx.ExecContext(ctx, `UPDATE drones SET lat = ?, lon = ?, battery = ?, battery_us = ? WHERE id = ?`, at.Lat, at.Lon, battery, now, drone); err != nil {
		return fmt.Errorf("putting drone %s back: %w", drone, err)
	}
	return nil
}
