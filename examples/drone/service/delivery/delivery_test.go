package delivery_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
)

const (
	cityHall = "55.6759,12.5697"
	hospital = "55.6963,12.5664"
)

func start(t *testing.T, folder string, factor float64) *part.Part {
	t.Helper()
	return parttest.Started(t)(delivery.Start(t.Context(), delivery.Config{Config: part.Config{Data: folder}, Factor: factor}))
}

func wants(id string) contract.StartRequest {
	return contract.StartRequest{
		Delivery: id, Owner: "ada", Pickup: cityHall, Dropoff: hospital, Confirmation: "None", Package: "p-1", Size: "Small", Weight: 1,
		Drone: "d-1", Base: geo.Point{Lat: 55.6655, Lon: 12.5430}, Speed: 20, Capacity: 2.5, Range: 20_000, Battery: 1,
	}
}

func begin(t *testing.T, p *part.Part, in contract.StartRequest) contract.Started {
	t.Helper()
	return parttest.Done(t, contract.Start, parttest.Act(t, p, contract.Start, in.Delivery, in))
}

// asked asks for an action until it has an answer.
func asked(t *testing.T, ask func() participant.Answer) participant.Answer {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		a := ask()
		if a.Class != participant.Unknown {
			return a
		}
		if !a.Working || a.RetryAfter <= 0 {
			t.Fatalf("it is not at work: %+v", a)
		}
		select {
		case <-time.After(a.RetryAfter):
		case <-deadline.C:
			t.Fatalf("not within a minute: %+v", a)
		}
	}
}

func ship(t *testing.T, p *part.Part, id string) participant.Answer {
	t.Helper()
	return asked(t, func() participant.Answer {
		return parttest.Act(t, p, contract.Ship, id, contract.ShipRequest{Delivery: id})
	})
}

func status(t *testing.T, p *part.Part, id string) delivery.Status {
	t.Helper()
	return parttest.Get[delivery.Status](t, p, "/api/deliveries/"+id+"/status")
}

func TestFlightIsFollowedAlsoThroughARestart(t *testing.T) {
	folder := t.TempDir()
	p := start(t, folder, 200)
	planned := begin(t, p, wants("one"))
	if !planned.PickupETA.Before(planned.DeliveryETA) {
		t.Errorf("planned is %+v", planned)
	}
	parttest.Stop(t, p)
	p = start(t, folder, 40) // a flight keeps its own factor
	shipped := parttest.Done(t, contract.Ship, ship(t, p, "one"))
	if shipped.At.Before(planned.PickupETA) || shipped.DeliveryETA.Sub(shipped.At) > 2*time.Second {
		t.Errorf("shipped is %+v", shipped)
	}
	done := parttest.Done(t, contract.Complete, asked(t, func() participant.Answer {
		return parttest.Act(t, p, contract.Complete, "one", contract.CompleteRequest{Delivery: "one"})
	}))
	if done.Dropoff.String() != "55.696300,12.566400" || done.Used <= 0 || done.Used >= 1 {
		t.Errorf("done is %+v", done)
	}
	if told := parttest.Done(t, contract.Notify, parttest.Act(t, p, contract.Notify, "one", contract.NotifyRequest{Delivery: "one"})); told.Told != 1 {
		t.Errorf("told are %d", told.Told)
	}
	if s := status(t, p, "one"); s.Stage != contract.StageCompleted || s.At != done.Dropoff {
		t.Errorf("status %+v", s)
	}
}

// A drone does not leave the pickup point by itself: until it is let go it can be called back.
func TestDeliveryThatIsCancelledIsNotShipped(t *testing.T) {
	p := start(t, t.TempDir(), 10_000)
	begin(t, p, wants("one"))
	if code, _, body := parttest.Request(t, p, http.MethodDelete, "/api/deliveries/one", ""); code != http.StatusNoContent {
		t.Fatalf("the DELETE is answered with %d %s", code, body)
	}
	parttest.Refused(t, ship(t, p, "one"), contract.ReasonCancelled)
	parttest.Refused(t, ship(t, p, "one"), contract.ReasonCancelled)
	parttest.Undone(t, parttest.Undo(t, p, contract.Start, contract.Withdraw, "one"))
	if s := status(t, p, "one"); s.Stage != contract.StageCancelled || s.Reason == "" {
		t.Errorf("status %+v", s)
	}
	begin(t, p, wants("two"))
	parttest.Done(t, contract.Ship, ship(t, p, "two"))
	if code, _, body := parttest.Request(t, p, http.MethodDelete, "/api/deliveries/two", ""); code != http.StatusConflict {
		t.Errorf("once it is shipped a DELETE is answered with %d %s", code, body)
	}
}

func TestGoodsAreCheckedBeforeTheDeliveryBegins(t *testing.T) {
	p := start(t, t.TempDir(), 60)
	for id, x := range map[string]struct {
		change func(in *contract.StartRequest)
		reason string
	}{
		"heavy":  {func(in *contract.StartRequest) { in.Weight = 3 }, contract.ReasonGoods},
		"empty":  {func(in *contract.StartRequest) { in.Battery = .05 }, contract.ReasonRange},
		"late":   {func(in *contract.StartRequest) { in.Deadline = time.Now().Add(time.Second) }, contract.ReasonDeadline},
		"ahead":  {func(in *contract.StartRequest) { in.PickupTime = time.Now().Add(time.Hour) }, contract.ReasonPickupTime},
		"palace": {func(in *contract.StartRequest) { in.Dropoff = "55.6841,12.5930" }, contract.ReasonAddress},
		"sea":    {func(in *contract.StartRequest) { in.Pickup = "55.70,12.95" }, contract.ReasonAddress},
		"words":  {func(in *contract.StartRequest) { in.Pickup = "here" }, contract.ReasonAddress},
	} {
		in := wants(id)
		x.change(&in)
		parttest.Refused(t, parttest.Act(t, p, contract.Start, id, in), x.reason)
		if code, _, _ := parttest.Request(t, p, http.MethodGet, "/api/deliveries/"+id, ""); code != http.StatusNotFound {
			t.Errorf("%s is there", id)
		}
	}
}

func TestClientsDeliveryMayBeChangedUntilItsDroneHasLeft(t *testing.T) {
	p := start(t, t.TempDir(), 60)
	put := func(want int, change func(d map[string]any)) {
		t.Helper()
		d := map[string]any{"ownerId": "ada", "pickupLocation": cityHall, "dropOffLocation": hospital, "pickupTime": "2126-01-01T00:00:00Z"}
		change(d)
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if code, _, answer := parttest.Request(t, p, http.MethodPut, "/api/deliveries/one", string(body)); code != want {
			t.Errorf("%s is answered with %d %s, want %d", body, code, answer, want)
		}
	}
	put(http.StatusUnprocessableEntity, func(map[string]any) {})
	soon := time.Now().Add(30 * time.Second).UTC().Format(time.RFC3339Nano)
	put(http.StatusCreated, func(d map[string]any) { d["pickupTime"] = soon })
	put(http.StatusNoContent, func(d map[string]any) { d["pickupTime"] = soon })
	put(http.StatusNoContent, func(d map[string]any) { d["pickupTime"], d["ownerId"] = soon, "bob" })
	put(http.StatusConflict, func(d map[string]any) { d["pickupTime"], d["pickupLocation"] = soon, hospital })
	put(http.StatusBadRequest, func(d map[string]any) { d["owner"] = "x" })
	put(http.StatusNoContent, func(d map[string]any) { d["pickupTime"], d["ownerId"] = "", "bob" })
	deadline := time.Now().Add(time.Minute)
	for status(t, p, "one").Stage != contract.HeadedToDropoff {
		if time.Now().After(deadline) {
			t.Fatalf("it does not fly: %+v", status(t, p, "one"))
		}
	}
	put(http.StatusConflict, func(d map[string]any) { d["pickupTime"] = soon })
	if code, _, _ := parttest.Request(t, p, http.MethodPut, "/api/deliveries/no%20id", `{"ownerId":"eve","pickupLocation":"`+cityHall+`","dropOffLocation":"`+hospital+`"}`); code != http.StatusUnprocessableEntity {
		t.Errorf("an id that cannot be one is answered with %d", code)
	}
	begin(t, p, wants("two"))
	if code, _, _ := parttest.Request(t, p, http.MethodPut, "/api/deliveries/two", `{"ownerId":"eve","pickupLocation":"`+cityHall+`","dropOffLocation":"`+hospital+`"}`); code != http.StatusConflict {
		t.Errorf("a saga's delivery is changed: %d", code)
	}
	parttest.Refused(t, parttest.Act(t, p, contract.Start, "one", wants("one")), contract.ReasonDoubled)
}

// What is asked too late, or a second time and otherwise, is refused; the same again is not.
func TestWhatIsAskedTooLateOrOtherwiseIsRefused(t *testing.T) {
	p := start(t, t.TempDir(), 10_000)
	ask := func(want int, method, path, body string) {
		t.Helper()
		if code, _, answer := parttest.Request(t, p, method, "/api/deliveries/"+path, body); code != want {
			t.Errorf("%s %s %s is answered with %d %s, want %d", method, path, body, code, answer, want)
		}
	}
	delivery := func(owner string) string {
		return fmt.Sprintf(`{"ownerId":%q,"pickupLocation":%q,"dropOffLocation":%q,"confirmationRequired":"Picture"}`, owner, cityHall, hospital)
	}
	const bob, eve = `{"emailAddress":"bob@example.org"}`, `{"emailAddress":"eve@example.org"}`
	ask(http.StatusUnprocessableEntity, http.MethodPut, "one", delivery(""))
	ask(http.StatusCreated, http.MethodPut, "one", delivery("ada"))
	ask(http.StatusCreated, http.MethodPost, "one/notifymerequests", bob)
	deadline := time.Now().Add(time.Minute)
	for status(t, p, "one").Stage != contract.StageCompleted {
		if time.Now().After(deadline) {
			t.Fatalf("it does not arrive: %+v", status(t, p, "one"))
		}
	}
	ask(http.StatusNoContent, http.MethodPost, "one/notifymerequests", bob)
	ask(http.StatusConflict, http.MethodPost, "one/notifymerequests", eve)
	ask(http.StatusCreated, http.MethodPost, "one/confirmations", `{"type":"Picture","data":"door.jpg"}`)
	ask(http.StatusNoContent, http.MethodPost, "one/confirmations", `{"type":"Picture","data":"door.jpg"}`)
	ask(http.StatusConflict, http.MethodPost, "one/confirmations", `{"type":"Picture","data":"roof.jpg"}`)
	ask(http.StatusNoContent, http.MethodPut, "one", delivery("ada"))
	ask(http.StatusConflict, http.MethodPut, "one", delivery("bob"))

	later := strings.Replace(delivery("ada"), "{", fmt.Sprintf(`{"pickupTime":%q,`, time.Now().Add(30*time.Second).UTC().Format(time.RFC3339)), 1)
	ask(http.StatusCreated, http.MethodPut, "two", later)
	ask(http.StatusNoContent, http.MethodDelete, "two", "")
	ask(http.StatusConflict, http.MethodPut, "two", later)
	ask(http.StatusConflict, http.MethodPost, "two/notifymerequests", bob)
}
