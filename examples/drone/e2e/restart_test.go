package e2e_test

import (
	"net/http"
	"testing"

	"github.com/skaldhq/skald/examples/drone/system"
)

func TestEverythingGoesOnAfterARestartInMidFlight(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.TimeFactor = 120 })
	toPickup := w.send(parcelOf(func(q *wanted) { q.Pickup = zoo }))
	onTheWay := w.send(parcelOf(func(q *wanted) { q.Pickup, q.Dropoff = hospital, zoo }))
	waiting := w.send(parcelOf(later))
	cancelled := w.send(parcelOf(later))
	w.reaches(onTheWay, "HeadedToDropoff")
	w.until(cancelled, "it has begun", func(h history) bool { return h.step("delivery.start") == "done" })
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+cancelled, nil)
	w.shut()
	w.open()
	w.expect(http.StatusOK, http.MethodPatch, "/api/deliveryrequests/"+waiting, map[string]string{"pickupTime": ""})
	for _, id := range []string{toPickup, onTheWay, waiting} {
		if h := w.ends(id, "completed"); len(h.Incidents) != 0 {
			t.Errorf("delivery %s: %+v", id, h.Incidents)
		}
	}
	w.ends(cancelled, "compensated")
}
