package page_test

import (
	"fmt"
	"testing"

	"github.com/skaldhq/skald/examples/browsertest"
)

func TestThePageFitsEveryWindowAndLight(t *testing.T) {
	f := newFake(t)
	for _, width := range []int64{1280, 400} {
		for _, light := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d %s", width, light), func(t *testing.T) {
				b := chromium.Open(t, width, 900, browsertest.Prefers("color-scheme", light), browsertest.Prefers("reduced-motion", "reduce"))
				b.Visit(f.URL + "/#" + flying)
				b.Sees(`[data-testid="drone-d-02"][data-selected="true"]`)
				b.Sees(`[data-testid="step-delivery.ship"][data-state="done"]`)
				b.Shows(`[data-testid="services"]`, "The package service is written in JavaScript, behind a sidecar; all others are in Go.")
				b.Shows(`[data-testid="letters"]`, "PackageFail.TooHeavy")
				b.Shows(`[data-testid="outsider-events"]`, "DroneShipped")
				if b.ScrollsSideways() {
					t.Error("the page scrolls sideways")
				}
				b.Shoot("flying")
				b.Visit(f.URL + "/#" + undone)
				b.Sees(`[data-testid="verdict"][data-outcome="compensated"]`)
				b.Shoot("undone")
			})
		}
	}
}
