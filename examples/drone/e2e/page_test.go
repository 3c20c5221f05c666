package e2e_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/drone/system"
)

// A flight that takes some seconds, so that a person could follow it.
func watchable(c *system.Config) { c.TimeFactor = 60 }

func TestAPersonSeesTheirParcelFly(t *testing.T) {
	w := begin(t, watchable)
	b := chromium.Open(t, 1280, 900)
	b.Visit(w.system.URL())
	b.Sees(browsertest.ID("city"))
	// Wherever drones are drawn while they fly is noted in the page, since the test may look too late.
	browsertest.Says[int](b, `(() => {
		window.ways = new Set();
		const note = () => document.querySelectorAll('.drone:not([data-state="idle"])').forEach((drone) => window.ways.add(drone.getAttribute("transform")));
		return setInterval(note, 40);
	})()`)
	b.Click("request-submit")
	b.Shows(browsertest.ID("request-answer"), "Accepted")
	for _, step := range []string{"package.upsert", "drone.assign", "delivery.start"} {
		b.Sees(browsertest.ID("step-"+step) + `[data-state="done"]`)
	}
	b.Sees(browsertest.ID("step-delivery.ship") + `[data-state="done"]`)
	b.Sees(browsertest.ID("verdict") + `[data-outcome="completed"]`)
	b.Shows(browsertest.ID("stage"), "Delivered")
	b.Shows(browsertest.ID("outsider-events"), "DeliveryCompleted")
	if n := browsertest.Says[int](b, `window.ways.size`); n < 5 {
		t.Errorf("the drone was seen at %d places, want it to fly", n)
	}
	b.Shoot("delivered")
}

// While one leg is away the other one waits for it where they join.
func TestAPersonSeesTheLegsJoin(t *testing.T) {
	w := begin(t, watchable)
	if err := w.system.StopService(t.Context(), "package"); err != nil {
		t.Fatal(err)
	}
	b := chromium.Open(t, 1280, 900)
	b.Visit(w.system.URL())
	b.Click("request-submit")
	b.Sees(browsertest.ID("step-drone.assign") + `[data-state="done"]`)
	b.Sees(browsertest.ID("step-package.upsert") + `[data-state="running"]`)
	b.Sees(browsertest.ID("step-delivery.start") + `[data-state="waiting"]`)
	b.Shoot("joining")
	if err := w.system.StartService(t.Context(), "package"); err != nil {
		t.Fatal(err)
	}
	b.Sees(browsertest.ID("step-package.upsert") + `[data-state="done"]`)
	b.Sees(browsertest.ID("step-delivery.start") + `[data-state="done"]`)
}

func TestAPersonSeesWhyAParcelIsNotDelivered(t *testing.T) {
	w := begin(t, watchable)
	b := chromium.Open(t, 400, 900)
	b.Visit(w.system.URL())
	b.Click("preset-too-heavy")
	b.Sees(browsertest.ID("verdict") + `[data-outcome="compensated"]`)
	b.Shows(browsertest.ID("reason"), "PackageFail.TooHeavy")
	b.Sees(browsertest.ID("step-package.upsert") + `[data-state="refused"]`)
	b.Sees(browsertest.ID("step-drone.assign") + `[data-state="undone"]`)
	if said := b.Shows(browsertest.ID("letter-PackageFail.TooHeavy"), "remedied"); !strings.Contains(said, "The package weighs more than its size may.") || !strings.Contains(said, "The saga is compensated.") {
		t.Errorf("the dead letter says %q", said)
	}
	if b.ScrollsSideways() {
		t.Error("the page scrolls sideways")
	}
	b.Shoot("refused")
}

func TestAPersonCancelsOnThePage(t *testing.T) {
	w := begin(t, watchable)
	b := chromium.Open(t, 1280, 900)
	b.Visit(w.system.URL())
	b.Sees(browsertest.ID("request-submit"))
	b.Run("pick it up later", chromedp.SetValue(browsertest.ID("field-pickupTime"), "30"))
	b.Click("request-submit")
	b.Sees(browsertest.ID("step-delivery.start") + `[data-state="done"]`)
	b.Click("reschedule")
	b.Click("reschedule-send")
	b.Shows(browsertest.ID("action-answer"), "The new times were asked for.")
	b.Shows(browsertest.ID("stage"), "Rescheduled")
	b.Click("cancel")
	b.Sees(browsertest.ID("verdict") + `[data-outcome="compensated"]`)
	b.Shows(browsertest.ID("stage"), "Cancelled")
	b.Shows(browsertest.ID("reason"), "DeliveryFail.Cancelled")
	b.Sees(browsertest.ID("step-drone.assign") + `[data-state="undone"]`)

	// A failure switch reaches its service.
	b.Click("switches-open")
	b.Sees(browsertest.ID("switch-drone.assign"))
	b.Run("make it refuse", chromedp.Focus(browsertest.ID("switch-drone.assign")), chromedp.KeyEvent("Ref"))
	b.Shows(`#switches`, "1 operation made to fail.")
	b.Click("request-submit")
	b.Shows(browsertest.ID("reason"), "DroneFail.Switched")
}
