package area_test

import (
	"slices"
	"testing"

	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/geo"
)

// Everything that the page offers can be served.
func TestPlacesCanBeServed(t *testing.T) {
	for _, p := range append(area.Places(), area.Depots()...) {
		if !area.Inside(p.At) {
			t.Errorf("%s is out of bounds", p.Name)
		}
		for _, z := range area.NoFly() {
			if z.Contains(p.At) {
				t.Errorf("%s lies in the no-fly zone %s", p.Name, z.Name)
			}
		}
		nearest := geo.Distance(area.Depots()[0].At, p.At)
		for _, d := range area.Depots() {
			nearest = min(nearest, geo.Distance(d.At, p.At))
		}
		if nearest > area.Reach {
			t.Errorf("%s is %.0f m from the nearest depot", p.Name, nearest)
		}
	}
}

func TestDronesHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range area.Many(400) {
		if seen[d.ID] || seen[d.Name] {
			t.Errorf("%s %s is there twice", d.ID, d.Name)
		}
		seen[d.ID], seen[d.Name] = true, true
	}
	if fleet := area.Fleet(); !slices.Equal(area.Many(len(fleet)), fleet) {
		t.Errorf("as many drones as the fleet has are others: %v", area.Many(len(fleet)))
	}
}
