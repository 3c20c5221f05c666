package page_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
)

func TestThePageFitsEveryWindowAndLight(t *testing.T) {
	f := newFake(t)
	for _, width := range []int64{1280, 400} {
		for _, light := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d %s", width, light), func(t *testing.T) {
				b := open(t, width, 900, &emulation.MediaFeature{Name: "prefers-color-scheme", Value: light}, &emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
				b.visit(f.URL + "/#" + flying)
				b.sees(`[data-testid="drone-d-02"][data-selected="true"]`)
				b.sees(`[data-testid="step-delivery.ship"][data-state="done"]`)
				b.shows(`[data-testid="letters"]`, "PackageFail.TooHeavy")
				b.shows(`[data-testid="outsider-events"]`, "DroneShipped")
				if says[bool](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
					t.Error("the page scrolls sideways")
				}
				b.shoot("flying")
				b.visit(f.URL + "/#" + undone)
				b.sees(`[data-testid="verdict"][data-outcome="compensated"]`)
				b.shoot("undone")
			})
		}
	}
}
