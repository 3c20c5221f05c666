package delivery

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/examples/drone/area"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// The longest that a delivery can take while all is well, at the slowest factor: its pickup as far ahead as it may be, and the whole city to fly, twice. Nothing of that is an incident.
func TestNoWaitForAPickupAndNoFlightIsAnIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSky(t)
		s.request("one")
		time.Sleep(deliver.MaxAhead + time.Second)
		s.wantStep("one", "delivery.ship", journal.StepStateRunning)
		time.Sleep(flight.Loading / flight.MinFactor)
		s.wantStep("one", "delivery.ship", journal.StepStateDone)
		status, err := s.engine.Wait(t.Context(), "one")
		if took := status.Ended.Sub(status.Started); err != nil || status.State != skald.Completed || took < deliver.MaxAhead+30*time.Second {
			t.Errorf("the delivery is %s after %s, %v", status.State, took, err)
		}
		events, err := s.engine.Events(t.Context(), "one", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == journal.IncidentOpened {
				t.Errorf("an incident of %q: %s %s", e.Step, e.Reason, e.Detail)
			}
		}
	})
}

// A Delivery service that is away while a drone waits or flies shows within a minute, and no longer when it is back.
func TestF33_DeliveryThatIsAwayIsAnIncidentWithinAMinute(t *testing.T) {
	for step, after := range map[string]time.Duration{"delivery.ship": time.Second, "delivery.complete": deliver.MaxAhead + 3*time.Second} {
		t.Run(step, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { deliveryIsAway(t, step, after) }) })
	}
}

func deliveryIsAway(t *testing.T, step string, after time.Duration) {
	t.Helper()
	s := openSky(t)
	s.request("one")
	time.Sleep(after)
	s.wantStep("one", step, journal.StepStateRunning)
	s.leave()
	time.Sleep(time.Minute)
	if open := s.status("one").Incidents; len(open) != 1 || open[0].Step != step || open[0].Reason != skald.ReasonNoProgress {
		t.Errorf("Delivery was away during %s, and a minute later the incidents are %+v", step, open)
	}
	s.comeBack()
	if status, err := s.engine.Wait(t.Context(), "one"); err != nil || status.State != skald.Completed || len(status.Incidents) != 0 {
		t.Errorf("the delivery is %s with %+v, %v", status.State, status.Incidents, err)
	}
}

// sky is the saga over the Delivery service, which lets time run as slowly as it may, and others that do as they are told, in virtual time.
type sky struct {
	t       *testing.T
	broker  *membroker.Broker
	saga    *skald.Saga[deliver.Request]
	engine  *skald.Engine
	desk    participant.Desk
	service *skald.Service // Delivery, or nil while it is away
}

func openSky(t *testing.T) *sky {
	t.Helper()
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { time.Sleep(time.Second) }) // of the bubble's time: a participant's goroutine rests for a moment after its last work, and then goes
	s := &sky{t: t, broker: membroker.New(membroker.Config{}), saga: saga}
	t.Cleanup(func() { _ = s.broker.Close() })
	if s.engine, err = skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Mode: skald.Choreographed, Broker: s.broker}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stop(s.engine) })
	packages := s.participant("package", skald.HandleCompensatable(parcel.Upsert,
		func(_ context.Context, _ participant.Tx, in parcel.UpsertRequest) (parcel.Upserted, error) {
			return parcel.Upserted{Package: in.Package, Size: in.Size, Weight: in.Weight}, nil
		}, func(context.Context, participant.Tx, parcel.UpsertRequest, parcel.Upserted) error { return nil }))
	drones := s.participant("drone", skald.HandleCompensatable(drone.Assign,
		func(context.Context, participant.Tx, drone.AssignRequest) (drone.Assignment, error) {
			return slowest(), nil
		},
		func(context.Context, participant.Tx, drone.AssignRequest, drone.Assignment) error { return nil }),
		skald.Handle(drone.Release, func(context.Context, participant.Tx, drone.ReleaseRequest) (drone.Released, error) {
			return drone.Released{}, nil
		}))
	for name, desk := range map[string]participant.Desk{"package": packages, "drone": drones} {
		service := s.serve(name, desk)
		t.Cleanup(func() { s.stop(service) })
	}
	d := service{factor: flight.MinFactor}
	s.desk = s.participant(Name, skald.HandleCompensatable(contract.Start, d.start, d.withdraw), skald.Handle(contract.Ship, d.ship), skald.Handle(contract.Complete, d.complete), skald.Handle(contract.Notify, d.notify))
	s.comeBack()
	t.Cleanup(s.leave)
	return s
}

// slowest is the slowest drone there is, at one end of the city, with a battery for any way.
func slowest() drone.Assignment {
	a := drone.Assignment{Drone: "d-1", Base: area.Bounds()[0], Speed: area.Fleet()[0].Speed, Capacity: 10, Range: 1e6, Battery: 1}
	for _, d := range area.Fleet() {
		a.Speed = min(a.Speed, d.Speed)
	}
	return a
}

// participant is one on a database of its own, with Delivery's tables.
func (s *sky) participant(name string, handlers ...participant.Handler) *sqlparticipant.Participant {
	s.t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(s.t.TempDir(), name+".db"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	if err := tables(s.t.Context(), db); err != nil {
		s.t.Fatal(err)
	}
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: name}, handlers...)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func tables(ctx context.Context, db *sql.DB) error {
	script, err := files.ReadFile("migrations/001.sql")
	if err == nil {
		_, err = db.ExecContext(ctx, string(script))
	}
	return err
}

func (s *sky) serve(name string, desk participant.Desk) *skald.Service {
	s.t.Helper()
	service, err := skald.Serve(s.t.Context(), skald.ServiceConfig{Broker: s.broker, Name: name, Desk: desk, Sagas: []skald.Registered{s.saga}})
	if err != nil {
		s.t.Fatal(err)
	}
	return service
}

// comeBack starts the Delivery service, and leave ends it.
func (s *sky) comeBack() { s.service = s.serve(Name, s.desk) }

func (s *sky) leave() {
	if s.service != nil {
		s.stop(s.service)
	}
	s.service = nil
}

func (s *sky) stop(x interface {
	Stop(ctx context.Context) error
}) {
	if err := x.Stop(context.WithoutCancel(s.t.Context())); err != nil {
		s.t.Errorf("stopping: %v", err)
	}
}

// request starts a delivery that is picked up as late as may be, and takes its drone across the city and back.
func (s *sky) request(id skald.SagaID) {
	s.t.Helper()
	ends := area.Bounds()
	_, err := s.saga.Start(s.t.Context(), s.engine, deliver.Request{
		Delivery: string(id), Owner: "ada", Pickup: ends[1].String(), Dropoff: ends[0].String(), PickupTime: time.Now().Add(deliver.MaxAhead), Confirmation: "None",
		Package: deliver.Package{ID: "p-1", Size: parcel.Small, Weight: 1},
	}, skald.WithID(id))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sky) status(id skald.SagaID) skald.Status {
	s.t.Helper()
	status, err := s.engine.Status(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return status
}

func (s *sky) wantStep(id skald.SagaID, name string, state journal.StepState) {
	s.t.Helper()
	status := s.status(id)
	if step := status.Step(name); step == nil || step.State != state {
		s.t.Errorf("step %s is %+v, want %s", name, step, state)
	}
}
