package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/drone/system"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/store/sqlitestore"
)

func TestFrontDoorChecksTheShapeOfRequests(t *testing.T) {
	w := begin(t)
	for body, status := range map[string]int{
		`not JSON`: 400, `{}`: 422, `{"ownerId":"a"} {}`: 400, `{"weight":"1"}`: 400,
		`{"ownerId":"a","pickupLocation":"1,1","dropOffLocation":"1,1","pickupTime":"soon","packageInfo":{"size":"Small"}}`:                    422,
		`{"ownerId":"a","pickupLocation":"1,1","dropOffLocation":"1,1","deadline":"9999-12-31T23:59:59-14:00","packageInfo":{"size":"Small"}}`: 422,
		`{"ownerId":"a\u0000","pickupLocation":"1,1","dropOffLocation":"1,1","packageInfo":{"size":"Small"}}`:                                  422, `{"ownerId":"` + strings.Repeat("a", 20_000) + `"}`: 413,
		`{"ownerId":"a","pickupLocation":"1,1","dropOffLocation":"1,1","confirmationRequired":"Oath","packageInfo":{"size":"Small"}}`: 422,
	} {
		a := w.expect(status, http.MethodPost, "/api/deliveryrequests", body)
		if got := a.header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s is answered with %s", body, got)
		}
	}
	for body, says := range map[string]string{`{"ownerId":"a\u0000"}`: `{"field":"ownerId","detail":"It has characters that are no text."}`, `{"deadline":"9999-12-31T23:59:59-14:00"}`: `{"field":"deadline","detail":"A time has a year`} {
		if a := w.expect(422, http.MethodPost, "/api/deliveryrequests", body); !strings.Contains(string(a.body), says) {
			t.Errorf("%s is answered with %s", body, a.body)
		}
	}
	w.expect(http.StatusNotFound, http.MethodGet, "/api/deliveries/nobody/status", nil)
	sworn := map[string]string{"ownerId": "ada", "pickupLocation": cityHall, "dropOffLocation": hospital, "confirmationRequired": "Oath"}
	w.expect(http.StatusUnprocessableEntity, http.MethodPut, "/api/deliveries/sworn", sworn)
	w.expect(http.StatusNotFound, http.MethodGet, "/api/deliveries/sworn", nil)
	w.expect(http.StatusNotFound, http.MethodGet, "/api/deliveryrequests/nobody/history", nil)
	w.expect(http.StatusOK, http.MethodGet, "/livez", nil)
	if a := w.expect(http.StatusOK, http.MethodGet, "/metrics", nil); !strings.Contains(string(a.body), `definition="delivery"`) {
		t.Error("/metrics does not know the definition")
	}
	w.expect(http.StatusOK, http.MethodGet, "/", nil)
	if m := get[struct {
		Center     string
		Depots     []any
		TimeFactor float64
	}](w, "/api/area"); m.Center == "" || len(m.Depots) == 0 || m.TimeFactor != 500 {
		t.Errorf("the map is %+v", m)
	}
}

func TestThoseConcernedAreTold(t *testing.T) {
	w := begin(t)
	id := w.send(parcelOf(later, func(q *wanted) { q.Confirmation = "Picture" }))
	w.until(id, "it has begun", func(h history) bool { return h.step("delivery.start") == "done" })
	path := "/api/deliveries/" + id
	if o := get[struct{ OwnerID string }](w, path+"/owner"); o.OwnerID != "ada" {
		t.Errorf("the owner is %+v", o)
	}
	for _, status := range []int{http.StatusCreated, http.StatusNoContent} {
		w.expect(status, http.MethodPost, path+"/notifymerequests", map[string]string{"emailAddress": "bob@example.org"})
	}
	w.expect(http.StatusUnprocessableEntity, http.MethodPost, path+"/notifymerequests", map[string]string{})
	w.expect(http.StatusConflict, http.MethodPost, path+"/confirmations", map[string]string{"type": "Picture", "data": "door.jpg"})
	w.expect(http.StatusOK, http.MethodPatch, "/api/deliveryrequests/"+id, map[string]string{"pickupTime": ""})
	w.ends(id, "completed")
	w.expect(http.StatusUnprocessableEntity, http.MethodPost, path+"/confirmations", map[string]string{"type": "Voice", "data": "x"})
	for _, status := range []int{http.StatusCreated, http.StatusNoContent} {
		w.expect(status, http.MethodPost, path+"/confirmations", map[string]string{"type": "Picture", "data": "door.jpg"})
	}
	type seen struct {
		Events []struct{ Type, Subject string }
	}
	w.eventually("the outsider has heard of it", func() bool {
		for _, e := range get[seen](w, "/api/outsider").Events {
			if e.Type == "DeliveryNotified" && e.Subject == id {
				return true
			}
		}
		return false
	}, func() string { return string(w.request(http.MethodGet, "/api/outsider", nil).body) })
}

// The stream shows the drone on its way, and no more often than five times a second.
func TestStreamShowsTheFlight(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.TimeFactor = 60 })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url(ingestion.Name)+"/api/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	began := time.Now()
	id := w.send(parcelOf())
	places, stages, pictures, name := map[string]bool{}, map[string]bool{}, 0, ""
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for !stages["Completed"] && lines.Scan() {
		if e, found := strings.CutPrefix(lines.Text(), "event: "); found {
			name = e
		}
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		switch {
		case !found:
		case name == "fleet":
			pictures++
			for _, c := range decode[[]craft](t, []byte(data)) {
				if c.Delivery == id && (c.State == "to_pickup" || c.State == "to_dropoff") {
					places[c.At] = true
				}
			}
		case name == "deliveries":
			for _, x := range decode[[]item](t, []byte(data)) {
				if x.ID == id {
					stages[x.Stage] = true
				}
			}
		}
	}
	if most := 2 + int(time.Since(began)/pace); !stages["Completed"] || len(places) < 3 || pictures > most {
		t.Errorf("stages %v, %d places, %d pictures where %d are the most", stages, len(places), pictures, most)
	}
}

// pace is how often the stream may show something new.
const pace = 200 * time.Millisecond

// The same definition and the same services, called over HTTP by a coordinator.
func TestOrchestratedTheSameServicesDeliver(t *testing.T) {
	t.Parallel()
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	c := part.Config{Data: data}
	start := parttest.Started(t)
	parts := map[string]*part.Part{
		"package": start(parcel.Start(t.Context(), parcel.Config{Config: c})), "drone": start(drone.Start(t.Context(), drone.Config{Config: c})),
		"delivery": start(delivery.Start(t.Context(), delivery.Config{Config: c, Factor: 500})),
	}
	egress := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	defer egress.Close()
	participants := map[string]skald.Participant{}
	for name, p := range parts {
		client, err := httpparticipant.New(httpparticipant.Config{BaseURL: p.URL(), Egress: egress})
		if err != nil {
			t.Fatal(err)
		}
		participants[name] = skald.Participant{Invoker: client, Level: participant.L2}
	}
	store, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(data, "coordinator.db")})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := skald.Open(t.Context(), skald.Config{Store: store, Sagas: []skald.Registered{saga}, Participants: participants})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	defer func() {
		if err := engine.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	ask := deliver.Request{Delivery: "made", Owner: "ada", Pickup: cityHall, Dropoff: hospital, Confirmation: "None", Package: deliver.Package{ID: "p-1", Size: "Small", Weight: 1}}
	refused := ask
	refused.Delivery, refused.Dropoff = "refused", airport
	for _, x := range []struct {
		in     deliver.Request
		state  skald.State
		reason string
	}{{ask, skald.Completed, ""}, {refused, skald.Compensated, "DeliveryFail.AddressRefused"}} {
		run, err := saga.Start(ctx, engine, x.in, skald.WithID(skald.SagaID(x.in.Delivery)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := run.Wait(ctx)
		if err != nil || s.State != x.state || s.Reason != x.reason || s.Mode != skald.Orchestrated {
			out, _ := json.Marshal(s.Steps)
			t.Errorf("%s is %s, %s, %v: %s", x.in.Delivery, s.State, s.Reason, err, out)
		}
	}
	if d := parttest.Get[[]struct{ State string }](t, parts["drone"], "/api/dronedeliveries"); len(d) != 2 || d[0].State == "assigned" || d[1].State == "assigned" {
		t.Errorf("drones %+v", d)
	}
}
