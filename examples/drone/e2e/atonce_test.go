package e2e_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/system"
)

// What was answered 202 is there: every page of a delivery that is asked for at once is answered with the delivery, never with 404, and it can be cancelled where it is.
func TestWhatWasAcceptedIsFoundAtOnce(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.Fleet = area.Many(plenty) })
	const clients, each = 8, 25
	var asking sync.WaitGroup
	faults := make(chan string, clients*each*6)
	for range clients {
		asking.Go(func() {
			for range each {
				a, err := w.try(http.MethodPost, "/api/deliveryrequests", parcelOf())
				if err != nil || a.status != http.StatusAccepted {
					faults <- fmt.Sprintf("the request is answered %d %s, %v", a.status, a.body, err)
					return
				}
				at := a.header.Get("Location")
				id := at[len("/api/deliveries/"):]
				for _, path := range []string{"/api/deliveryrequests/" + id + "/history", at, at + "/status", at + "/owner"} {
					if a, err := w.try(http.MethodGet, path, nil); err != nil || a.status != http.StatusOK {
						faults <- fmt.Sprintf("GET %s: %d %s, %v", path, a.status, a.body, err)
					}
				}
				if a, err := w.try(http.MethodDelete, at, nil); err != nil || a.status != http.StatusAccepted && a.status != http.StatusNoContent && a.status != http.StatusConflict {
					faults <- fmt.Sprintf("DELETE %s: %d %s, %v", at, a.status, a.body, err)
				}
			}
		})
	}
	asking.Wait()
	close(faults)
	for f := range faults {
		t.Error(f)
	}
}
