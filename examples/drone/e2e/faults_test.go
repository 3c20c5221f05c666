package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/part"
)

// The six faults of the published implementation that this system was first described with, one test each.

// Fault 1: an event that no one handles because two services spell it differently. The services share the definition's and the contracts' names, so there is nothing to spell; and what comes from
// elsewhere with a type that nobody knows is set aside loudly, instead of passed over.
func TestFaultOneNoEventIsSpeltInTwoWays(t *testing.T) {
	w := begin(t)
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	serve := map[string]bool{}
	for _, s := range get[[]struct{ Operation string }](w, "/api/switches") { // every operation that some service carries out
		serve[s.Operation] = true
	}
	for _, s := range saga.Steps() {
		if !serve[s.Action] || s.Compensation != "" && !serve[s.Compensation] {
			t.Errorf("no service carries %s out", s.Action)
		}
	}
	misspelt := broker.Message{ID: "misspelt", Type: "drone.cancelled!", Source: "elsewhere", Saga: "x", Step: "command.1", Data: []byte(`{}`), Key: "x"}
	for _, topic := range []string{bus.DeliveryCommands, bus.DroneCommands} {
		if err := w.broker.Publish(t.Context(), topic, misspelt); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("each receiver has set it aside", func() bool { return len(lettersOf(w, bus.ReasonUnknownType)) == 3 })
	for _, l := range lettersOf(w, bus.ReasonUnknownType) {
		if l.Remedy != "person" || !strings.Contains(l.Description, "drone.cancelled!") {
			t.Errorf("the letter is %+v", l)
		}
	}
}

// lettersOf are the dead letters with a reason code.
func lettersOf(w *world, reason string) []letter {
	return slices.DeleteFunc(w.letters(), func(l letter) bool { return l.Reason != reason })
}

// Fault 2: a repeated PUT's 204 taken for a failure and dead-lettered.
func TestFaultTwoRepeatedPutIsNoFailure(t *testing.T) {
	w := begin(t)
	pack := map[string]any{"size": "Small", "weight": 1.5, "tag": "tea"}
	for _, status := range []int{http.StatusCreated, http.StatusNoContent, http.StatusNoContent} {
		w.expect(status, http.MethodPut, "/api/packages/p-1", pack)
	}
	put := map[string]any{"ownerId": "ada", "pickupLocation": cityHall, "dropOffLocation": hospital, "confirmationRequired": "Picture", "droneId": "own-1"}
	for _, status := range []int{http.StatusCreated, http.StatusNoContent, http.StatusNoContent} {
		w.expect(status, http.MethodPut, "/api/deliveries/by-hand", put)
	}
	w.reaches("by-hand", "Completed")
	if types := w.events("by-hand", "DeliveryNotified"); types[0] != "DeliveryCreated" || slices.Index(types, "DroneShipped") < 0 || len(types) != 6 {
		t.Errorf("events %q", types)
	}
	first := w.send(parcelOf(func(q *wanted) { q.Package.ID, q.Package.Weight = "p-1", 2 })) // the saga's upsert repeats the client's
	w.ends(first, "completed")
	if p := get[struct{ Weight float64 }](w, "/api/packages/p-1"); p.Weight != 2 {
		t.Errorf("the package is %+v", p)
	}
	if l := w.letters(); len(l) != 0 {
		t.Errorf("dead letters: %+v", l)
	}
}

// Fault 3: a duplicate request that gets a second drone.
func TestFaultThreeDuplicateRequestGetsTheSameDrone(t *testing.T) {
	w := begin(t)
	const key = "4b0a5a52-6a4c-4c57-9e55-0a8f0f4f7f10"
	q := parcelOf(later)
	for range 3 {
		if id := w.send(q, "Idempotency-Key", key); id != key {
			t.Fatalf("the delivery is %s", id)
		}
	}
	w.expect(http.StatusConflict, http.MethodPost, "/api/deliveryrequests", parcelOf(), "Idempotency-Key", key)
	w.until(key, "it has a drone", func(h history) bool { return h.step("delivery.start") == "done" })
	path := w.url(drone.Name) + "/api/dronedeliveries/"
	ask := map[string]any{"pickup": cityHall, "dropoff": hospital, "packageInfo": map[string]any{"weight": 1.2}}
	w.expect(http.StatusNoContent, http.MethodPut, path+key, ask)
	w.refused(http.StatusConflict, "DroneFail.UnderWay", http.MethodDelete, path+key, nil)
	a := w.expect(http.StatusCreated, http.MethodPut, path+"by-hand", ask)
	w.expect(http.StatusNoContent, http.MethodPut, path+"by-hand", ask)
	one, other := get[struct{ DroneID string }](w, path+key), decode[struct{ DroneID string }](t, a.body)
	if again := get[struct{ DroneID string }](w, path+"by-hand"); one == other || again != other {
		t.Errorf("the drones are %s, %s and %s", one, other, again)
	}
	busy := slices.DeleteFunc(get[[]craft](w, "/api/fleet"), func(c craft) bool { return c.State == "idle" })
	if len(busy) != 2 {
		t.Errorf("busy are %+v", busy)
	}
	w.expect(http.StatusNoContent, http.MethodDelete, path+"by-hand", nil)
	w.expect(http.StatusNoContent, http.MethodDelete, path+"by-hand", nil)
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+key, nil)
	w.ends(key, "compensated")
}

// Fault 4: a field renamed on one side only. A definition's version is a hash over the shapes of all it says, so a service that was built with another shape has another version and takes no part, loudly; what
// comes over HTTP or the bus is read to the letter.
func TestFaultFourRenamedFieldIsRefused(t *testing.T) {
	w := begin(t)
	w.expect(http.StatusBadRequest, http.MethodPost, "/api/deliveryrequests", `{"owner":"ada"}`)
	w.expect(http.StatusBadRequest, http.MethodPut, "/api/packages/p-1", `{"packageSize":"Small","weight":1}`)
	renamed := struct {
		DeliveryID string `json:"deliveryId"` // instead of "delivery"
	}{"x"}
	if err := bus.Ask(t.Context(), w.broker, "elsewhere", command.TypeCancel, "x", "command.1", renamed); err != nil {
		t.Fatal(err)
	}
	w.eventually("the command is set aside", func() bool { return len(lettersOf(w, skald.ReasonMalformed)) == 1 })

	// Package is built anew, from a contract in which a field has another name.
	if err := w.system.StopService(t.Context(), parcel.Name); err != nil {
		t.Fatal(err)
	}
	type upsert struct {
		Delivery string `json:"delivery"`
		Parcel   string `json:"parcel"` // instead of "package"
	}
	d := skald.Define[deliver.Request](deliver.Name)
	skald.Step(d, skald.Compensatable[upsert, struct{}]("package.upsert", "package.withdraw"), skald.From(func(r deliver.Request) upsert { return upsert{r.Delivery, r.Package.ID} }))
	other, err := d.Build()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parcel.Start(t.Context(), parcel.Config{Config: part.Config{Data: w.config.Data, Broker: w.broker, Logger: w.config.Logger}, Saga: other})
	if err != nil {
		t.Fatal(err)
	}
	id := w.send(parcelOf())
	l := w.letterOf(id, "skald.definition_missing")
	if l.Remedy != "person" || l.Meaning == "" {
		t.Errorf("the letter is %+v", l)
	}
	if h := w.history(id); h.step("package.upsert") == "done" || h.step("delivery.start") == "done" {
		t.Errorf("journal %+v", h)
	}
	stopping, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := p.Stop(stopping); err != nil {
		t.Fatal(err)
	}
	// Mended: the right program starts, and the letters are replayed.
	if err := w.system.StartService(t.Context(), parcel.Name); err != nil {
		t.Fatal(err)
	}
	for _, l := range lettersOf(w, "skald.definition_missing") {
		w.expect(http.StatusNoContent, http.MethodPost, "/api/deadletters/"+l.ID+"/replay", map[string]string{"by": "ada", "reason": "the right program runs"})
	}
	w.ends(id, "completed")
}

// Fault 5: dead letters without reason and without any compensation.
func TestFaultFiveEveryDeadLetterHasAReasonAndARemedy(t *testing.T) {
	w := begin(t)
	heavy := w.send(parcelOf(func(q *wanted) { q.Package.Weight = 3 }))
	h := w.ends(heavy, "compensated")
	if d := h.step("drone.assign"); d != "undone" && d != "refused" && d != "skipped" {
		t.Errorf("the drone's leg is %s", d)
	}
	w.switchOn("drone.assign", "refuse", 1)
	w.ends(w.send(parcelOf()), "compensated")
	poison := broker.Message{ID: "poison", Type: command.TypeCancel, Source: "elsewhere", Saga: "x", Step: "command.2", Data: []byte(`not JSON`), Key: "x"}
	late := broker.Message{ID: "late", Type: command.TypeCancel, Source: "elsewhere", Saga: "y", Step: "command.3", Data: []byte(`{}`), Key: "y", Expires: time.Now().Add(-time.Minute)}
	if err := w.broker.Publish(t.Context(), bus.DeliveryCommands, poison, late); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"PackageFail.TooHeavy", "DroneFail.Switched", skald.ReasonMalformed, broker.ReasonExpired} {
		w.eventually("there is a letter with "+want, func() bool { return len(lettersOf(w, want)) > 0 })
	}
	for _, l := range w.letters() {
		if l.Reason == "" || l.Meaning == "" || l.Remedy == "" || l.State == "" {
			t.Errorf("the letter is %+v", l)
		}
	}
	for _, l := range lettersOf(w, broker.ReasonExpired) {
		path := "/api/deadletters/" + l.ID + "/discard"
		w.expect(http.StatusUnprocessableEntity, http.MethodPost, path, map[string]string{"by": "", "reason": ""})
		w.expect(http.StatusNoContent, http.MethodPost, path, map[string]string{"by": "ada", "reason": "long ago"})
		if got := lettersOf(w, broker.ReasonExpired)[0]; got.State != "discarded" || !strings.Contains(got.Note, "ada: long ago") {
			t.Errorf("the letter is %+v", got)
		}
	}
	w.expect(http.StatusNotFound, http.MethodPost, "/api/deadletters/nothing/discard", map[string]string{"by": "ada", "reason": "x"})
}

// full is a broker whose disk is full while the test says so.
type full struct {
	*natsbroker.Broker
	refuses *atomic.Bool
}

func (f full) Decide(ctx context.Context, topic string, m broker.Message) (broker.Decision, error) {
	if f.refuses.Load() {
		return broker.Decision{}, fmt.Errorf("the disk: %w", broker.ErrFull)
	}
	return f.Broker.Decide(ctx, topic, m)
}

// Fault 6: 202 answered before the message is known to be stored. That a delivery whose 202 was sent survives kill -9 is shown by TestKilledAfterTheAnswerTheDeliveryIsMade.
func TestFaultSixAcceptedIsStored(t *testing.T) {
	var refuses atomic.Bool
	w := beginOn(t, func(b *natsbroker.Broker) broker.Broker { return full{b, &refuses} })
	refuses.Store(true)
	const key = "0f5f3a52-6a4c-4c57-9e55-0a8f0f4f7f11"
	a := w.expect(http.StatusServiceUnavailable, http.MethodPost, "/api/deliveryrequests", parcelOf(), "Idempotency-Key", key)
	if a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "Nothing was stored") {
		t.Errorf("full is answered with %v %s", a.header, a.body)
	}
	w.expect(http.StatusNotFound, http.MethodGet, "/api/deliveryrequests/"+key+"/history", nil)
	refuses.Store(false)
	w.send(parcelOf(), "Idempotency-Key", key)
	w.ends(key, "completed")
}

// A broker that is away is not known to have stored anything.
func TestRequestsAreNotAcceptedWhileTheBrokerIsAway(t *testing.T) {
	w := begin(t)
	id := w.send(parcelOf())
	w.ends(id, "completed")
	url := w.url(ingestion.Name)
	if err := errors.Join(w.broker.Close(), w.server.Close()); err != nil {
		t.Fatal(err)
	}
	w.expect(http.StatusServiceUnavailable, http.MethodPost, url+"/api/deliveryrequests", parcelOf())
	w.expect(http.StatusServiceUnavailable, http.MethodGet, url+"/livez", nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_ = w.system.Stop(ctx) // what it could not finish is what the test is about
	w.open()
}
