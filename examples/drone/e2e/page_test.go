package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald/examples/drone/page/pagetest"
	"github.com/skaldhq/skald/examples/drone/system"
)

// A flight that takes some seconds, so that a person could follow it.
func watchable(c *system.Config) { c.TimeFactor = 100 }

func TestAPersonSeesTheirParcelFly(t *testing.T) {
	w := begin(t, watchable)
	b := pagetest.Open(t, 1280, 900)
	b.Visit(w.system.URL())
	b.Click("request-submit")
	b.Shows(pagetest.ID("request-answer"), "Accepted")
	for _, step := range []string{"package.upsert", "drone.assign", "delivery.start"} {
		b.Sees(pagetest.ID("step-"+step) + `[data-state="done"]`)
	}
	// The drone is on its way, and it moves.
	const flying = `.drone[data-selected="true"]:not([data-state="idle"])`
	b.Sees(flying)
	const where = `(() => { const drone = document.querySelector('` + flying + `'); return drone ? drone.getAttribute("transform") : "landed"; })()`
	before := pagetest.Says[string](b, where)
	w.eventually("the drone moves", func() bool { return pagetest.Says[string](b, where) != before })
	b.Sees(pagetest.ID("step-delivery.ship") + `[data-state="done"]`)
	b.Sees(pagetest.ID("verdict") + `[data-outcome="completed"]`)
	b.Shows(pagetest.ID("stage"), "Delivered")
	b.Shows(pagetest.ID("outsider-events"), "DeliveryCompleted")
	b.Shoot("delivered")
}

func TestAPersonSeesWhyAParcelIsNotDelivered(t *testing.T) {
	w := begin(t, watchable)
	b := pagetest.Open(t, 400, 900)
	b.Visit(w.system.URL())
	b.Click("preset-too-heavy")
	b.Sees(pagetest.ID("verdict") + `[data-outcome="compensated"]`)
	b.Shows(pagetest.ID("reason"), "PackageFail.TooHeavy")
	b.Sees(pagetest.ID("step-package.upsert") + `[data-state="refused"]`)
	b.Sees(pagetest.ID("step-drone.assign") + `[data-state="undone"]`)
	if said := b.Shows(pagetest.ID("letter-PackageFail.TooHeavy"), "remedied"); !strings.Contains(said, "The package weighs more than its size may.") || !strings.Contains(said, "The saga is compensated.") {
		t.Errorf("the dead letter says %q", said)
	}
	if pagetest.Says[bool](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth`) {
		t.Error("the page scrolls sideways")
	}
	b.Shoot("refused")
}

func TestAPersonCancelsOnThePage(t *testing.T) {
	w := begin(t, watchable)
	b := pagetest.Open(t, 1280, 900)
	b.Visit(w.system.URL())
	b.Sees(pagetest.ID("request-submit"))
	b.Run("pick it up later", chromedp.SetValue(pagetest.ID("field-pickupTime"), "60"))
	b.Click("request-submit")
	b.Sees(pagetest.ID("step-delivery.start") + `[data-state="done"]`)
	b.Click("reschedule")
	b.Click("reschedule-send")
	b.Shows(pagetest.ID("action-answer"), "The new times were asked for.")
	b.Shows(pagetest.ID("stage"), "Rescheduled")
	b.Click("cancel")
	b.Sees(pagetest.ID("verdict") + `[data-outcome="compensated"]`)
	b.Shows(pagetest.ID("stage"), "Cancelled")
	b.Shows(pagetest.ID("reason"), "DeliveryFail.Cancelled")
	b.Sees(pagetest.ID("step-drone.assign") + `[data-state="undone"]`)
}

func TestAFailureSwitchOnThePageReachesItsService(t *testing.T) {
	w := begin(t, watchable)
	b := pagetest.Open(t, 1280, 900)
	b.Visit(w.system.URL())
	b.Click("switches-open")
	b.Sees(pagetest.ID("switch-drone.assign"))
	b.Run("make it refuse", chromedp.Focus(pagetest.ID("switch-drone.assign")), chromedp.KeyEvent("Ref"))
	b.Shows(pagetest.ID("switches-count"), "1")
	type setting struct{ Operation, Mode string }
	w.eventually("the switch is on", func() bool {
		for _, s := range get[[]setting](w, "/api/switches") {
			if s.Operation == "drone.assign" && s.Mode == "refuse" {
				return true
			}
		}
		return false
	})
	b.Click("request-submit")
	b.Shows(pagetest.ID("reason"), "DroneFail.Switched")
	w.expect(http.StatusNoContent, http.MethodDelete, "/api/switches", nil)
}
