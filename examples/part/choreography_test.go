package part_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

// counting is a saga that adds.
func counting(t *testing.T, timeout time.Duration) *skald.Saga[one] {
	t.Helper()
	s := skald.Define[one]("counting")
	skald.Step(s, add, skald.From(func(in one) one { return in }), skald.Timeout(timeout))
	saga, err := s.Build()
	if err != nil {
		t.Fatal(err)
	}
	return saga
}

// choreographed starts the part with a broker. The caller stops it.
func choreographed(t *testing.T, b broker.Broker, folder string, saga skald.Registered) (*part.Part, error) {
	t.Helper()
	c := config(folder)
	c.Broker = b
	return part.Start(t.Context(), c, tables(), withSagas(counter(nil), saga))
}

// open opens an engine that starts sagas for others to carry out.
func open(t *testing.T, b broker.Broker, saga skald.Registered) *skald.Engine {
	t.Helper()
	engine, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Mode: skald.Choreographed, Broker: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := engine.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return engine
}

func run(t *testing.T, e *skald.Engine, s *skald.Saga[one], id skald.SagaID, by int) skald.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := s.Start(ctx, e, one{by}, skald.WithID(id))
	if err != nil {
		t.Fatal(err)
	}
	status, err := r.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

func TestPartTakesPartOverTheBrokerAndOverHTTPAtOnce(t *testing.T) {
	b, saga := membroker.New(membroker.Config{}), counting(t, 5*time.Second)
	p := parttest.Started(t)(choreographed(t, b, t.TempDir(), saga))
	engine := open(t, b, saga)
	if s := run(t, engine, saga, "heard", 5); s.State != skald.Completed {
		t.Errorf("the saga is %s: %+v", s.State, s)
	}
	if s := run(t, engine, saga, "unlucky", 13); s.State != skald.Compensated || s.Reason != "Counter.Unlucky" {
		t.Errorf("the refused saga is %s: %s", s.State, s.Reason)
	}
	parttest.Done(t, add, parttest.Act(t, p, add, "called", one{2}))
	expectSum(t, p, "7")
	if status, _, body := parttest.Request(t, p, "GET", "/livez", ""); status != 200 || string(body) != "ok: called over HTTP, takes part over the broker\n" {
		t.Errorf("livez answers %d %q", status, body)
	}
	_, _, body := parttest.Request(t, p, "GET", "/metrics", "")
	for _, want := range []string{
		`skald_participant_operations_total{operation="counter.add",result="done"} 2`, `skald_participant_operations_total{operation="counter.add",result="refused"} 1`,
		`skald_participant_actions{participant="counter"} 0`, `skald_participant_actions_room{participant="counter"} 64`, `skald_participant_ignored_total{participant="counter"} 0`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
}

// Each way of failing is survived, the effect exists once, and the switch's count is what the saga went through.
func TestSwitchesWorkWhereNobodyCalls(t *testing.T) {
	b, saga := membroker.New(membroker.Config{}), counting(t, 400*time.Millisecond)
	p := parttest.Started(t)(choreographed(t, b, t.TempDir(), saga))
	engine := open(t, b, saga)
	for i, c := range []struct {
		setting string
		slow    time.Duration
	}{
		{`{"mode":"error500","count":2}`, 0},
		{`{"mode":"down","count":1}`, 0},
		{`{"mode":"drop","count":2}`, 0},
		{`{"mode":"slow","count":1,"delay_ms":50}`, 50 * time.Millisecond},
		{`{"mode":"slow","count":1,"delay_ms":60000}`, 300 * time.Millisecond}, // longer than a call may take
	} {
		parttest.Switch(t, p, "counter.add", c.setting)
		id := skald.SagaID(fmt.Sprint("s", i))
		began := time.Now()
		if s := run(t, engine, saga, id, 1); s.State != skald.Completed || time.Since(began) < c.slow {
			t.Errorf("%s: the saga is %s after %s", c.setting, s.State, time.Since(began))
		}
		expectSum(t, p, fmt.Sprint(i+1))
		if _, _, body := parttest.Request(t, p, "GET", "/switches", ""); !strings.Contains(string(body), `"operation":"counter.add","mode":"off"`) {
			t.Errorf("%s: the saga did not go through all of it: %s", c.setting, body)
		}
	}
	parttest.Switch(t, p, "counter.add", `{"mode":"refuse","count":1}`)
	if s := run(t, engine, saga, "refused", 1); s.State != skald.Compensated || s.Reason != "Counter.Switched" {
		t.Errorf("refused: the saga is %s: %s", s.State, s.Reason)
	}
	expectSum(t, p, "5")
	_, _, body := parttest.Request(t, p, "GET", "/metrics", "")
	if want := `skald_participant_operations_total{operation="counter.add",result="duplicate"} 2`; !strings.Contains(string(body), want) {
		t.Errorf("the metrics lack %s", want) // the two that were dropped were carried out once and answered twice
	}
}

// A part goes on over JetStream with what was begun before it stopped, and stops although an operation is slow.
func TestPartThatStopsDuringSlowWorkGoesOnLater(t *testing.T) {
	folder := t.TempDir()
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(folder, "broker"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: server, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = b.Close()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	saga := counting(t, time.Minute)
	p, err := choreographed(t, b, folder, saga)
	if err != nil {
		t.Fatal(err)
	}
	engine := open(t, b, saga)
	parttest.Switch(t, p, "counter.add", `{"mode":"slow","count":1,"delay_ms":50000}`)
	r, err := saga.Start(t.Context(), engine, one{3})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		_, _, body := parttest.Request(t, p, "GET", "/switches", "")
		if strings.Contains(string(body), `"operation":"counter.add","mode":"off"`) {
			break // the one slow call has begun
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody asks")
		}
	}
	soft, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Stop(soft); err == nil {
		t.Error("stopping does not say that work was cut off")
	}
	p = parttest.Started(t)(choreographed(t, b, folder, saga))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if s, err := r.Wait(ctx); err != nil || s.State != skald.Completed {
		t.Errorf("after the restart the saga is %s, %v", s.State, err)
	}
	expectSum(t, p, "3")
}

func TestPartWithABrokerNeedsDefinitions(t *testing.T) {
	c := config(t.TempDir())
	c.Broker = membroker.New(membroker.Config{})
	if _, err := part.Start(t.Context(), c, tables(), counter(nil)); err == nil || !strings.Contains(err.Error(), "Service.Sagas") {
		t.Errorf("the error is %v", err)
	}
}

// kept takes events.
type kept chan participant.Message

func (k kept) Publish(_ context.Context, messages []participant.Message) error {
	for _, m := range messages {
		k <- m
	}
	return nil
}

func TestPublisherTakesTheEvents(t *testing.T) {
	events := make(kept, 8)
	c := config(t.TempDir())
	c.Publisher = events
	p := start(t, c)
	parttest.Done(t, add, parttest.Act(t, p, add, "s1", one{1}))
	select {
	case m := <-events:
		if m.Type != "Added" {
			t.Errorf("the event is %+v", m)
		}
	case <-time.After(patience):
		t.Error("no event")
	}
}
