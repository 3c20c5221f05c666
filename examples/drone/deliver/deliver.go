// Package deliver is the saga that delivers a parcel by drone: the only place that knows all three services, and it knows only their contracts. Who registers it with an engine chooses the mode; in the
// demonstration nobody sits in the middle, and the services hear of each other over the broker.
package deliver

import (
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
)

// Name is the definition's durable name.
const Name = "delivery"

// DefaultDeadline is how long a delivery may take until the drone has left the pickup point.
const DefaultDeadline = 10 * time.Minute

// A step that has not ended after Silence is an incident. That is longer than a drone waits for its pickup, which may be MaxAhead ahead, and than it flies at flight.MinFactor: so what shows is a service that is
// away, within a minute, and no drone that is on its way.
const (
	Silence  = 50 * time.Second
	MaxAhead = 40 * time.Second
)

// Request is what a client asks for. The delivery's id is the saga's.
type Request struct {
	Delivery     string    `json:"delivery"`
	Owner        string    `json:"owner"`
	Pickup       string    `json:"pickup"`
	Dropoff      string    `json:"dropoff"`
	PickupTime   time.Time `json:"pickup_time,omitzero"` // zero is now
	Deadline     time.Time `json:"deadline,omitzero"`    // zero is none
	Expedited    bool      `json:"expedited"`
	Confirmation string    `json:"confirmation"`
	Package      Package   `json:"package"`
}

// Package is what is to be delivered.
type Package struct {
	ID     string  `json:"id"`
	Size   string  `json:"size"`
	Weight float64 `json:"weight_kg"`
	Tag    string  `json:"tag"`
}

// Definition is the saga. All services and the program that starts it must have the same one. A deadline of 0 is DefaultDeadline.
func Definition(deadline time.Duration) (*skald.Saga[Request], error) {
	if deadline == 0 {
		deadline = DefaultDeadline
	}
	s := skald.Define[Request](Name, append(remedies(), skald.Deadline(deadline), skald.IncidentAfter(Silence))...)

	pack := skald.Step(s, parcel.Upsert, skald.From(toUpsert), skald.After(), soon)
	craft := skald.Step(s, drone.Assign, skald.From(toAssign), skald.After(), soon, patiently)
	begun := skald.Step(s, delivery.Start, skald.From2(pack, craft, toStart), soon)
	gone := skald.Step(s, delivery.Ship, skald.From(toShip), skald.After(begun))
	there := skald.Step(s, delivery.Complete, skald.From(toComplete), skald.After(gone))

	skald.Step(s, drone.Release, skald.From1(there, toRelease), skald.After(there), soon)
	skald.Step(s, delivery.Notify, skald.From(toNotify), skald.After(there), soon)
	return s.Build()
}

// soon bounds what waits for no drone in the air: longer is a service that is away, which turns the saga back, or after the pivot opens an incident.
var soon = skald.Deadline(time.Minute)

// patiently asks three times for a drone before the request is set aside for a while; see remedies.
var patiently = skald.Retries(skald.Retry{Initial: 200 * time.Millisecond, Cap: time.Second, Attempts: 3})

func toUpsert(r Request) parcel.UpsertRequest {
	return parcel.UpsertRequest{Delivery: r.Delivery, Package: r.Package.ID, Size: r.Package.Size, Weight: r.Package.Weight, Tag: r.Package.Tag}
}

func toAssign(r Request) drone.AssignRequest {
	return drone.AssignRequest{Delivery: r.Delivery, Pickup: r.Pickup, Dropoff: r.Dropoff, Weight: r.Package.Weight, Expedited: r.Expedited}
}

func toStart(r Request, p parcel.Upserted, a drone.Assignment) delivery.StartRequest {
	return delivery.StartRequest{
		Delivery: r.Delivery, Owner: r.Owner, Pickup: r.Pickup, Dropoff: r.Dropoff, PickupTime: r.PickupTime, Deadline: r.Deadline,
		Expedited: r.Expedited, Confirmation: r.Confirmation, Package: p.Package, Size: p.Size, Weight: p.Weight,
		Drone: a.Drone, Base: a.Base, Speed: a.Speed, Capacity: a.Capacity, Range: a.Range, Battery: a.Battery,
	}
}

func toShip(r Request) delivery.ShipRequest { return delivery.ShipRequest{Delivery: r.Delivery} }

func toComplete(r Request) delivery.CompleteRequest {
	return delivery.CompleteRequest{Delivery: r.Delivery}
}

func toRelease(r Request, c delivery.Completed) drone.ReleaseRequest {
	return drone.ReleaseRequest{Delivery: r.Delivery, At: c.Dropoff, Used: c.Used}
}

func toNotify(r Request) delivery.NotifyRequest { return delivery.NotifyRequest{Delivery: r.Delivery} }
