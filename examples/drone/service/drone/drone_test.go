package drone_test

import (
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	contract "github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

const (
	cityHall = "55.6759,12.5697"
	hospital = "55.6963,12.5664"
)

func start(t *testing.T, folder string, fleet ...area.Drone) *part.Part {
	t.Helper()
	return parttest.Started(t)(drone.Start(t.Context(), drone.Config{Config: part.Config{Data: folder}, Fleet: fleet, Factor: 10}))
}

func asks(delivery string, weight float64) contract.AssignRequest {
	return contract.AssignRequest{Delivery: delivery, Pickup: cityHall, Dropoff: hospital, Weight: weight}
}

func give(t *testing.T, p *part.Part, in contract.AssignRequest) contract.Assignment {
	t.Helper()
	return parttest.Done(t, contract.Assign, parttest.Act(t, p, contract.Assign, in.Delivery, in))
}

// fleet is what GET /api/fleet says, by drone.
func fleet(t *testing.T, p *part.Part) map[string]drone.Drone {
	t.Helper()
	all := map[string]drone.Drone{}
	for _, d := range parttest.Get[[]drone.Drone](t, p, "/api/fleet") {
		all[d.ID] = d
	}
	return all
}

func near(id string, at geo.Point, capacity, speed float64) area.Drone {
	return area.Drone{ID: id, Name: id, At: at, Capacity: capacity, Speed: speed, Range: 20_000}
}

func point(t *testing.T, text string) geo.Point {
	t.Helper()
	p, err := geo.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNearestDroneOfTheRightClassIsChosen(t *testing.T) {
	here, there := point(t, cityHall), point(t, hospital)
	p := start(t, t.TempDir(), near("close-heavy", here, 10, 15), near("close", here, 3, 15), near("far", geo.Between(here, there, .4), 3, 15), near("quick", geo.Between(here, there, .05), 10, 60))
	for i, want := range []string{"close", "far"} { // light ones first, the nearer before the other
		if got := give(t, p, asks(fmt.Sprint("light-", i), 1)); got.Drone != want {
			t.Errorf("%s goes, want %s", got.Drone, want)
		}
	}
	fast := asks("fast", 1)
	fast.Expedited = true
	fast.Pickup = geo.Between(here, there, .5).String()
	if got := give(t, p, fast); got.Drone != "quick" {
		t.Errorf("%s goes to what is expedited", got.Drone)
	}
	if got := give(t, p, asks("heavy", 9)); got.Drone != "close-heavy" || got.Base != here {
		t.Errorf("%+v goes with what is heavy", got)
	}
	a := parttest.Act(t, p, contract.Assign, "none", asks("none", 1))
	if a.Class != participant.Unknown || a.RetryAfter <= 0 {
		t.Errorf("with none free the answer is %+v", a)
	}
	parttest.Refused(t, parttest.Act(t, p, contract.Assign, "heavier", asks("heavier", 11)), contract.ReasonTooHeavy)
}

func TestDroneThatLacksTheBatteryStaysAndCharges(t *testing.T) {
	here := point(t, cityHall)
	p := start(t, t.TempDir(), near("only", here, 3, 15))
	give(t, p, asks("first", 1))
	used := contract.ReleaseRequest{Delivery: "first", At: here, Used: .95}
	parttest.Done(t, contract.Release, parttest.Act(t, p, contract.Release, "first", used))
	if a := parttest.Act(t, p, contract.Assign, "second", asks("second", 1)); a.Class != participant.Unknown {
		t.Errorf("an empty drone goes: %+v", a)
	}
	deadline := time.Now().Add(time.Minute) // at a factor of 10 it charges a tenth in 12 s
	before := fleet(t, p)["only"].Battery
	for fleet(t, p)["only"].Battery <= before {
		if time.Now().After(deadline) {
			t.Fatal("it does not charge")
		}
	}
}

func TestSameRequestGetsTheSameDroneAndFreeingGivesItBack(t *testing.T) {
	folder := t.TempDir()
	p := start(t, folder)
	first := give(t, p, asks("one", 1))
	if again := give(t, p, asks("one", 1)); again != first {
		t.Errorf("asked again: %+v, want %+v", again, first)
	}
	full := fleet(t, p)[first.Drone]
	parttest.Undone(t, parttest.Undo(t, p, contract.Assign, contract.Free, "one"))
	parttest.Undone(t, parttest.Undo(t, p, contract.Assign, contract.Free, "one"))
	if d := fleet(t, p)[first.Drone]; d.State != "idle" || d.At != first.Base || d.Battery < full.Battery {
		t.Errorf("freed it is %+v", d)
	}
	parttest.Undone(t, parttest.Undo(t, p, contract.Assign, contract.Free, "two")) // before it was asked for
	parttest.Refused(t, parttest.Act(t, p, contract.Assign, "two", asks("two", 1)), participant.ReasonCompensated)
	second := give(t, p, asks("three", 1))
	where := point(t, hospital)
	release := contract.ReleaseRequest{Delivery: "three", At: where, Used: .25}
	for range 2 {
		parttest.Done(t, contract.Release, parttest.Act(t, p, contract.Release, "three", release))
	}
	parttest.Stop(t, p)
	if d := fleet(t, start(t, folder))[second.Drone]; d.State != "idle" || geo.Distance(d.At, where) > 1 || math.Abs(d.Battery-.75) > .2 {
		t.Errorf("after a restart it is %+v", d)
	}
}

// What Delivery decided may be heard before the drone is asked for.
func TestDeliveryThatWasCancelledGetsNoDrone(t *testing.T) {
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	b, folder := membroker.New(membroker.Config{}), t.TempDir()
	t.Cleanup(func() { _ = b.Close() })
	p := parttest.Started(t)(drone.Start(t.Context(), drone.Config{Config: part.Config{Data: folder, Broker: b}, Saga: saga, Factor: 10}))
	data := []byte(`{"delivery":"one","by":"delivery","reason":"x"}`)
	if err := b.Publish(t.Context(), bus.DroneCommands, broker.Message{ID: "c-1", Type: command.TypeCancelled, Source: "delivery", Saga: "one", Step: "command.1", Data: data, Key: "one"}); err != nil {
		t.Fatal(err)
	}
	db, err := sqlparticipant.OpenSQLite(filepath.Join(folder, drone.Name+".db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	parttest.Eventually(t, "it is noted", func() (noted bool) {
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM notes WHERE delivery = 'one' AND cancelled = 1`).Scan(&noted); err != nil {
			t.Fatal(err)
		}
		return noted
	})
	parttest.Refused(t, parttest.Act(t, p, contract.Assign, "one", asks("one", 1)), contract.ReasonCancelled)
	give(t, p, asks("two", 1))
}

func TestNoDroneIsAssignedTwiceAtATime(t *testing.T) {
	p := start(t, t.TempDir())
	given := make([]participant.Answer, 2*len(area.Fleet()))
	var asking sync.WaitGroup
	for i := range given {
		asking.Go(func() {
			id := fmt.Sprint("d-", i)
			given[i] = parttest.Act(t, p, contract.Assign, id, asks(id, 1))
		})
	}
	asking.Wait()
	done, held := 0, map[string]bool{}
	for _, a := range given {
		if a.Class == participant.Done {
			done++
			held[parttest.Done(t, contract.Assign, a).Drone] = true
		}
	}
	if done != len(area.Fleet()) || len(held) != done {
		t.Errorf("%d deliveries have %d drones of %d", done, len(held), len(area.Fleet()))
	}
}

func TestWhatNoDroneCanDoIsRefused(t *testing.T) {
	p := start(t, t.TempDir())
	for reason, change := range map[string]func(in *contract.AssignRequest){
		contract.ReasonLocation: func(in *contract.AssignRequest) { in.Dropoff = "the hospital" },
		contract.ReasonRange:    func(in *contract.AssignRequest) { in.Dropoff = "56.5,12.5" },
	} {
		in := asks("x-"+reason, 1)
		change(&in)
		parttest.Refused(t, parttest.Act(t, p, contract.Assign, in.Delivery, in), reason)
	}
	in := asks("away", 1)
	in.Pickup = "55.4,12.2"
	parttest.Refused(t, parttest.Act(t, p, contract.Assign, "away", in), contract.ReasonRange)
	if status, _, body := parttest.Request(t, p, http.MethodPut, "/api/dronedeliveries/x", `{"pickup":"here","dropoff":"there"}`); status != http.StatusUnprocessableEntity {
		t.Errorf("a PUT of no places: %d %s", status, body)
	}
	for id, d := range fleet(t, p) {
		if d.State != "idle" {
			t.Errorf("%s is %s", id, d.State)
		}
	}
}
