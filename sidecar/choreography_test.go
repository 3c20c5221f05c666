package sidecar_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/sidecar"
	"github.com/skaldhq/skald/store/memstore"
)

// house is a service with its sidecar, and the program that starts sagas; they share nothing but a broker.
type house struct {
	t *testing.T
	*desk
	*skald.Engine
	saga    *skald.Declared
	sidecar *sidecar.Sidecar
}

func openHouse(t *testing.T, events participant.Publisher) house {
	t.Helper()
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir(), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	connect := func() broker.Broker {
		b, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: server, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	here, there := connect(), connect()
	t.Cleanup(func() {
		if err := errors.Join(here.Close(), there.Close(), server.Close()); err != nil {
			t.Error(err)
		}
	})
	h := house{t: t, desk: newDesk(t), saga: visitSaga(t)}
	cfg := config(t, h.URL)
	cfg.Broker, cfg.Events = there, events
	s := open(t, cfg)
	t.Cleanup(func() { stop(t, s) })
	h.sidecar = s
	h.Engine, err = skald.Open(t.Context(), skald.Config{Mode: skald.Choreographed, Broker: here, Store: memstore.New(), Sagas: []skald.Registered{h.saga},
		Participants: map[string]skald.Participant{"desk": {Level: participant.L1}}, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := h.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return h
}

// run starts a saga and waits for its end.
func (h house) run(id skald.SagaID) skald.Status {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if _, err := h.Start(ctx, skald.StartRequest{ID: id, Definition: h.saga.Name(), Input: []byte(`{"guest":"Ann"}`), Trace: trace}); err != nil {
		h.t.Fatal(err)
	}
	status, err := h.Wait(ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	return status
}

// byOperation answers each operation differently; the others are done with null.
func byOperation(answers map[string]func(http.ResponseWriter, seen)) func(http.ResponseWriter, seen) {
	return func(w http.ResponseWriter, s seen) {
		if f := answers[s.Operation]; f != nil {
			f(w, s)
			return
		}
		done("null")(w, s)
	}
}

func TestAServiceTakesPartThroughItsSidecar(t *testing.T) {
	h := openHouse(t, nil)
	h.answers(byOperation(map[string]func(http.ResponseWriter, seen){"desk.welcome": done(`{"chair":7}`), "desk.look": done(`3`)}))
	status := h.run("v-1")
	if status.State != "completed" || status.Step("desk.welcome").Level != "L1" {
		t.Errorf("it ended as %s, level %s", status.State, status.Step("desk.welcome").Level)
	}
	got := map[string]string{}
	for _, s := range h.requests("") {
		got[s.Key] += s.Body
		if !strings.HasPrefix(s.Trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-") {
			t.Errorf("%s has trace %q", s.Key, s.Trace)
		}
	}
	want := map[string]string{
		"v-1/desk.look/action": `{"guest":"Ann"}`, "v-1/desk.welcome/action": `{"guest":"Ann"}`, "v-1/desk.badge/action": `{"chair":7,"free":3}`, "v-1/desk.coffee/action": `{"guest":"Ann"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the service saw (-want +got):\n%s", diff)
	}
	for _, want := range []string{`skald_participant_actions{participant="desk"} 0`, `skald_participant_actions_room{participant="desk"} 64`, `skald_participant_ignored_total{participant="desk"} 0`} {
		if text := get(t, h.sidecar, "/metrics", http.StatusOK); !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}
}

func TestARefusedPivotTurnsTheSagaBackThroughTheSidecar(t *testing.T) {
	h := openHouse(t, nil)
	h.answers(byOperation(map[string]func(http.ResponseWriter, seen){"desk.welcome": done(`{"chair":7}`), "desk.badge": refuses(http.StatusConflict, "DeskFail.NoBadge")}))
	status := h.run("v-1")
	if status.State != "compensated" || status.Reason != "DeskFail.NoBadge" {
		t.Errorf("it ended as %s, %s", status.State, status.Reason)
	}
	if got := h.requests("desk.farewell"); len(got) != 1 || got[0].Body != `{"input":{"guest":"Ann"},"result":{"chair":7}}` {
		t.Errorf("the compensation saw %+v", got)
	}
	h.wantRequests(t, "desk.coffee", 0)
}

// The service acts and its answer is lost, at every operation: it is asked again under the same key, and each key takes effect once.
func TestLostAnswersLeaveOneEffectAtAServiceThatHonoursTheKey(t *testing.T) {
	for name, badge := range map[string]func(http.ResponseWriter, seen){"forward": done("null"), "and back": refuses(http.StatusConflict, "DeskFail.NoBadge")} {
		t.Run(name, func(t *testing.T) {
			h := openHouse(t, nil)
			var mu sync.Mutex
			times := map[string]int{}
			h.answers(func(w http.ResponseWriter, s seen) {
				mu.Lock()
				times[s.Key]++
				n := times[s.Key]
				mu.Unlock()
				switch {
				case n < 3:
					hangsUp(w, s)
				case s.Operation == "desk.badge":
					badge(w, s)
				default:
					done(`{"chair":7}`)(w, s)
				}
			})
			status := h.run("v-1")
			want := map[string]int{"v-1/desk.look/action": 3, "v-1/desk.welcome/action": 3, "v-1/desk.badge/action": 3, "v-1/desk.coffee/action": 3}
			state := "completed"
			if name != "forward" {
				state = "compensated"
				delete(want, "v-1/desk.coffee/action")
				want["v-1/desk.welcome/compensation"] = 3
			}
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, times); diff != "" || string(status.State) != state {
				t.Errorf("it ended as %s; calls of the service (-want +got):\n%s", status.State, diff)
			}
		})
	}
}

// events takes what the operations announce.
type events struct {
	mu    sync.Mutex
	types []string
}

// Publish implements participant.Publisher.
func (e *events) Publish(_ context.Context, messages []participant.Message) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range messages {
		e.types = append(e.types, m.ID+" "+string(m.Data))
	}
	return nil
}

func TestWhatOperationsAnnounceIsPublished(t *testing.T) {
	var e events
	h := openHouse(t, &e)
	h.answers(byOperation(map[string]func(http.ResponseWriter, seen){"desk.welcome": done(`{"chair":7}`), "desk.badge": refuses(http.StatusConflict, "DeskFail.NoBadge")}))
	h.run("v-1")
	want := []string{`v-1/desk.welcome/action/Welcomed {"chair":7}`, `v-1/desk.welcome/compensation/Left {"reason":"skald.compensated","detail":""}`}
	eventually(t, func() string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return cmp.Diff(want, e.types)
	})
}

// eventually waits until there is nothing to complain about.
func eventually(t *testing.T, complaint func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for why := complaint(); why != ""; why = complaint() {
		select {
		case <-ctx.Done():
			t.Fatal(why)
		case <-again.C:
		}
	}
}

// A pivot that was asked and whose answer is lost must not be expired by the sidecar: only the service knows.
func TestAPivotThatMayHaveActedIsNotExpired(t *testing.T) {
	d := newDesk(t)
	s := open(t, config(t, d.URL))
	defer stop(t, s)
	d.answers(hangsUp)
	a := asker{t, client(t, "http://"+s.Address())}
	a.want(call("v-1", "desk.badge"), participant.Unknown, "")
	d.answers(nil)
	expire := func(saga skald.SagaID) participant.Answer {
		var got participant.Answer
		work := participant.Work{Call: call(saga, "desk.badge"), Expire: true, Then: func(x participant.Answer) participant.Entry { got = x; return participant.Entry{} }}
		begun := participant.Token{ID: string(saga), Definition: "visit", Version: "1", Saga: saga, Step: participant.StepStart, Kind: participant.TokenDone}
		taken, err := s.Desk().Take(t.Context(), saga, []participant.Token{begun}, func(participant.Ledger) (participant.Work, bool) { return work, true })
		if err != nil || !taken.Worked {
			t.Fatalf("taken %+v, %v", taken, err)
		}
		return got
	}
	if got := expire("v-1"); got.Class != participant.Done {
		t.Errorf("the pivot that was asked is answered %+v", got)
	}
	if got := expire("v-2"); got.Class != participant.Refused || got.Reason != participant.ReasonCompensated {
		t.Errorf("the pivot that was not asked is answered %+v", got)
	}
	if got := d.requests("desk.badge"); len(got) != 2 || got[1].Key != "v-1/desk.badge/action" {
		t.Errorf("the service was asked %+v", got)
	}
	a.want(call("v-2", "desk.badge"), participant.Refused, participant.ReasonCompensated)
}

// An orchestrated engine calls the sidecar as it would call the service.
func TestAnOrchestratorCallsTheSidecarInstead(t *testing.T) {
	d := newDesk(t)
	s := open(t, config(t, d.URL))
	t.Cleanup(func() { stop(t, s) })
	saga := visitSaga(t)
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{saga}, Logger: quiet(),
		Participants: map[string]skald.Participant{"desk": {Invoker: client(t, "http://"+s.Address()), Level: participant.L1}}})
	if err != nil {
		t.Fatal(err)
	}
	h := house{t: t, desk: d, Engine: e, saga: saga}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	h.answers(byOperation(map[string]func(http.ResponseWriter, seen){"desk.welcome": done(`{"chair":7}`)}))
	if status := h.run("v-1"); status.State != "completed" || status.Step("desk.welcome").Level != "L1" {
		t.Errorf("it ended as %s, level %s", status.State, status.Step("desk.welcome").Level)
	}
	h.answers(byOperation(map[string]func(http.ResponseWriter, seen){"desk.welcome": done(`{"chair":8}`), "desk.badge": refuses(http.StatusConflict, "DeskFail.NoBadge")}))
	if status := h.run("v-2"); status.State != "compensated" || status.Reason != "DeskFail.NoBadge" {
		t.Errorf("it ended as %s, %s", status.State, status.Reason)
	}
	if got := h.requests("desk.farewell"); len(got) != 1 || got[0].Body != `{"input":{"guest":"Ann"},"result":{"chair":8}}` {
		t.Errorf("the compensation saw %+v", got)
	}
	var mu sync.Mutex
	lost := map[string]bool{}
	h.answers(func(w http.ResponseWriter, s seen) { // every first answer is lost
		mu.Lock()
		first := !lost[s.Key]
		lost[s.Key] = true
		mu.Unlock()
		if first {
			hangsUp(w, s)
		}
		done(`{"chair":9}`)(w, s)
	})
	if status := h.run("v-3"); status.State != "completed" {
		t.Errorf("it ended as %s, %s", status.State, status.Reason)
	}
	for _, key := range []string{"v-3/desk.welcome/action", "v-3/desk.badge/action", "v-3/desk.coffee/action"} {
		n := 0
		for _, s := range h.requests("") {
			if s.Key == key {
				n++
			}
		}
		if n != 2 {
			t.Errorf("%s reached the service %d times, want 2", key, n)
		}
	}
}
