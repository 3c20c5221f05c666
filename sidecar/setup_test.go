package sidecar_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/sidecar"
)

// patience bounds what the tests wait for; nothing is expected to take as long.
const patience = 2 * time.Minute

// visit is a definition with a step of each kind that the participant "desk" has.
const visit = `{
  "skald": 1, "name": "visit", "deadline": "5m",
  "steps": [
    {"kind": "readonly", "action": "desk.look", "after": [], "input": {"guest": "/input/guest"}},
    {"kind": "compensatable", "action": "desk.welcome", "compensation": "desk.farewell", "after": [],
     "input": {"guest": "/input/guest"}, "timeout": "5s", "retry": {"initial": "10ms", "cap": "100ms", "attempts": 50},
     "compensation_retry": {"initial": "10ms", "cap": "100ms"}, "events": {"success": "Welcomed", "failure": "TurnedAway", "undone": "Left"}},
    {"kind": "pivot", "action": "desk.badge", "after": ["desk.look", "desk.welcome"], "input": {"chair": "/steps/desk.welcome/chair", "free": "/steps/desk.look"},
     "timeout": "5s", "retry": {"initial": "10ms", "cap": "100ms"}},
    {"kind": "retriable", "action": "desk.coffee", "input": "/input", "timeout": "5s", "retry": {"initial": "10ms", "cap": "100ms"}}
  ]
}`

func visitSaga(t *testing.T) *skald.Declared {
	t.Helper()
	d, err := skald.ReadDefinition([]byte(visit))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// seen is a request that reached the service.
type seen struct {
	Operation, Key, Body, Trace, Attempt string
}

// desk is a service: an HTTP server that knows nothing of Skald but the contract.
type desk struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []seen
	answer func(w http.ResponseWriter, s seen) // what it does; by default it is done with {"chair":7}
}

func newDesk(t *testing.T) *desk {
	d := &desk{}
	d.Server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.Close)
	return d
}

// newDeskAt is a service behind a Unix socket.
func newDeskAt(t *testing.T) (d *desk, address string) {
	d = &desk{}
	path := filepath.Join(t.TempDir(), "desk.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	d.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(d.serve), ReadHeaderTimeout: patience}}
	d.Start()
	t.Cleanup(d.Close)
	return d, "unix://" + path
}

func (d *desk) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	s := seen{strings.TrimPrefix(r.URL.Path, "/operations/"), r.Header.Get("Idempotency-Key"), string(body), r.Header.Get("Traceparent"), r.Header.Get("Skald-Attempt")}
	d.mu.Lock()
	d.seen = append(d.seen, s)
	answer := d.answer
	d.mu.Unlock()
	if answer == nil {
		answer = done(`{"chair":7}`)
	}
	answer(w, s)
}

// answers changes what the service does from now on.
func (d *desk) answers(f func(w http.ResponseWriter, s seen)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = f
}

// requests are those that reached the service for an operation, all for "".
func (d *desk) requests(operation string) []seen {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []seen
	for _, s := range d.seen {
		if operation == "" || s.Operation == operation {
			all = append(all, s)
		}
	}
	return all
}

func (d *desk) wantRequests(t *testing.T, operation string, want int) {
	t.Helper()
	if got := d.requests(operation); len(got) != want {
		t.Errorf("%s reached the service %d times, want %d: %v", operation, len(got), want, got)
	}
}

func done(result string) func(http.ResponseWriter, seen) {
	return func(w http.ResponseWriter, _ seen) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, result)
	}
}

func refuses(status int, reason string) func(http.ResponseWriter, seen) {
	return func(w http.ResponseWriter, _ seen) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"reason": reason, "detail": "not today"})
	}
}

// hangsUp breaks the connection: the caller cannot know what happened.
func hangsUp(http.ResponseWriter, seen) { panic(http.ErrAbortHandler) }

// says answers with a status alone.
func says(status int, retryAfter string) func(http.ResponseWriter, seen) {
	return func(w http.ResponseWriter, _ seen) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
	}
}

func config(t *testing.T, service string) sidecar.Config {
	return sidecar.Config{Name: "desk", Service: service, Data: t.TempDir(), Log: quiet(), Sagas: []skald.Registered{visitSaga(t)}}
}

func open(t *testing.T, cfg sidecar.Config) *sidecar.Sidecar {
	t.Helper()
	s, err := sidecar.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asker calls a sidecar as an orchestrator does.
type asker struct {
	t *testing.T
	participant.Invoker
}

// opened opens a sidecar in front of a service.
func opened(t *testing.T, d *desk) asker {
	s := open(t, config(t, d.URL))
	t.Cleanup(func() { stop(t, s) })
	return asker{t, client(t, "http://"+s.Address())}
}

func (a asker) ask(c participant.Call) participant.Answer {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.t.Context()), patience)
	defer cancel()
	return a.Invoke(ctx, c)
}

func (a asker) want(c participant.Call, class participant.Class, what string) participant.Answer {
	a.t.Helper()
	got := a.ask(c)
	if got.Class != class || !strings.Contains(string(got.Result)+got.Reason+got.Detail, what) {
		a.t.Errorf("%s is answered %s %s %s (%s), want %s %s", c.Key(), got.Class, got.Result, got.Reason, got.Detail, class, what)
	}
	return got
}

func call(saga journal.SagaID, operation string) participant.Call {
	step := operation
	phase := participant.Action
	if operation == "desk.farewell" {
		step, phase = "desk.welcome", participant.Compensation
	}
	return participant.Call{Saga: saga, Step: step, Phase: phase, Operation: operation, Attempt: 1, Epoch: 3, Input: []byte(`{"guest":"Ann"}`)}
}
