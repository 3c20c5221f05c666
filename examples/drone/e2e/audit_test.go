package e2e_test

import (
	"net/http"
	"net/url"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/journal"
)

// craft is a drone as the fleet's page shows it.
type craft struct {
	ID, State, Delivery string
	At                  string
	Battery             float64
}

// item is a delivery in the list.
type item struct {
	ID, Stage, Outcome, Reason, DroneID, At string
	Legs                                    struct{ Package, Drone, Delivery string }
}

// outcomes are the states of all sagas, by id, however many there are.
func (w *world) outcomes() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for cursor := ""; ; {
		query := url.Values{"definition": {deliver.Name}, "limit": {"100"}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		page := get[struct {
			Sagas []struct{ ID, State string }
			Next  string
		}](w, "/v1/sagas?"+query.Encode())
		for _, x := range page.Sagas {
			all[x.ID] = x.State
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// settle waits until every delivery has its outcome.
func (w *world) settle() {
	w.t.Helper()
	w.expect(http.StatusNoContent, http.MethodDelete, "/api/switches", nil)
	w.eventually("every delivery has an outcome", func() bool {
		for _, o := range w.outcomes() {
			if o != "completed" && o != "compensated" {
				return false
			}
		}
		return true
	})
}

// most is how many rows the services' lists have at most. What is audited must be fewer, or some of it is not seen.
const most = 1000

// whole reads a list of which nothing is left out.
func whole[T any](w *world, url string) []T {
	w.t.Helper()
	all := get[[]T](w, url)
	if len(all) >= most {
		w.t.Errorf("%s lists %d rows: some may be left out", url, len(all))
	}
	return all
}

// audit compares what the services keep, once nothing is under way: each drone has one delivery at most and none that has ended; what was turned back left nothing; each package is there once.
func (w *world) audit() {
	w.t.Helper()
	outcome := w.outcomes()
	type assigned struct{ DeliveryID, DroneID, State string }
	held := map[string]string{} // delivery by drone
	states := map[string]string{}
	for _, a := range whole[assigned](w, w.url(drone.Name)+"/api/dronedeliveries") {
		states[a.DeliveryID] = a.State
		if a.State != "assigned" {
			continue
		}
		if other, twice := held[a.DroneID]; twice {
			w.t.Errorf("drone %s is assigned to deliveries %s and %s", a.DroneID, other, a.DeliveryID)
		}
		held[a.DroneID] = a.DeliveryID
		if o := outcome[a.DeliveryID]; o != "" {
			w.t.Errorf("drone %s still belongs to delivery %s, which is %s", a.DroneID, a.DeliveryID, o)
		}
	}
	type made struct{ ID, Stage string }
	stages := map[string]string{}
	for _, d := range whole[made](w, w.url(delivery.Name)+"/api/deliveries") {
		stages[d.ID] = d.Stage
	}
	for id, o := range outcome {
		switch {
		case o == "completed" && (states[id] != "released" || stages[id] != "Completed"):
			w.t.Errorf("delivery %s is completed, its drone %q and its stage %q", id, states[id], stages[id])
		case o == "compensated" && (states[id] != "" && states[id] != "freed" || stages[id] != "" && stages[id] != "Cancelled"):
			w.t.Errorf("delivery %s is compensated, its drone %q and its stage %q", id, states[id], stages[id])
		}
	}
	for id := range outcome {
		w.auditHistory(id)
	}
	seen := map[string]bool{}
	for _, id := range whole[string](w, w.url(parcel.Name)+"/api/packages") {
		if seen[id] {
			w.t.Errorf("package %s is there twice", id)
		}
		if outcome[id] == "compensated" { // a package without an id of its own has its delivery's
			w.t.Errorf("package %s of a delivery that was turned back is left", id)
		}
		seen[id] = true
	}
}

// auditHistory reads the journal of a delivery that has ended as an operator would: it calls for help no more, and never did for a step that was not asked.
func (w *world) auditHistory(id string) {
	w.t.Helper()
	h := w.history(id)
	if len(h.Incidents) != 0 {
		w.t.Errorf("delivery %s has ended, and has the incidents %+v", id, h.Incidents)
	}
	asked := map[string]bool{}
	for _, e := range h.Events {
		switch e.Kind {
		case journal.StepAsked.String():
			asked[e.Step] = true
		case journal.DeadlineExpired.String(), journal.IncidentOpened.String():
			if e.Step != "" && !asked[e.Step] && e.Reason != skald.ReasonNoProgress {
				w.t.Errorf("delivery %s: %s was not asked, and its journal says %q %s of it", id, e.Step, e.Kind, e.Reason)
			}
		}
	}
}
