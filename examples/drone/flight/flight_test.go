package flight_test

import (
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/geo"
)

var (
	base    = geo.Point{Lat: 55.66, Lon: 12.54}
	pickup  = geo.Point{Lat: 55.68, Lon: 12.54}
	dropoff = geo.Point{Lat: 55.68, Lon: 12.60}
	now     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
)

func at(t *testing.T, p flight.Plan, when time.Time, shipped bool, leg flight.Leg, where geo.Point) {
	t.Helper()
	got := p.At(when, shipped)
	if got.Leg != leg || geo.Distance(got.At, where) > 1 {
		t.Errorf("at %s it is %s at %s, want %s at %s", when.Sub(now), got.Leg, got.At, leg, where)
	}
}

func TestFlightIsAFunctionOfTime(t *testing.T) {
	p := flight.New(base, pickup, dropoff, 20, 60, now, time.Time{})
	if p.Depart != now || p.Leave.Sub(p.Ready) != time.Second {
		t.Fatalf("plan %+v", p)
	}
	// 2,224 m at 20 m/s and 60 times as fast.
	if first := p.Ready.Sub(now); first < 1850*time.Millisecond || first > 1860*time.Millisecond {
		t.Errorf("the first leg takes %s", first)
	}
	at(t, p, now.Add(-time.Second), false, flight.AtBase, base)
	at(t, p, now.Add(p.Ready.Sub(now)/2), false, flight.ToPickup, geo.Between(base, pickup, .5))
	at(t, p, p.Ready, false, flight.AtPickup, pickup)
	at(t, p, p.Arrive, false, flight.AtPickup, pickup) // nobody let it go
	at(t, p, p.Leave.Add(p.Arrive.Sub(p.Leave)/4), true, flight.ToDropoff, geo.Between(pickup, dropoff, .25))
	at(t, p, p.Arrive, true, flight.AtDropoff, dropoff)
	if end := p.At(p.Arrive, true); end.Flown < 5985 || end.Flown > 6000 {
		t.Errorf("it has flown %f m", end.Flown)
	}
}

func TestPickupTimeDelaysTheDeparture(t *testing.T) {
	p := flight.New(base, pickup, dropoff, 20, 60, now, now.Add(30*time.Second))
	if p.Ready != now.Add(30*time.Second) {
		t.Errorf("it is there at %s", p.Ready.Sub(now))
	}
	if soon := flight.New(base, pickup, dropoff, 20, 60, now, now.Add(time.Second)); soon.Depart != now {
		t.Errorf("it cannot be there in time and departs only at %s", soon.Depart.Sub(now))
	}
}

func TestPostponingKeepsWhatIsPast(t *testing.T) {
	p := flight.New(base, pickup, dropoff, 20, 60, now, time.Time{})
	under := now.Add(time.Second)
	q := p.Postponed(under, now.Add(20*time.Second))
	if q.Depart != p.Depart || q.Ready != p.Ready || q.Leave != now.Add(21*time.Second) {
		t.Errorf("under way: %+v", q)
	}
	at(t, q, under, false, flight.ToPickup, p.At(under, false).At)
	far := flight.New(base, pickup, dropoff, 20, 60, now, now.Add(30*time.Second))
	if q := far.Postponed(under, now.Add(60*time.Second)); q.Ready != now.Add(60*time.Second) || !q.Depart.After(far.Depart) {
		t.Errorf("before the departure: %+v", q)
	}
	if q := far.Postponed(under, time.Time{}); q.Depart != under {
		t.Errorf("called for at once it departs at %s", q.Depart.Sub(now))
	}
}

func TestDroneThatIsLetGoLateArrivesLate(t *testing.T) {
	p := flight.New(base, pickup, dropoff, 20, 60, now, time.Time{})
	late := p.Left(p.Leave.Add(time.Minute))
	if late.Arrive.Sub(p.Arrive) != time.Minute {
		t.Errorf("it arrives %s later", late.Arrive.Sub(p.Arrive))
	}
	if p.Left(now) != p {
		t.Error("it left before it was planned to")
	}
}

func TestLoadTakesMoreOfTheBattery(t *testing.T) {
	empty, full := flight.Used(base, pickup, dropoff, 0, 5, 20_000), flight.Used(base, pickup, dropoff, 5, 5, 20_000)
	if empty <= 0 || full <= empty || full >= empty*1.5 {
		t.Errorf("empty %f, full %f", empty, full)
	}
}
