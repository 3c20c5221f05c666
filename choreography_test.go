package skald_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// patience bounds what the tests wait for; nothing is expected to take as long.
const patience = 20 * time.Second

// visits is a theatre and an engine that runs its sagas in one of the modes.
type visits struct {
	*skald.Engine
	saga    *skald.Saga[SeatRequest]
	theatre *sqlparticipant.Participant
	broker  *membroker.Broker
}

func openVisits(t *testing.T, mode skald.Mode, paper bool, here bool) visits {
	t.Helper()
	service, err := theatre(t.TempDir(), paper)
	if err != nil {
		t.Fatal(err)
	}
	saga, err := visit()
	if err != nil {
		t.Fatal(err)
	}
	v := visits{saga: saga, theatre: service, broker: membroker.New(membroker.Config{})}
	c := skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Mode: mode, Broker: v.broker, Participants: map[string]skald.Participant{}}
	if here {
		p := skald.Participant{Invoker: service, Level: participant.L2}
		c.Participants["seats"], c.Participants["tickets"] = p, p
	}
	if v.Engine, err = skald.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := v.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return v
}

func (v visits) ends(t *testing.T, id skald.SagaID) skald.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, err := v.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// The mode is one setting: the same definition, service and client give the same outcome and the same steps.
func TestTheModeIsOneSetting(t *testing.T) {
	for _, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed} {
		for _, paper := range []bool{true, false} {
			t.Run(string(mode), func(t *testing.T) {
				v := openVisits(t, mode, paper, true)
				for i, existed := range []bool{false, true} {
					run, err := v.saga.Start(t.Context(), v, SeatRequest{Show: "Edda"}, skald.WithID("visit-1"), skald.WithKey("ann"))
					if err != nil || run.Existed != existed {
						t.Fatalf("start %d: existed %t, %v", i, run.Existed, err)
					}
				}
				if _, err := v.saga.Start(t.Context(), v, SeatRequest{Show: "Njal"}, skald.WithID("visit-1")); !errors.Is(err, skald.ErrConflict) {
					t.Errorf("another input gives %v", err)
				}
				s := v.ends(t, "visit-1")
				want := []string{"completed", "done", "done", ""}
				if !paper {
					want = []string{"compensated", "undone", "refused", "TicketRefused.NoPaper"}
				}
				got := []string{string(s.State), string(s.Step("seats.reserve").State), string(s.Step("tickets.print").State), s.Reason}
				for i := range want {
					if got[i] != want[i] {
						t.Errorf("status is %q, want %q", got, want)
						break
					}
				}
				if s.Mode != mode || s.Key != "ann" || s.Step("seats.reserve").Level != "L2" || len(s.Incidents) > 0 {
					t.Errorf("status is %+v", s)
				}
				last := ""
				if err := v.Watch(t.Context(), "visit-1", 0, func(e skald.Event) error { last = e.Kind.String(); return nil }); err != nil || last != "saga "+want[0] {
					t.Errorf("watched to %q, %v", last, err)
				}
				page, err := v.List(t.Context(), skald.Filter{Key: "ann"})
				if err != nil || len(page.Sagas) != 1 {
					t.Errorf("listed are %+v, %v", page, err)
				}
				if err := v.Cancel(t.Context(), "visit-1", "ann", "too late"); !errors.Is(err, skald.ErrEnded) {
					t.Errorf("a cancel after the end gives %v", err)
				}
				if _, err := v.Status(t.Context(), "visit-2"); !errors.Is(err, skald.ErrNotFound) {
					t.Errorf("a saga that was never started gives %v", err)
				}
			})
		}
	}
}

// A service in a process of its own takes part by itself.
func TestServicesTakePartByThemselves(t *testing.T) {
	v := openVisits(t, skald.Choreographed, true, false)
	run, err := v.saga.Start(t.Context(), v, SeatRequest{Show: "Edda"}, skald.WithID("visit-1"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := run.Status(t.Context()); err != nil || s.State != skald.Running {
		t.Errorf("with nobody there the saga is %s, %v", s.State, err)
	}
	for _, name := range []string{"seats", "tickets"} { // it hears what was told before it came
		s, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: v.broker, Name: name, Desk: v.theatre, Sagas: []skald.Registered{v.saga}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
	}
	if s := v.ends(t, "visit-1"); s.State != skald.Completed {
		t.Errorf("saga is %+v", s)
	}
}

func TestChoreographyNeedsItsParts(t *testing.T) {
	saga, err := visit()
	if err != nil {
		t.Fatal(err)
	}
	var faults *skald.Faults
	if _, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Mode: skald.Choreographed}); !errors.As(err, &faults) {
		t.Errorf("without a broker: %v", err)
	}
	if _, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Mode: "improvised"}); err == nil {
		t.Error("a mode that does not exist is taken")
	}
	if _, err := skald.Serve(t.Context(), skald.ServiceConfig{Name: "nobody", Sagas: []skald.Registered{saga}}); !errors.As(err, &faults) || len(faults.List) != 2 {
		t.Errorf("a service without anything: %v", err)
	}
}
