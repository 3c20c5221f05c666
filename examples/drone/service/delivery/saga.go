package delivery

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/bus"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/participant"
)

// look is how soon a flight is looked at again at the latest: so soon it is noticed that it was cancelled, or postponed.
const look = 500 * time.Millisecond

// start joins the package and the drone into a delivery.
func (s *service) start(ctx context.Context, tx participant.Tx, in contract.StartRequest) (contract.Started, error) {
	if old, err := find(ctx, tx, in.Delivery); err == nil {
		return contract.Started{}, skald.Refuse(contract.ReasonDoubled, "delivery %s is there already, for %s", in.Delivery, old.owner)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return contract.Started{}, err
	}
	now := time.Now()
	r := row{
		id: in.Delivery, owner: in.Owner, pack: in.Package, drone: in.Drone, expedited: in.Expedited, confirmation: in.Confirmation, state: started,
		pickupTime: bus.Moment{Time: in.PickupTime}, deadline: bus.Moment{Time: in.Deadline},
	}
	if err := wished(ctx, tx, &r); err != nil {
		return contract.Started{}, err
	}
	pickup, dropoff, err := addresses(in.Pickup, in.Dropoff)
	if err != nil {
		return contract.Started{}, err
	}
	if in.Weight > in.Capacity {
		return contract.Started{}, skald.Refuse(contract.ReasonGoods, "%g kg: drone %s carries %g kg", in.Weight, in.Drone, in.Capacity)
	}
	if r.used = flight.Used(in.Base, pickup, dropoff, in.Weight, in.Capacity, in.Range); r.used > in.Battery {
		return contract.Started{}, skald.Refuse(contract.ReasonRange, "the way takes %.0f%% of drone %s's battery, which has %.0f%%", r.used*100, in.Drone, in.Battery*100)
	}
	r.plan = flight.New(in.Base, pickup, dropoff, in.Speed, s.factor, now, r.pickupTime.Time)
	if err := r.possible(now); err != nil {
		return contract.Started{}, err
	}
	if err := r.insert(ctx, tx, now); err != nil {
		return contract.Started{}, err
	}
	return contract.Started{PickupETA: r.plan.Ready, DeliveryETA: r.plan.Arrive}, publish(ctx, contract.EventCreated, r.event(now))
}

// addresses reads where a parcel is picked up and dropped off, or refuses what cannot be served.
func addresses(pickup, dropoff string) (from, to geo.Point, err error) {
	for _, x := range []struct {
		what, text string
		into       *geo.Point
	}{{"pickup", pickup, &from}, {"drop-off", dropoff, &to}} {
		if *x.into, err = geo.Parse(x.text); err != nil {
			return from, to, skald.Refuse(contract.ReasonAddress, "the %s location %.80q: %v", x.what, x.text, err)
		}
		if !area.Inside(*x.into) {
			return from, to, skald.Refuse(contract.ReasonAddress, "the %s %s is out of bounds", x.what, x.into)
		}
		for _, z := range area.NoFly() {
			if z.Contains(*x.into) {
				return from, to, skald.Refuse(contract.ReasonAddress, "the %s %s lies in the no-fly zone %s", x.what, x.into, z.Name)
			}
		}
	}
	return from, to, nil
}

// possible refuses times that cannot be kept.
func (r *row) possible(now time.Time) error {
	if ahead := r.pickupTime.Sub(now); ahead > deliver.MaxAhead {
		return skald.Refuse(contract.ReasonPickupTime, "the pickup is %s ahead, and %s is the most", ahead.Round(time.Second), deliver.MaxAhead)
	}
	if !r.deadline.IsZero() && r.plan.Arrive.After(r.deadline.Time) {
		return skald.Refuse(contract.ReasonDeadline, "the drone is there at %s at the earliest, and the deadline is %s",
			moment(r.plan.Arrive), moment(r.deadline.Time))
	}
	return nil
}

// moment is a time for a person to read, to the tenth of a second.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0Z07:00") }

// wished applies what was asked of a delivery before it began.
func wished(ctx context.Context, tx participant.Tx, r *row) error {
	var cancelled, hasPickup, hasDeadline bool
	var pickup, deadline bus.Moment
	err := tx.QueryRowContext(ctx, `SELECT cancelled, has_pickup, pickup_us, has_deadline, deadline_us FROM wishes WHERE delivery = ?`, r.id).
		Scan(&cancelled, &hasPickup, &pickup, &hasDeadline, &deadline)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what was asked of delivery %s: %w", r.id, err)
	}
	if cancelled {
		return skald.Refuse(contract.ReasonCancelled, "delivery %s was cancelled before it began", r.id)
	}
	if hasPickup {
		r.pickupTime, r.rescheduled = pickup, untilDeparture
	}
	if hasDeadline {
		r.deadline = deadline
	}
	return nil
}

// withdraw undoes start.
func (s *service) withdraw(ctx context.Context, tx participant.Tx, in contract.StartRequest, _ contract.Started) error {
	r, err := find(ctx, tx, in.Delivery)
	if err != nil {
		return err
	}
	return r.withdraw(ctx, tx)
}

func (r *row) withdraw(ctx context.Context, tx participant.Tx) error {
	now := time.Now()
	r.state = withdrawn
	if err := r.update(ctx, tx, now); err != nil {
		return err
	}
	return publish(ctx, contract.EventCancelled, r.event(now))
}

// ship is done when the drone has left the pickup point: from then on there is no way back.
func (s *service) ship(ctx context.Context, tx participant.Tx, in contract.ShipRequest) (contract.Shipped, error) {
	r, err := find(ctx, tx, in.Delivery)
	if err != nil {
		return contract.Shipped{}, err
	}
	return r.ship(ctx, tx, time.Now())
}

func (r *row) ship(ctx context.Context, tx participant.Tx, now time.Time) (contract.Shipped, error) {
	if r.reason != "" {
		return contract.Shipped{}, skald.Refuse(contract.ReasonCancelled, "%s", r.reason)
	}
	if left := r.plan.Leave.Sub(now); left > 0 {
		return contract.Shipped{}, skald.Working(min(left, look), "the drone leaves the pickup point in %s", left.Round(time.Millisecond))
	}
	if !r.departed { // nobody has looked since it did
		if err := publish(ctx, contract.EventHeadedToPickup, r.event(now)); err != nil {
			return contract.Shipped{}, err
		}
	}
	r.state, r.departed, r.plan = shipped, true, r.plan.Left(now) // it waited for this moment, if programs were away
	if err := r.update(ctx, tx, now); err != nil {
		return contract.Shipped{}, err
	}
	e := r.event(now)
	if err := errors.Join(publish(ctx, contract.EventShipped, e), publish(ctx, contract.EventHeadedToDropoff, e)); err != nil {
		return contract.Shipped{}, err
	}
	return contract.Shipped{At: r.plan.Leave, DeliveryETA: r.plan.Arrive}, nil
}

// complete is done when the drone is at the drop-off.
func (s *service) complete(ctx context.Context, tx participant.Tx, in contract.CompleteRequest) (contract.Completed, error) {
	r, err := find(ctx, tx, in.Delivery)
	if err != nil {
		return contract.Completed{}, err
	}
	return r.complete(ctx, tx, time.Now())
}

func (r *row) complete(ctx context.Context, tx participant.Tx, now time.Time) (contract.Completed, error) {
	if left := r.plan.Arrive.Sub(now); left > 0 {
		return contract.Completed{}, skald.Working(min(left, time.Second), "the drone is at the drop-off in %s", left.Round(time.Millisecond))
	}
	r.state = completed
	if err := r.update(ctx, tx, now); err != nil {
		return contract.Completed{}, err
	}
	return contract.Completed{At: r.plan.Arrive, Dropoff: r.plan.Dropoff, Used: r.used}, publish(ctx, contract.EventCompleted, r.event(now))
}

// notify tells the owner, and who asked to be told.
func (s *service) notify(ctx context.Context, tx participant.Tx, in contract.NotifyRequest) (contract.Notified, error) {
	r, err := find(ctx, tx, in.Delivery)
	if err != nil {
		return contract.Notified{}, err
	}
	return r.notify(ctx, tx)
}

func (r *row) notify(ctx context.Context, tx participant.Tx) (contract.Notified, error) {
	now := time.Now()
	const tell = `INSERT INTO told (delivery, contact, at_us) SELECT ?1, ?2, ?3 WHERE ?2 <> '' UNION SELECT delivery, contact, ?3 FROM interested WHERE delivery = ?1
		ON CONFLICT DO NOTHING RETURNING contact`
	rows, err := tx.QueryContext(ctx, tell, r.id, r.owner, now.UnixMicro())
	if err != nil {
		return contract.Notified{}, fmt.Errorf("telling of delivery %s: %w", r.id, err)
	}
	defer rows.Close()
	e := r.event(now)
	for rows.Next() {
		var contact string
		if err := rows.Scan(&contact); err != nil {
			return contract.Notified{}, err
		}
		e.Recipients = append(e.Recipients, contact)
	}
	if err := rows.Err(); err != nil {
		return contract.Notified{}, fmt.Errorf("telling of delivery %s: %w", r.id, err)
	}
	return contract.Notified{Told: len(e.Recipients)}, publish(ctx, contract.EventNotified, e)
}
