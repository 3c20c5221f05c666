package geo_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/skaldhq/skald/examples/drone/geo"
)

func TestLocationsAreLatitudeAndLongitudeInDegrees(t *testing.T) {
	for text, want := range map[string]geo.Point{
		"55.6761,12.5683": {Lat: 55.6761, Lon: 12.5683}, "-33.9, 151.2": {Lat: -33.9, Lon: 151.2}, "90,-180": {Lat: 90, Lon: -180}, "0,0": {},
	} {
		if got, err := geo.Parse(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ",", "55.6761", "91,0", "0,181", "55.67,12.56,3", "1e1,2", "0x1,2", "NaN,1", "Inf,1", "+1,2", "Rådhuspladsen", "55,6761;12,5683", "1,  2"} {
		if p, err := geo.Parse(text); !errors.Is(err, geo.ErrPoint) {
			t.Errorf("%q is %v, %v", text, p, err)
		}
	}
}

func TestPointsAreTextInJSON(t *testing.T) {
	p := geo.Point{Lat: 55.6761, Lon: 12.5683}
	data, err := json.Marshal(p)
	if err != nil || string(data) != `"55.676100,12.568300"` {
		t.Fatalf("%s, %v", data, err)
	}
	var back geo.Point
	if err := json.Unmarshal(data, &back); err != nil || back != p {
		t.Errorf("%v, %v", back, err)
	}
}

func TestDistancesAndBearings(t *testing.T) {
	a := geo.Point{Lat: 55, Lon: 12}
	north, east := geo.Point{Lat: 55.01, Lon: 12}, geo.Point{Lat: 55, Lon: 12.01}
	if d := geo.Distance(a, north); math.Abs(d-1112) > 1 {
		t.Errorf("a hundredth of a degree north is %f m", d)
	}
	if d := geo.Distance(a, east); math.Abs(d-638) > 1 {
		t.Errorf("a hundredth of a degree east is %f m", d)
	}
	if geo.Distance(a, a) != 0 {
		t.Error("a point is away from itself")
	}
	for to, want := range map[geo.Point]float64{north: 0, east: 90, {Lat: 54.99, Lon: 12}: 180, {Lat: 55, Lon: 11.99}: 270} {
		if got := geo.Bearing(a, to); math.Abs(got-want) > 0.1 {
			t.Errorf("%v is at %f degrees, want %f", to, got, want)
		}
	}
	if half := geo.Between(a, north, .5); math.Abs(geo.Distance(a, half)-geo.Distance(half, north)) > .01 {
		t.Errorf("%v is not half-way", half)
	}
	if geo.Between(a, north, 7) != north || geo.Between(a, north, -1) != a {
		t.Error("between two points lies what does not")
	}
}
