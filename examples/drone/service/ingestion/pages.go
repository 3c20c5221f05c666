package ingestion

import (
	"net/http"
	"strconv"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// area answers GET /api/area: the map.
func (i *Ingestion) area(w http.ResponseWriter, _ *http.Request) {
	problem.JSON(w, http.StatusOK, "application/json", struct {
		Center geo.Point    `json:"center"`
		Bounds [2]geo.Point `json:"bounds"`
		Depots []area.Place `json:"depots"`
		NoFly  []area.Zone  `json:"noFly"`
		Places []area.Place `json:"places"`
		Factor float64      `json:"timeFactor"`
	}{area.Center(), area.Bounds(), area.Depots(), area.NoFly(), area.Places(), i.config.Factor})
}

// services answers GET /api/services: in what language each service of the saga is written, and how it takes part.
func (i *Ingestion) services(w http.ResponseWriter, _ *http.Request) {
	type service struct {
		Name     string `json:"name"`
		Language string `json:"language"`
		Level    string `json:"level"`
	}
	all := make([]service, 0, len(i.owners()))
	for _, o := range i.owners() {
		if language, behind := i.config.Sidecars[o.name]; behind {
			all = append(all, service{o.name, language, participant.L1.String()})
		} else {
			all = append(all, service{o.name, "Go", participant.L2.String()})
		}
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

// fleet answers GET /api/fleet.
func (i *Ingestion) fleet(w http.ResponseWriter, r *http.Request) {
	fleet, err := i.view.crafts(r.Context())
	if err != nil {
		i.unavailable(w, r, err, "the fleet does not answer: ask again")
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", fleet)
}

// list answers GET /api/deliveries?limit=: what was requested, the newest first.
func (i *Ingestion) list(w http.ResponseWriter, r *http.Request) {
	limit := shown
	if text := r.FormValue("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxItems {
			problem.New(http.StatusUnprocessableEntity, "the list cannot be made", problem.Fault{Field: "limit", Detail: "give 1 to " + strconv.Itoa(maxItems)}).Write(w)
			return
		}
		limit = n
	}
	items, err := i.view.items(r.Context(), limit)
	if err != nil {
		i.fail(w, r, err)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", items)
}

// known answers for a delivery as Delivery knows it, or lets instead answer for one that has not got there.
func (i *Ingestion) known(w http.ResponseWriter, r *http.Request, instead func(item Item)) {
	s, err := i.ask.ask(r.Context(), i.config.Services.Delivery, r.Method, r.URL.RequestURI(), nil)
	switch {
	case err != nil:
		i.unavailable(w, r, err, "Delivery does not answer: ask again")
		return
	case s.status != http.StatusNotFound:
		s.write(w)
		return
	}
	item, err := i.view.item(r.Context(), skald.SagaID(r.PathValue("id")), nil)
	if err != nil {
		i.fail(w, r, err)
		return
	}
	instead(item)
}

// delivery answers GET /api/deliveries/{id}.
func (i *Ingestion) delivery(w http.ResponseWriter, r *http.Request) {
	i.known(w, r, func(item Item) {
		problem.JSON(w, http.StatusOK, "application/json", struct {
			ID      string         `json:"id"`
			Owner   string         `json:"ownerId"`
			Pickup  string         `json:"pickupLocation"`
			Dropoff string         `json:"dropOffLocation"`
			Drone   string         `json:"droneId,omitempty"`
			Stage   delivery.Stage `json:"stage"`
			At      string         `json:"lastKnownLocation"`
			Reason  string         `json:"reason,omitempty"`
		}{item.ID, item.Owner, item.Pickup, item.Dropoff, item.Drone, item.Stage, item.At, item.Reason})
	})
}

// status answers GET /api/deliveries/{id}/status.
func (i *Ingestion) status(w http.ResponseWriter, r *http.Request) {
	i.known(w, r, func(item Item) {
		problem.JSON(w, http.StatusOK, "application/json", struct {
			Stage       delivery.Stage `json:"stage"`
			At          string         `json:"lastKnownLocation"`
			PickupETA   *time.Time     `json:"pickupETA"` // not known
			DeliveryETA *time.Time     `json:"deliveryETA"`
			Reason      string         `json:"reason,omitempty"`
		}{Stage: item.Stage, At: item.At, Reason: item.Reason})
	})
}

// owner answers GET /api/deliveries/{id}/owner.
func (i *Ingestion) owner(w http.ResponseWriter, r *http.Request) {
	i.known(w, r, func(item Item) {
		problem.JSON(w, http.StatusOK, "application/json", struct {
			ID string `json:"ownerId"`
		}{item.Owner})
	})
}

// remove answers DELETE /api/deliveries/{id} as Delivery does: 204 if the delivery is cancelled, or will be by its saga. One that has not got there is cancelled as a request is.
func (i *Ingestion) remove(w http.ResponseWriter, r *http.Request) {
	i.known(w, r, func(Item) { i.cancel(w, r) })
}

// History is what GET /api/deliveryrequests/{id}/history answers.
type History struct {
	ID        skald.SagaID `json:"id"`
	State     skald.State  `json:"state"`
	Outcome   skald.State  `json:"outcome"` // as State, once it is one; otherwise empty
	Mode      journal.Mode `json:"mode"`
	Reason    string       `json:"reason"`
	Cause     string       `json:"cause"`
	Steps     []Step       `json:"steps"`
	Incidents []Incident   `json:"incidents"`
	Events    []Event      `json:"events"`
}

// Step is how far one step is.
type Step struct {
	Name    string            `json:"name"`
	Level   string            `json:"level"` // what its participant promises: L1 behind a sidecar, otherwise L2
	State   journal.StepState `json:"state"`
	Attempt uint32            `json:"attempt"`
	Reason  string            `json:"reason"`
	Detail  string            `json:"detail,omitempty"`
}

// Incident is something that needs help.
type Incident struct {
	Step   string    `json:"step"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
}

// Event is an entry of the journal.
type Event struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Step   string    `json:"step"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
}

// history answers GET /api/deliveryrequests/{id}/history: the journal.
func (i *Ingestion) history(w http.ResponseWriter, r *http.Request) {
	id := skald.SagaID(r.PathValue("id"))
	s, err := i.engine.Status(r.Context(), id)
	if err != nil {
		i.fail(w, r, err)
		return
	}
	events, err := i.engine.Events(r.Context(), id, 0)
	if err != nil {
		i.fail(w, r, err)
		return
	}
	h := History{
		ID: id, State: s.State, Mode: s.Mode, Reason: s.Reason, Cause: s.Cause,
		Steps: make([]Step, 0, len(s.Steps)), Incidents: make([]Incident, 0, len(s.Incidents)), Events: make([]Event, 0, len(events)),
	}
	if s.State == skald.Completed || s.State == skald.Compensated {
		h.Outcome = s.State
	}
	for _, x := range s.Steps {
		h.Steps = append(h.Steps, Step{x.Name, x.Level, x.State, x.Attempt, x.Reason, x.Detail})
	}
	for _, x := range s.Incidents {
		h.Incidents = append(h.Incidents, Incident(x))
	}
	for i := range events {
		e := &events[i]
		h.Events = append(h.Events, Event{e.Seq, e.Time, e.Kind.String(), e.Step, e.Reason, e.Detail})
	}
	problem.JSON(w, http.StatusOK, "application/json", h)
}
