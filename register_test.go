package skald_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/participant"
)

// renamed is the box office's definition under another name, or with another revision.
func (b *box) renamed(t *testing.T, name, revision string, more ...skald.DefinitionOption) *skald.Saga[SeatRequest] {
	t.Helper()
	s := skald.Define[SeatRequest](name, append(more, skald.Revision(revision))...)
	seat := skald.Step(s, takeSeat, skald.From(func(r SeatRequest) SeatRequest { return r }))
	skald.Step(s, printOut, skald.From1(seat, func(_ SeatRequest, x Seat) Seat { return x }))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

// A definition that is registered while the engine runs can be started in both modes, from then on and while others are registered.
func TestADefinitionIsRegisteredWhileTheEngineRuns(t *testing.T) {
	brokers(t, func(t *testing.T, b broker.Broker) {
		x := openBox(t)
		e := openBoth(t, openStore(t), b, x, nil)
		var registering sync.WaitGroup
		for _, name := range []string{"matinee", "gala", "rehearsal"} {
			saga := x.renamed(t, name, "")
			registering.Go(func() {
				if err := e.Register(t.Context(), []skald.Registered{saga}, nil); err != nil {
					t.Error(err)
					return
				}
				for _, mode := range bothModes {
					id := skald.SagaID(name + "-" + string(mode))
					if _, err := saga.Start(t.Context(), e, SeatRequest{Show: string(id)}, skald.WithID(id), skald.InMode(mode)); err != nil {
						t.Error(err)
						return
					}
					if s := ended(t, e, id); s.State != skald.Completed || s.Mode != mode || s.Step("box.take").Kind != "compensatable" {
						t.Errorf("%s ended as %+v", id, s)
					}
				}
			})
		}
		registering.Wait()
	})
}

// An engine that was opened with nothing takes its first definition, and the participant of it, which then takes part in choreographed sagas, too.
func TestTheFirstDefinitionComesLate(t *testing.T) {
	brokers(t, func(t *testing.T, b broker.Broker) {
		x := openBox(t)
		e := openBoth(t, openStore(t), b, x, func(c *skald.Config) { c.Sagas, c.Participants = nil, nil })
		here := map[string]skald.Participant{"box": {Invoker: x.Participant, Level: participant.L2}}
		var faults *skald.Faults
		if err := e.Register(t.Context(), []skald.Registered{x.saga}, nil); !errors.As(err, &faults) {
			t.Fatalf("registered without its participant: %v", err)
		}
		for _, mode := range bothModes {
			if _, err := x.saga.Start(t.Context(), e, SeatRequest{Show: "x"}, skald.InMode(mode)); !errors.Is(err, skald.ErrDefinition) {
				t.Errorf("what was not registered was started %s: %v", mode, err)
			}
		}
		if err := e.Register(t.Context(), []skald.Registered{x.saga}, here); err != nil {
			t.Fatal(err)
		}
		for _, mode := range bothModes {
			id := skald.SagaID("late-" + string(mode))
			begin(t, e, x, id, mode)
			if s := ended(t, e, id); s.State != skald.Completed || s.Step("box.take").Level != "L2" {
				t.Errorf("%s ended as %+v", id, s)
			}
		}
	})
}

// serveBox lets the box take part by itself, over the broker.
func serveBox(t *testing.T, b broker.Broker, x *box) *skald.Service {
	t.Helper()
	service, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: b, Name: "box", Desk: x.Participant, Sagas: []skald.Registered{x.saga}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Stop(context.WithoutCancel(t.Context())) })
	return service
}

// Where sagas are choreographed, a definition is taken while the engine runs of which a participant cannot be called, as it is when the engine opens. It cannot be orchestrated, and that is said.
func TestADefinitionOfParticipantsThatCannotBeCalledIsChoreographed(t *testing.T) {
	brokers(t, func(t *testing.T, b broker.Broker) {
		x := openBox(t)
		serveBox(t, b, x)
		e := openBoth(t, openStore(t), b, x, func(c *skald.Config) { c.Mode, c.Sagas, c.Participants = skald.Choreographed, nil, nil })
		if err := e.Register(t.Context(), []skald.Registered{x.saga}, map[string]skald.Participant{"box": {Level: participant.L1}}); err != nil {
			t.Fatal(err)
		}
		begin(t, e, x, "s-1", "")
		if s := ended(t, e, "s-1"); s.State != skald.Completed || s.Mode != skald.Choreographed {
			t.Errorf("it ended as %+v", s)
		}
		if _, err := x.saga.Start(t.Context(), e, SeatRequest{Show: "x"}, skald.InMode(skald.Orchestrated)); !errors.Is(err, skald.ErrMode) {
			t.Errorf("an orchestrated start gives %v", err)
		}
	})
}

// What a remediation and a service elsewhere know grows, too.
func TestServicesAndRemediationsTakeDefinitions(t *testing.T) {
	brokers(t, func(t *testing.T, b broker.Broker) {
		x := openBox(t)
		service := serveBox(t, b, x)
		e := openBoth(t, openStore(t), b, x, func(c *skald.Config) { c.Mode, c.Participants = skald.Choreographed, nil })
		next := x.renamed(t, "evening", "2", skald.OnReason(skald.ReasonExhausted, "nobody answers", skald.Compensate()))
		r, err := skald.Remediate(t.Context(), skald.RemediationConfig{Broker: b})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Stop(context.WithoutCancel(t.Context())) }()
		letter := broker.DeadLetter{Topic: "skald-tokens", Reason: skald.ReasonExhausted, Message: broker.Message{Headers: map[string]string{"ce-skalddefinition": "evening", "ce-skaldversion": next.Version()}}}
		if _, _, known := r.Remedy(letter); known {
			t.Error("a remedy is known before its definition")
		}
		for _, register := range []func() error{
			func() error { return service.Register(t.Context(), next) },
			func() error { return e.Register(t.Context(), []skald.Registered{next}, nil) },
			func() error { return r.Register(next) },
		} {
			if err := register(); err != nil {
				t.Fatal(err)
			}
		}
		if means, does, known := r.Remedy(letter); !known || means != "nobody answers" || does != "compensate" {
			t.Errorf("the remedy is %q: %q, %t", means, does, known)
		}
		started, err := e.Start(t.Context(), skald.StartRequest{ID: "v-2", Definition: "evening", Input: []byte(`{"show":"Edda"}`)})
		if err != nil {
			t.Fatal(err)
		}
		if s := ended(t, e, started.ID); s.State != skald.Completed || s.Version != next.Version() {
			t.Errorf("it ended as %s with version %s", s.State, s.Version)
		}
	})
}
