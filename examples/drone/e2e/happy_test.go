package e2e_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParcelIsDelivered(t *testing.T) {
	w := begin(t)
	began := time.Now()
	id := w.send(parcelOf())
	w.reaches(id, "HeadedToPickup")
	w.reaches(id, "HeadedToDropoff")
	end := w.reaches(id, "Completed")
	if end.LastKnownLocation != "55.696300,12.566400" {
		t.Errorf("it ends at %s", end.LastKnownLocation)
	}
	h := w.ends(id, "completed")
	if h.Mode != "choreographed" || len(h.Steps) != 7 || len(h.Incidents) != 0 {
		t.Errorf("journal %+v", h)
	}
	want := []string{"DeliveryCreated", "DeliveryHeadedToPickup", "DroneShipped", "DeliveryHeadedToDropoff", "DeliveryCompleted", "DeliveryNotified"}
	if diff := cmp.Diff(want, w.events(id, "DeliveryNotified")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	t.Logf("delivered after %s", time.Since(began))
}
