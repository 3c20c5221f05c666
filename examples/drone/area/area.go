// Package area is the city that the demonstration's drones serve: its bounds, depots, places worth a click, where nobody may fly, and the fleet. It is data, the same for all services; a
// real operator's would come from a database and from the authorities.
package area

import (
	"fmt"

	"github.com/skaldhq/skald/examples/drone/geo"
)

// Place is a named point.
type Place struct {
	Name string    `json:"name"`
	At   geo.Point `json:"at"`
}

// Zone is a circle in which nobody may take off, land or be served.
type Zone struct {
	Name   string    `json:"name"`
	At     geo.Point `json:"at"`
	Radius float64   `json:"radius_m"`
}

// Contains says whether a point lies in the zone.
func (z Zone) Contains(p geo.Point) bool { return geo.Distance(z.At, p) <= z.Radius }

// Reach is how far from the nearest depot a parcel may be picked up, in metres.
const Reach = 7_000

// Center is the middle of the map: the city hall square of Copenhagen.
func Center() geo.Point { return geo.Point{Lat: 55.6761, Lon: 12.5683} }

// Bounds are the south-western and the north-eastern corner of what is served.
func Bounds() [2]geo.Point {
	return [2]geo.Point{{Lat: 55.60, Lon: 12.45}, {Lat: 55.75, Lon: 12.70}}
}

// Inside says whether a point lies within the bounds.
func Inside(p geo.Point) bool {
	b := Bounds()
	return p.Lat >= b[0].Lat && p.Lat <= b[1].Lat && p.Lon >= b[0].Lon && p.Lon <= b[1].Lon
}

// Depots are where drones are at home.
func Depots() []Place {
	return []Place{
		{"Nordhavn", geo.Point{Lat: 55.7100, Lon: 12.5950}},
		{"Vesterbro", geo.Point{Lat: 55.6655, Lon: 12.5430}},
		{"Amager", geo.Point{Lat: 55.6560, Lon: 12.6130}},
	}
}

// NoFly are the zones.
func NoFly() []Zone {
	return []Zone{
		{"Airport", geo.Point{Lat: 55.6180, Lon: 12.6500}, 2_500},
		{"Royal palace", geo.Point{Lat: 55.6841, Lon: 12.5930}, 250},
	}
}

// Places are points to send parcels from and to.
func Places() []Place {
	return []Place{
		{"City hall", geo.Point{Lat: 55.6759, Lon: 12.5697}},
		{"Central station", geo.Point{Lat: 55.6727, Lon: 12.5646}},
		{"University hospital", geo.Point{Lat: 55.6963, Lon: 12.5664}},
		{"Botanical garden", geo.Point{Lat: 55.6872, Lon: 12.5738}},
		{"Opera", geo.Point{Lat: 55.6820, Lon: 12.6010}},
		{"Zoo", geo.Point{Lat: 55.6726, Lon: 12.5214}},
		{"Harbour baths", geo.Point{Lat: 55.6610, Lon: 12.5720}},
		{"Beach park", geo.Point{Lat: 55.6570, Lon: 12.6400}},
		{"Stadium", geo.Point{Lat: 55.7026, Lon: 12.5722}},
		{"Bellahøj", geo.Point{Lat: 55.7076, Lon: 12.5200}},
	}
}

// Drone is what a drone is when it joins the fleet.
type Drone struct {
	ID       string
	Name     string
	At       geo.Point
	Capacity float64 // kg
	Speed    float64 // m/s
	Range    float64 // metres on a full battery, carrying nothing
}

// Fleet is the fleet: light and quick ones, and a few that carry more.
func Fleet() []Drone {
	d := Depots()
	light := func(id, name string, at geo.Point) Drone { return Drone{id, name, at, 2.5, 22, 24_000} }
	medium := func(id, name string, at geo.Point) Drone { return Drone{id, name, at, 5, 18, 26_000} }
	heavy := func(id, name string, at geo.Point) Drone { return Drone{id, name, at, 10, 15, 30_000} }
	return []Drone{
		light("d-01", "Alke", d[0].At), light("d-02", "Terne", d[1].At), light("d-03", "Svale", d[2].At), light("d-04", "Lærke", d[1].At),
		medium("d-05", "Måge", d[0].At), medium("d-06", "Krage", d[1].At), medium("d-07", "Ravn", d[2].At),
		heavy("d-08", "Hejre", d[0].At), heavy("d-09", "Svane", d[1].At), heavy("d-10", "Ørn", d[2].At),
	}
}

// Many is a fleet of so many drones: those of Fleet, and then the same again and again, with numbers.
func Many(n int) []Drone {
	all, kinds := make([]Drone, 0, max(n, 0)), Fleet()
	for i := range n {
		d := kinds[i%len(kinds)]
		if again := i / len(kinds); again > 0 {
			d.ID, d.Name = fmt.Sprintf("%s-%d", d.ID, again+1), fmt.Sprintf("%s %d", d.Name, again+1)
		}
		all = append(all, d)
	}
	return all
}
