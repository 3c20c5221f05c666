package geo_test

import (
	"errors"
	"math"
	"testing"

	"github.com/skaldhq/skald/examples/drone/geo"
)

// FuzzParse reads texts as points: what is taken lies on the map and is written so that the same place is read again; what is not is told what a point looks like.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"55.6761,12.5683", "-33.9, 151.2", "90,-180", "-0,.5", "89.9999999,179.99999999", "91,0", "1e1,2", "NaN,1", "-,-", "1.2.3,4", ",", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := geo.Parse(text)
		if err != nil {
			if !errors.Is(err, geo.ErrPoint) || p != (geo.Point{}) {
				t.Errorf("%q is %+v, %v", text, p, err)
			}
			return
		}
		if !(math.Abs(p.Lat) <= 90 && math.Abs(p.Lon) <= 180) {
			t.Errorf("%q is %+v, which is not on the map", text, p)
		}
		again, err := geo.Parse(p.String())
		if err != nil || again.String() != p.String() || math.Abs(again.Lat-p.Lat) > 1e-6 || math.Abs(again.Lon-p.Lon) > 1e-6 {
			t.Errorf("%q is %+v, written as %s, and that is %+v (%v)", text, p, p, again, err)
		}
	})
}
