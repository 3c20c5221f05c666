package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/system"
)

// fleetOf is a fleet of some of the area's drones.
func fleetOf(ids ...string) func(c *system.Config) {
	return func(c *system.Config) {
		for _, d := range area.Fleet() {
			for _, id := range ids {
				if d.ID == id {
					c.Fleet = append(c.Fleet, d)
				}
			}
		}
	}
}

// What a service cannot accept it reports at once, with a reason code; the delivery leaves nothing behind, and there is a dead letter that says what became of it.
func TestEachReasonCodeTurnsTheDeliveryBack(t *testing.T) {
	w := begin(t, fleetOf("d-01", "d-02", "d-05"))
	cases := []struct {
		reason, step string
		change       func(q *wanted)
	}{
		{"PackageFail.TooHeavy", "package.upsert", func(q *wanted) { q.Package.Weight = 2.6 }},
		{"PackageFail.UnknownSize", "package.upsert", func(q *wanted) { q.Package.Size = "Gigantic" }},
		{"PackageFail.Weight", "package.upsert", func(q *wanted) { q.Package.Weight = -1 }},
		{"DroneFail.OutOfRange", "drone.assign", func(q *wanted) { q.Pickup = "55.5,12.2" }},
		{"DroneFail.Location", "drone.assign", func(q *wanted) { q.Pickup = "Rådhuspladsen 1" }},
		{"DroneFail.TooHeavy", "drone.assign", func(q *wanted) { q.Package.Size, q.Package.Weight = "Large", 9 }},
		{"DeliveryFail.DeadlineImpossible", "delivery.start", func(q *wanted) { q.Deadline = in(50 * time.Millisecond) }},
		{"DeliveryFail.PickupTime", "delivery.start", func(q *wanted) { q.PickupTime = in(time.Hour) }},
		{"DeliveryFail.AddressRefused", "delivery.start", func(q *wanted) { q.Dropoff = airport }},
	}
	ids := make([]string, len(cases))
	for i, c := range cases { // all at once: none is in another's way
		ids[i] = w.send(parcelOf(c.change))
	}
	for i, c := range cases {
		h := w.ends(ids[i], "compensated")
		if h.Reason != c.reason || h.Cause != c.step || h.step(c.step) != "refused" {
			t.Errorf("%s: it is turned back by %s with %s", c.reason, h.Cause, h.Reason)
		}
		if s := w.status(ids[i]); s.Stage != "Cancelled" {
			t.Errorf("%s: the status is %+v", c.reason, s)
		}
		l := w.letterOf(ids[i], c.reason)
		if l.Remedy != "compensate" || l.Meaning == "" || l.Description == "" || l.Step != c.step || l.Count < 1 || l.First.At.IsZero() || l.Last.Reason != c.reason ||
			l.Headers["ce-skalddefinition"] != "delivery" || l.Headers["ce-skaldreason"] != c.reason {
			t.Errorf("%s: the letter is %+v", c.reason, l)
		}
	}
}

// A request that finds no drone free is set aside and begun anew by Remediation: in time it gets a drone, and if none comes free the delivery is turned back.
func TestRequestWithoutAFreeDroneIsReplayedWithinABudget(t *testing.T) {
	w := begin(t, fleetOf("d-05"))
	first := w.send(parcelOf(func(q *wanted) { q.PickupTime = in(38 * time.Second) }))
	w.until(first, "it has the only drone", func(h history) bool { return h.step("delivery.start") == "done" })
	second := w.send(parcelOf())
	if h := w.ends(second, "compensated"); h.Reason != "DroneFail.NoneAvailable" {
		t.Errorf("it is turned back by %s with %s", h.Cause, h.Reason)
	}
	if l := w.letterOf(second, "DroneFail.NoneAvailable"); l.Remedy != "replay" {
		t.Errorf("the letter is %+v", l)
	}
	w.eventually("the letter says what was done", func() bool {
		l := w.letterOf(second, "DroneFail.NoneAvailable")
		return l.State == "remedied" && l.Note != ""
	}, func() string { return fmt.Sprintf("%+v", w.letters()) })
	third := w.send(parcelOf())
	w.letterOf(third, "DroneFail.NoneAvailable")
	w.expect(202, "DELETE", "/api/deliveryrequests/"+first, nil)
	w.ends(first, "compensated")
	w.ends(third, "completed")
}

func TestDeliveryThatTakesTooLongExpires(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.Deadline = 2 * time.Second })
	if err := w.system.StopService(t.Context(), "package"); err != nil {
		t.Fatal(err)
	}
	id := w.send(parcelOf())
	w.until(id, "it is turned back", func(h history) bool { return h.State == "compensating" })
	if err := w.system.StartService(t.Context(), "package"); err != nil {
		t.Fatal(err)
	}
	if h := w.ends(id, "compensated"); h.Reason != "skald.deadline" {
		t.Errorf("it is turned back by %s with %s", h.Cause, h.Reason)
	}
}

func TestServiceThatNeverAnswersUsesTheRetriesUp(t *testing.T) {
	w := begin(t)
	w.switchOn("package.upsert", "down", 0)
	w.switchOn("delivery.notify", "error500", 2)
	id := w.send(parcelOf())
	h := w.ends(id, "compensated")
	if h.Reason != "skald.retries_exhausted" || h.Cause != "package.upsert" {
		t.Errorf("it is turned back by %s with %s", h.Cause, h.Reason)
	}
	if l := w.letterOf(id, h.Reason); l.Remedy != "compensate" || l.Meaning == "" {
		t.Errorf("the letter is %+v", l)
	}
	w.switchOn("package.upsert", "refuse", 1)
	if h := w.ends(w.send(parcelOf()), "compensated"); h.Reason != "PackageFail.Switched" {
		t.Errorf("it is turned back by %s with %s", h.Cause, h.Reason)
	}
	w.ends(w.send(parcelOf()), "completed")
}

// A person may turn a delivery back whose step is set aside, instead of waiting for what the registry says.
func TestLetterIsSettledByHand(t *testing.T) {
	w := begin(t, fleetOf("d-05"))
	first := w.send(parcelOf(later))
	w.until(first, "it has the only drone", func(h history) bool { return h.step("delivery.start") == "done" })
	second := w.send(parcelOf())
	l := w.letterOf(second, "DroneFail.NoneAvailable")
	path := "/api/deadletters/" + l.ID
	w.expect(http.StatusUnprocessableEntity, http.MethodPost, path+"/compensate", map[string]string{"by": "ada"})
	last := ""
	w.eventually("the letter is settled", func() bool { // it may be replayed at this moment, and comes back
		a := w.request(http.MethodPost, path+"/compensate", map[string]string{"by": "ada", "reason": "the client cannot wait"})
		last = fmt.Sprintf("%d %s", a.status, a.body)
		return a.status == http.StatusNoContent
	}, func() string { return last })
	if h := w.ends(second, "compensated"); h.Cause != "drone.assign" {
		t.Errorf("it is turned back by %s with %s", h.Cause, h.Reason)
	}
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+first, nil)
}
