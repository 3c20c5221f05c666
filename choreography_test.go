package skald_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// patience bounds what the tests wait for; nothing is expected to take as long.
const patience = 2 * time.Minute

// brokers are those that choreographed sagas are tried on: one in memory, and JetStream in this process with its files synced.
func brokers(t *testing.T, run func(t *testing.T, b broker.Broker)) {
	t.Run("membroker", func(t *testing.T) { run(t, membroker.New(membroker.Config{})) })
	t.Run("natsbroker", func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir(), Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		b, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: server, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(b.Close(), server.Close()); err != nil {
				t.Error(err)
			}
		})
		run(t, b)
	})
}

// visits is a theatre and an engine that runs its sagas in one of the modes.
type visits struct {
	*skald.Engine
	saga    *skald.Saga[SeatRequest]
	theatre *sqlparticipant.Participant
}

func openVisits(t *testing.T, mode skald.Mode, b broker.Broker, paper, here bool) visits {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "theatre.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	service, err := theatre(db, paper)
	if err != nil {
		t.Fatal(err)
	}
	saga, err := visit()
	if err != nil {
		t.Fatal(err)
	}
	v := visits{saga: saga, theatre: service}
	c := skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Mode: mode, Broker: b, Participants: map[string]skald.Participant{}}
	if here {
		p := skald.Participant{Invoker: service, Level: participant.L2}
		c.Participants["seats"], c.Participants["tickets"] = p, p
	}
	if v.Engine, err = skald.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
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
	for _, paper := range []bool{true, false} {
		t.Run("orchestrated", func(t *testing.T) { goesTheSame(t, skald.Orchestrated, nil, paper) })
		brokers(t, func(t *testing.T, b broker.Broker) { goesTheSame(t, skald.Choreographed, b, paper) })
	}
}

func goesTheSame(t *testing.T, mode skald.Mode, b broker.Broker, paper bool) {
	v := openVisits(t, mode, b, paper, true)
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
	if got := []string{string(s.State), string(s.Step("seats.reserve").State), string(s.Step("tickets.print").State), s.Reason}; !slices.Equal(got, want) {
		t.Errorf("status is %q, want %q", got, want)
	}
	if s.Mode != mode || s.Key != "ann" || s.Step("seats.reserve").Level != "L2" || len(s.Incidents) > 0 {
		t.Errorf("status is %+v", s)
	}
	last := ""
	if err := v.Watch(t.Context(), "visit-1", 0, func(e skald.Event) error { last = e.Kind.String(); return nil }); err != nil || last != "saga "+want[0] {
		t.Errorf("watched to %q, %v", last, err)
	}
	if page, err := v.List(t.Context(), skald.Filter{Key: "ann"}); err != nil || len(page.Sagas) != 1 {
		t.Errorf("listed are %+v, %v", page, err)
	}
	if err := v.Cancel(t.Context(), "visit-1", "ann", "too late"); !errors.Is(err, skald.ErrEnded) {
		t.Errorf("a cancel after the end gives %v", err)
	}
	if _, err := v.Status(t.Context(), "visit-2"); !errors.Is(err, skald.ErrNotFound) {
		t.Errorf("a saga that was never started gives %v", err)
	}
}

// A service in a process of its own takes part by itself, also in what was started before it came.
func TestServicesTakePartByThemselves(t *testing.T) {
	brokers(t, func(t *testing.T, b broker.Broker) {
		v := openVisits(t, skald.Choreographed, b, true, false)
		run, err := v.saga.Start(t.Context(), v, SeatRequest{Show: "Edda"}, skald.WithID("visit-1"))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := run.Status(t.Context()); err != nil || s.State != skald.Running {
			t.Errorf("with nobody there the saga is %s, %v", s.State, err)
		}
		for _, name := range []string{"seats", "tickets"} {
			s, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: b, Name: name, Desk: v.theatre, Sagas: []skald.Registered{v.saga}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			}()
		}
		if s := v.ends(t, "visit-1"); s.State != skald.Completed {
			t.Errorf("saga is %+v", s)
		}
	})
}

// reading counts how often somebody reads back what was published.
type reading struct {
	*membroker.Broker
	reads atomic.Int64
}

// Read implements broker.Broker.
func (b *reading) Read(ctx context.Context, topic string, f broker.Filter) ([]broker.Message, error) {
	b.reads.Add(1)
	return b.Broker.Read(ctx, topic, f)
}

// What a saga was started with is not read back from the broker by its first participant when its turn comes again.
func TestAStartThatWasHeardIsNotReadBack(t *testing.T) {
	take, show, keep := skald.Pivot[string, string]("desk.take"), skald.Retriable[string, string]("hall.show"), skald.Retriable[string, string]("desk.keep")
	x := skald.Define[string]("roundtrip")
	taken := skald.Step(x, take, skald.From(func(in string) string { return in }))
	shown := skald.Step(x, show, skald.From1(taken, func(_ string, out string) string { return out }))
	skald.Step(x, keep, skald.From1(shown, func(in string, _ string) string { return in }))
	saga, err := x.Build()
	if err != nil {
		t.Fatal(err)
	}
	echo := func(_ context.Context, _ participant.Tx, in string) (string, error) { return in, nil }
	b := membroker.New(membroker.Config{})
	first := &reading{Broker: b}
	serve := func(name string, b broker.Broker, handlers ...participant.Handler) {
		db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), name+".db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		desk, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: name}, handlers...)
		if err != nil {
			t.Fatal(err)
		}
		service, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: b, Name: name, Desk: desk, Sagas: []skald.Registered{saga}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = service.Stop(context.WithoutCancel(t.Context())) })
	}
	serve("desk", first, skald.Handle(take, echo), skald.Handle(keep, echo))
	serve("hall", b, skald.Handle(show, echo))
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Mode: skald.Choreographed, Broker: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.WithoutCancel(t.Context())) })
	run, err := saga.Start(t.Context(), e, "round")
	if err != nil {
		t.Fatal(err)
	}
	if s := (visits{Engine: e}).ends(t, run.ID); s.State != skald.Completed || first.reads.Load() != 0 {
		t.Errorf("the saga is %s, after %d reads", s.State, first.reads.Load())
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
