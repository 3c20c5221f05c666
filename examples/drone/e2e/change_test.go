package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/drone/system"
)

// later lets the drone wait before it departs, so that there is time for something else.
func later(q *wanted) { q.PickupTime = in(35 * time.Second) }

func TestCancelBeforeTheDroneHasLeftTurnsTheDeliveryBack(t *testing.T) {
	w := begin(t)
	id := w.send(parcelOf(later))
	w.until(id, "only Delivery can decide now", func(h history) bool { return h.step("delivery.start") == "done" })
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+id+"?reason=changed+my+mind", nil)
	if h := w.ends(id, "compensated"); h.Reason != "DeliveryFail.Cancelled" || h.Cause != "delivery.ship" {
		t.Errorf("it is turned back by %s with %s", h.Cause, h.Reason)
	}
	if s := w.status(id); s.Stage != "Cancelled" || s.Reason != "DeliveryFail.Cancelled" || !s.DeliveryETA.IsZero() {
		t.Errorf("status %+v", s)
	}
	if said := get[struct{ Detail string }](w, "/api/deliveries/"+id).Detail; !strings.Contains(said, "changed my mind") {
		t.Errorf("the delivery says %q", said)
	}
	w.expect(http.StatusNoContent, http.MethodDelete, "/api/deliveryrequests/"+id, nil)
	if got := w.events(id, "DeliveryCancelled"); !slices.Equal(got, []string{"DeliveryCreated", "DeliveryCancelTaken", "DeliveryCancelled"}) {
		t.Errorf("events %q", got)
	}
	w.eventually("the drone scheduler has noted the cancel", func() bool {
		return get[struct{ Cancelled bool }](w, w.url(drone.Name)+"/api/dronedeliveries/"+id).Cancelled
	})
	if a := w.request(http.MethodGet, w.url(parcel.Name)+"/api/packages/"+id, nil); a.status != http.StatusNotFound {
		t.Errorf("the package is still there: %s", a.body)
	}
}

func TestCancelBeforeTheLegsHaveJoinedIsDecidedAmongTheTokens(t *testing.T) {
	w := begin(t)
	if err := w.system.StopService(t.Context(), "delivery"); err != nil {
		t.Fatal(err)
	}
	id := w.send(parcelOf())
	w.until(id, "both legs are done", func(h history) bool { return h.step("package.upsert") == "done" && h.step("drone.assign") == "done" })
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+id, nil)
	if err := w.system.StartService(t.Context(), "delivery"); err != nil {
		t.Fatal(err)
	}
	if h := w.ends(id, "compensated"); h.Reason != "skald.cancelled" || h.step("drone.assign") != "undone" || h.step("package.upsert") != "undone" {
		t.Errorf("journal %+v", h)
	}
}

func TestCancelComesTooLateOnceTheDroneHasLeft(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.TimeFactor = 40 })
	id := w.send(parcelOf(func(q *wanted) { q.Pickup, q.Dropoff = zoo, hospital }))
	w.reaches(id, "HeadedToDropoff")
	w.until(id, "it has shipped", func(h history) bool { return h.step("delivery.ship") == "done" })
	w.refused(http.StatusConflict, "DeliveryFail.Shipped", http.MethodDelete, "/api/deliveryrequests/"+id, nil)
	w.refused(http.StatusConflict, "DeliveryFail.Shipped", http.MethodPatch, "/api/deliveryrequests/"+id, map[string]string{"pickupTime": in(time.Second)})
	w.refused(http.StatusConflict, "DeliveryFail.Shipped", http.MethodDelete, w.url("delivery")+"/api/deliveries/"+id, nil)
	w.ends(id, "completed")
	w.refused(http.StatusConflict, "DeliveryFail.Ended", http.MethodDelete, "/api/deliveryrequests/"+id, nil)
	w.expect(http.StatusNotFound, http.MethodDelete, "/api/deliveryrequests/nobody", nil)
}

func TestRescheduledDeliveryIsPickedUpThen(t *testing.T) {
	w := begin(t)
	id := w.send(parcelOf(later))
	w.until(id, "it has begun", func(h history) bool { return h.step("delivery.start") == "done" })
	path := "/api/deliveryrequests/" + id
	w.refused(http.StatusUnprocessableEntity, "DeliveryFail.DeadlineImpossible", http.MethodPatch, path, map[string]string{"deadline": in(time.Second)})
	w.refused(http.StatusUnprocessableEntity, "DeliveryFail.PickupTime", http.MethodPatch, path, map[string]string{"pickupTime": in(time.Hour)})
	if s := w.status(id); s.Stage != "Created" {
		t.Errorf("what was refused changed the stage to %s", s.Stage)
	}
	to := time.Now().Add(38 * time.Second).UTC().Truncate(time.Microsecond)
	a := w.expect(http.StatusOK, http.MethodPatch, path, map[string]string{"pickupTime": to.Format(time.RFC3339Nano)})
	agreed := decode[struct {
		Stage     string
		PickupETA time.Time
	}](t, a.body)
	if agreed.Stage != "Rescheduled" || !agreed.PickupETA.Equal(to) {
		t.Errorf("agreed is %s", a.body)
	}
	if s := w.status(id); s.Stage != "Rescheduled" || !s.PickupETA.Equal(to) {
		t.Errorf("status %+v", s)
	}
	w.eventually("the others have noted the new time", func() bool {
		d := get[struct{ PickupTime time.Time }](w, w.url(drone.Name)+"/api/dronedeliveries/"+id)
		p := get[struct {
			Deliveries []struct{ PickupTime time.Time }
		}](w, w.url(parcel.Name)+"/api/packages/"+id)
		return d.PickupTime.Equal(to) && len(p.Deliveries) == 1 && p.Deliveries[0].PickupTime.Equal(to)
	})
	w.expect(http.StatusOK, http.MethodPatch, path, map[string]string{"pickupTime": "", "deadline": in(time.Minute)})
	w.ends(id, "completed")
	for _, body := range []string{`{}`, `{"pickupTime":"tomorrow"}`, `{"pickup_time":""}`} {
		if a := w.request(http.MethodPatch, path, body); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
			t.Errorf("%s is answered with %d", body, a.status)
		}
	}
}

// A command that comes before its delivery is kept for it.
func TestCommandsMayOvertakeTheirDelivery(t *testing.T) {
	w := begin(t)
	if err := w.system.StopService(t.Context(), "package"); err != nil {
		t.Fatal(err)
	}
	id := w.send(parcelOf(later))
	whole := func(d time.Duration) string {
		return time.Now().Add(d).UTC().Truncate(time.Second).Format(time.RFC3339)
	}
	pickup, limit := whole(30*time.Second), whole(5*time.Minute)
	for _, x := range []struct{ ask, agreed map[string]string }{
		{map[string]string{"pickupTime": pickup}, map[string]string{"pickupTime": pickup}},
		{map[string]string{"deadline": limit}, map[string]string{"pickupTime": pickup, "deadline": limit}},
		{map[string]string{"pickupTime": ""}, map[string]string{"deadline": limit}},
	} {
		got := decode[struct{ PickupTime, Deadline *time.Time }](t, w.expect(http.StatusOK, http.MethodPatch, "/api/deliveryrequests/"+id, x.ask).body)
		for field, at := range map[string]*time.Time{"pickupTime": got.PickupTime, "deadline": got.Deadline} {
			if want := x.agreed[field]; want == "" && at != nil || want != "" && (at == nil || at.Format(time.RFC3339) != want) {
				t.Errorf("after %v the %s is %v, want %s", x.ask, field, at, want)
			}
		}
	}
	if err := w.system.StartService(t.Context(), "package"); err != nil {
		t.Fatal(err)
	}
	w.ends(id, "completed")
}

func TestManyDeliveriesShareTheFleet(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.TimeFactor = 5000 })
	ids := make([]string, 40)
	for i := range ids {
		ids[i] = w.send(parcelOf(func(q *wanted) {
			q.Owner = fmt.Sprintf("client-%d", i%7)
			if i%3 == 1 {
				q.Package.Size, q.Package.Weight = "Medium", 4
			}
		}))
		if i%10 == 9 {
			w.request(http.MethodDelete, "/api/deliveryrequests/"+ids[i], nil)
		}
	}
	outcomes := map[string]int{}
	for _, id := range ids {
		outcomes[w.until(id, "an outcome", func(h history) bool { return h.Outcome != "" }).Outcome]++
	}
	if outcomes["completed"] < 8 {
		t.Errorf("outcomes %v", outcomes)
	}
	t.Logf("outcomes %v", outcomes)
}

// The broker delivers at least once: a command that comes again, also under another message's id, changes nothing more.
func TestCommandThatComesAgainChangesNothing(t *testing.T) {
	w := begin(t)
	id := w.send(parcelOf(later))
	w.until(id, "it has begun", func(h history) bool { return h.step("delivery.start") == "done" })
	step, err := bus.NewStep()
	if err != nil {
		t.Fatal(err)
	}
	first := time.Now().Add(25 * time.Second).UTC().Truncate(time.Microsecond)
	ask := command.Reschedule{Delivery: id, PickupTime: &first, By: "test"}
	if err := bus.Ask(t.Context(), w.broker, "test", command.TypeReschedule, id, step, ask); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is rescheduled", func() bool { return w.status(id).PickupETA.Equal(first) })
	second := first.Add(10 * time.Second)
	w.expect(http.StatusOK, http.MethodPatch, "/api/deliveryrequests/"+id, map[string]string{"pickupTime": second.Format(time.RFC3339Nano)})
	data, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	copies := make([]broker.Message, 5)
	for i := range copies {
		copies[i] = broker.Message{ID: fmt.Sprint(step, "-copy-", i), Type: command.TypeReschedule, Source: "test", Saga: skald.SagaID(id), Step: step, Data: data, Key: broker.NewKey(id)}
	}
	if err := w.broker.Publish(t.Context(), bus.DeliveryCommands, copies...); err != nil {
		t.Fatal(err)
	}
	w.expect(http.StatusOK, http.MethodPatch, "/api/deliveryrequests/"+id, map[string]string{"deadline": in(100 * time.Second)}) // in its turn, after the copies
	if s := w.status(id); !s.PickupETA.Equal(second) {
		t.Errorf("a copy took the time back to %s", s.PickupETA)
	}
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+id, nil)
	types := w.events(id, "DeliveryCancelled")
	if n := len(slices.DeleteFunc(types, func(x string) bool { return x != "DeliveryRescheduled" })); n != 3 {
		t.Errorf("it was rescheduled %d times", n)
	}
}
