package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
	"github.com/skaldhq/skald/examples/drone/system"
)

// patience bounds what a test waits for. Nothing takes nearly as long on an idle machine.
const patience = 2 * time.Minute

// world is a running drone system, seen over HTTP, with a listener of its own on the status events.
type world struct {
	t      *testing.T
	config system.Config
	dir    string
	server *natsbroker.Server
	broker *natsbroker.Broker
	system *system.System
	client *http.Client
	url    func(service string) string              // where a service is reached
	wrap   func(b *natsbroker.Broker) broker.Broker // what the system gets for a broker
}

// begin starts a system with fresh data. When the test ends every delivery is brought to its end and everything is audited.
func begin(t *testing.T, change ...func(c *system.Config)) *world {
	t.Helper()
	return beginOn(t, func(b *natsbroker.Broker) broker.Broker { return b }, change...)
}

// beginOn is begin with something in front of the system's broker.
func beginOn(t *testing.T, wrap func(b *natsbroker.Broker) broker.Broker, change ...func(c *system.Config)) *world {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	w := &world{t: t, dir: dir, wrap: wrap, config: system.Config{
		Data: filepath.Join(dir, "data"), TimeFactor: 500, Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError})),
	}}
	for _, f := range change {
		f(&w.config)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	w.client = &http.Client{Transport: transport, Timeout: patience}
	w.url = func(service string) string {
		if service == ingestion.Name {
			return w.system.URL()
		}
		return w.system.Service(service)
	}
	w.open()
	t.Cleanup(func() {
		if !t.Failed() {
			w.settle()
			w.audit()
		}
		w.shut()
		transport.CloseIdleConnections()
	})
	return w
}

// open starts the broker and the system on the world's data.
func (w *world) open() {
	w.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.server, err = natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(w.dir, "broker"), Log: quiet}); err != nil {
		w.t.Fatal(err)
	}
	if w.broker, err = natsbroker.Open(w.t.Context(), natsbroker.Config{Server: w.server, Log: quiet}); err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(bus.Declare(w.t.Context(), w.broker), bus.Subscribe(w.t.Context(), w.broker, "test")); err != nil {
		w.t.Fatal(err)
	}
	w.config.Broker = w.wrap(w.broker)
	if w.system, err = system.Start(w.t.Context(), w.config); err != nil {
		w.t.Fatal(err)
	}
}

// shut stops everything, as softly as it can.
func (w *world) shut() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), patience)
	defer cancel()
	if err := errors.Join(w.system.Stop(ctx), w.broker.Close(), w.server.Close()); err != nil {
		w.t.Errorf("stopping: %v", err)
	}
}

// testLog shows a program's log as the test's.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// answer is an HTTP answer that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request makes a request; a path is the front door's. Headers are pairs.
func (w *world) request(method, url string, body any, headers ...string) answer {
	w.t.Helper()
	a, err := w.try(method, url, body, headers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// try is request where nobody may answer.
func (w *world) try(method, url string, body any, headers ...string) (answer, error) {
	w.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = w.url(ingestion.Name) + url
	}
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			w.t.Fatal(err)
		}
	}
	q, err := http.NewRequestWithContext(context.WithoutCancel(w.t.Context()), method, url, bytes.NewReader(data)) // also when the test is over: audits ask
	if err != nil {
		w.t.Fatal(err)
	}
	if len(data) > 0 {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	res, err := w.client.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, read}, err
}

// expect makes a request and fails the test unless it is answered with this status.
func (w *world) expect(status int, method, url string, body any, headers ...string) answer {
	w.t.Helper()
	a := w.request(method, url, body, headers...)
	if a.status != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, url, a.status, a.body, status)
	}
	return a
}

// refused makes a request and fails the test unless it is refused with this status and reason code.
func (w *world) refused(status int, reason, method, url string, body any) {
	w.t.Helper()
	a := w.expect(status, method, url, body)
	if got := decode[struct{ Reason string }](w.t, a.body).Reason; got != reason {
		w.t.Errorf("%s %s is refused with %q, want %s: %s", method, url, got, reason, a.body)
	}
}

func decode[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

// get reads a JSON document.
func get[T any](w *world, url string) T {
	w.t.Helper()
	return decode[T](w.t, w.expect(http.StatusOK, http.MethodGet, url, nil).body)
}

// wanted is a valid request; tests change what they are about.
type wanted struct {
	Owner        string    `json:"ownerId"`
	Pickup       string    `json:"pickupLocation"`
	Dropoff      string    `json:"dropOffLocation"`
	PickupTime   string    `json:"pickupTime"`
	Deadline     string    `json:"deadline"`
	Expedited    bool      `json:"expedited"`
	Confirmation string    `json:"confirmationRequired"`
	Package      parcelDoc `json:"packageInfo"`
}

type parcelDoc struct {
	ID     string  `json:"packageId,omitempty"`
	Size   string  `json:"size"`
	Weight float64 `json:"weight"`
	Tag    string  `json:"tag"`
}

// Places in town.
const (
	cityHall = "55.6759,12.5697"
	hospital = "55.6963,12.5664"
	zoo      = "55.6726,12.5214"
	airport  = "55.6180,12.6500"
)

func parcelOf(change ...func(q *wanted)) wanted {
	q := wanted{Owner: "ada", Pickup: cityHall, Dropoff: hospital, Confirmation: "None", Package: parcelDoc{Size: "Small", Weight: 1.2, Tag: "books"}}
	for _, f := range change {
		f(&q)
	}
	return q
}

// in says a moment from now as the API takes it.
func in(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }

// send requests a delivery and returns its id. On a machine so busy that the front door does not hear in time whether the request was stored, it sends it again as the answer says: with the key that it names.
func (w *world) send(q wanted, headers ...string) string {
	w.t.Helper()
	a := w.request(http.MethodPost, "/api/deliveryrequests", q, headers...)
	if _, key, unknown := strings.Cut(string(a.body), "send it again, with the header Idempotency-Key: "); a.status == http.StatusServiceUnavailable && unknown {
		key, _, _ = strings.Cut(key, `."`)
		w.eventually("it is known whether the request was stored", func() bool {
			a = w.request(http.MethodPost, "/api/deliveryrequests", q, "Idempotency-Key", key)
			return a.status != http.StatusServiceUnavailable
		}, func() string { return string(a.body) })
	}
	if a.status != http.StatusAccepted {
		w.t.Fatalf("a request is answered %d %s", a.status, a.body)
	}
	id := decode[struct{ ID string }](w.t, a.body).ID
	if got := a.header.Get("Location"); got != "/api/deliveries/"+id {
		w.t.Fatalf("Location %q for delivery %s", got, id)
	}
	return id
}

// history is the journal of a delivery.
type history struct {
	State     string
	Outcome   string
	Mode      string
	Reason    string
	Cause     string
	Steps     []struct{ Name, Level, State, Reason string }
	Incidents []struct{ Step, Reason string }
	Events    []struct{ Kind, Step, Reason string }
}

func (h history) step(name string) string {
	for _, s := range h.Steps {
		if s.Name == name {
			return s.State
		}
	}
	return ""
}

func (w *world) history(id string) history {
	w.t.Helper()
	return get[history](w, "/api/deliveryrequests/"+id+"/history")
}

// until waits until a delivery's journal is as wanted.
func (w *world) until(id, what string, is func(h history) bool) history {
	w.t.Helper()
	var h history
	w.eventually(fmt.Sprintf("delivery %s: %s", id, what), func() bool {
		h = w.history(id)
		return is(h)
	}, func() string { return fmt.Sprintf("%+v", h) })
	return h
}

// ends waits for a delivery's outcome.
func (w *world) ends(id, outcome string) history {
	w.t.Helper()
	h := w.until(id, "an outcome", func(h history) bool { return h.Outcome != "" })
	if h.Outcome != outcome {
		w.t.Fatalf("delivery %s is %s (%s at %s), want %s", id, h.Outcome, h.Reason, h.Cause, outcome)
	}
	return h
}

// status is what GET …/status says.
type status struct {
	Stage             string
	LastKnownLocation string
	PickupETA         time.Time
	DeliveryETA       time.Time // zero if it says null
	Reason            string
}

// status also checks that the document has the members that are agreed, and no other.
func (w *world) status(id string) status {
	w.t.Helper()
	path := "/api/deliveries/" + id + "/status"
	members := []string{"deliveryETA", "lastKnownLocation", "pickupETA", "stage"}
	document := get[map[string]any](w, path)
	if document["reason"] != nil {
		members = []string{"deliveryETA", "lastKnownLocation", "pickupETA", "reason", "stage"}
	}
	if got := slices.Sorted(maps.Keys(document)); !slices.Equal(got, members) {
		w.t.Errorf("the status has the members %q, want %q", got, members)
	}
	return get[status](w, path)
}

// reaches waits for a stage.
func (w *world) reaches(id, stage string) status {
	w.t.Helper()
	var s status
	w.eventually(fmt.Sprintf("delivery %s at stage %s", id, stage), func() bool {
		s = w.status(id)
		return s.Stage == stage
	}, func() string { return fmt.Sprintf("%+v", s) })
	return s
}

// eventually polls until something is so.
func (w *world) eventually(what string, is func() bool, last ...func() string) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			for _, f := range last {
				w.t.Log(f())
			}
			w.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// letter is a dead letter as the page shows it.
type letter struct {
	ID, Reason, Description, Meaning, Remedy, Saga, Step, State, Note, Type string
	Count                                                                   int
	First, Last                                                             struct {
		Reason string
		At     time.Time
	}
	Headers map[string]string
}

func (w *world) letters() []letter {
	w.t.Helper()
	return get[[]letter](w, "/api/deadletters")
}

// letterOf waits for the dead letter of a delivery with a reason code.
func (w *world) letterOf(id, reason string) letter {
	w.t.Helper()
	var found letter
	w.eventually("a dead letter of "+id+" with reason "+reason, func() bool {
		all := w.letters()
		i := slices.IndexFunc(all, func(l letter) bool { return l.Saga == id && l.Reason == reason })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	}, func() string { return fmt.Sprintf("%+v", w.letters()) })
	return found
}

// events are the types of the status events of a delivery that were published until one type was, in their order. It takes them off the test's own subscription.
func (w *world) events(id, until string) []string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	r, err := w.broker.Receiver(ctx, bus.Events, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close()
	var types []string
	seen := map[string]bool{}
	for !slices.Contains(types, until) {
		some, err := r.Receive(ctx, 16)
		if err != nil {
			w.t.Fatalf("%v; so far of %s: %q", err, id, types)
		}
		for _, d := range some {
			if string(d.Message.Saga) == id && !seen[d.Message.ID] {
				seen[d.Message.ID] = true
				types = append(types, d.Message.Type)
			}
			if err := d.Complete(ctx); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return types
}

// switchOn sets a failure switch.
func (w *world) switchOn(operation, mode string, count int) {
	w.t.Helper()
	w.expect(http.StatusNoContent, http.MethodPut, "/api/switches/"+operation, map[string]any{"mode": mode, "count": count})
}
