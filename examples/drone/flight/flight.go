// Package flight is the simulated flight of one delivery: from where the drone stands to the pickup point, and on to the drop-off. Where a drone is at a moment is a pure function of
// its plan, so nothing has to be written while it flies and nothing is lost when programs stop.
//
// Time runs faster in the air than on the clock, by the plan's factor: a flight of ten minutes takes ten seconds at a factor of 60. There is no wind, and no way around anything.
package flight

import (
	"time"

	"github.com/skaldhq/skald/examples/drone/geo"
)

// Limits of Factor, and its default.
const (
	MinFactor     = 40 // so that no flight lasts as long as silence that is an incident, see deliver.Silence
	MaxFactor     = 10_000
	DefaultFactor = 60
)

// Loading is how long a drone stands at the pickup point to be loaded, in the air's time.
const Loading = time.Minute

// Laden is how much more of the battery a metre takes with a full load.
const Laden = 0.5

// Plan is a flight. Times are on the clock.
type Plan struct {
	Base, Pickup, Dropoff geo.Point
	Speed                 float64 // m/s
	Factor                float64 // how much faster than on the clock time runs

	Depart time.Time // from the base
	Ready  time.Time // at the pickup point, landed
	Leave  time.Time // the pickup point, loaded
	Arrive time.Time // at the drop-off
}

// lasts is how long so many metres, and so much time on the ground, take on the clock.
func (p *Plan) lasts(metres float64, ground time.Duration) time.Duration {
	seconds := (metres/p.Speed + ground.Seconds()) / p.Factor
	return time.Duration(seconds * float64(time.Second)).Truncate(time.Microsecond)
}

// New plans a flight that begins now, or later so as to pick up no earlier than at a time; the zero time is now.
func New(base, pickup, dropoff geo.Point, speed, factor float64, now, pickupTime time.Time) Plan {
	p := Plan{Base: base, Pickup: pickup, Dropoff: dropoff, Speed: speed, Factor: factor}
	now = now.Truncate(time.Microsecond)
	p.Depart = later(now, pickupTime.Add(-p.lasts(geo.Distance(base, pickup), 0)))
	p.Ready = p.Depart.Add(p.lasts(geo.Distance(base, pickup), 0))
	return p.leaveAt(p.Ready.Add(p.lasts(0, Loading)))
}

// leaveAt lets the drone leave the pickup point at a time.
func (p Plan) leaveAt(t time.Time) Plan {
	p.Leave = t.Truncate(time.Microsecond)
	p.Arrive = p.Leave.Add(p.lasts(geo.Distance(p.Pickup, p.Dropoff), 0))
	return p
}

// Postponed is the flight with another pickup time. A drone that has not departed stays until it must; one that is on its way, or there, waits at the pickup point. What is past stays
// as it was, so it must not have left the pickup point yet.
func (p Plan) Postponed(now, pickupTime time.Time) Plan {
	now = now.Truncate(time.Microsecond)
	if now.Before(p.Depart) {
		return New(p.Base, p.Pickup, p.Dropoff, p.Speed, p.Factor, now, pickupTime)
	}
	return p.leaveAt(later(later(p.Ready, pickupTime), now).Add(p.lasts(0, Loading)))
}

// Left is the flight of a drone that left the pickup point at this time, no earlier than planned.
func (p Plan) Left(now time.Time) Plan { return p.leaveAt(later(p.Leave, now)) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Leg is a part of a flight.
type Leg string

// The legs.
const (
	AtBase    Leg = "at_base"
	ToPickup  Leg = "to_pickup"
	AtPickup  Leg = "at_pickup"
	ToDropoff Leg = "to_dropoff"
	AtDropoff Leg = "at_dropoff"
)

// Position is where a drone is at a moment.
type Position struct {
	Leg     Leg
	At      geo.Point
	Heading float64 // degrees clockwise from north, where it flies or will fly next
	Flown   float64 // metres since the base
}

// At is where the drone is. shipped says whether it was let go from the pickup point: until then it stays there.
func (p *Plan) At(now time.Time, shipped bool) Position {
	first, second := geo.Distance(p.Base, p.Pickup), geo.Distance(p.Pickup, p.Dropoff)
	out, on := geo.Bearing(p.Base, p.Pickup), geo.Bearing(p.Pickup, p.Dropoff)
	switch {
	case now.Before(p.Depart):
		return Position{AtBase, p.Base, out, 0}
	case now.Before(p.Ready):
		part := share(p.Depart, p.Ready, now)
		return Position{ToPickup, geo.Between(p.Base, p.Pickup, part), out, part * first}
	case now.Before(p.Leave) || !shipped:
		return Position{AtPickup, p.Pickup, on, first}
	case now.Before(p.Arrive):
		part := share(p.Leave, p.Arrive, now)
		return Position{ToDropoff, geo.Between(p.Pickup, p.Dropoff, part), on, first + part*second}
	}
	return Position{AtDropoff, p.Dropoff, on, first + second}
}

// share is how much of the time between two moments has passed.
func share(from, to, now time.Time) float64 {
	return float64(now.Sub(from)) / float64(to.Sub(from))
}

// Used is how much of a full battery a whole flight takes: the way to the pickup point empty, the way on with a load.
func Used(base, pickup, dropoff geo.Point, load, capacity, reach float64) float64 {
	return (geo.Distance(base, pickup) + geo.Distance(pickup, dropoff)*(1+Laden*load/capacity)) / reach
}
