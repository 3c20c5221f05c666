package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/outsider"
	"github.com/skaldhq/skald/examples/drone/outsider/demo"
	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
)

const patience = 2 * time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stop ends a server within the test's patience.
func stop(t *testing.T, s *loopback.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func newBroker(t *testing.T) *natsbroker.Broker {
	t.Helper()
	store, err := natsbroker.Start(natsbroker.ServerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := natsbroker.Open(t.Context(), natsbroker.Config{Server: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// service starts what delivers, on an address that it keeps from one start to the next.
func service(t *testing.T, listen, data string, b broker.Broker) *loopback.Server {
	t.Helper()
	s, err := outsider.Start(t.Context(), outsider.Config{Listen: listen, Data: data, Broker: b, AllowLoopback: true, Attempts: 1000, Timeout: 5 * time.Second,
		Backoff: func(failures int) time.Duration {
			return min(time.Duration(failures)*5*time.Millisecond, 50*time.Millisecond)
		}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func listener(t *testing.T, c demo.Config) *loopback.Server {
	t.Helper()
	s, err := demo.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type overview struct {
	Subscribed                    bool
	Received, Duplicates, Refused int
	Events                        []struct {
		ID, Type, Subject string
		Copies            int
		Data              json.RawMessage
	}
}

func look(t *testing.T, s *loopback.Server) overview {
	t.Helper()
	r, err := http.Get(s.URL() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var o overview
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for tick := time.NewTicker(5 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

func publish(t *testing.T, b broker.Broker, n int) {
	t.Helper()
	id := fmt.Sprintf("e-%d", n)
	m := broker.Message{ID: id, Type: "DeliveryCreated", Source: "delivery", Saga: "Zoë 1", Time: time.Now(), Key: broker.Key("delivery/" + id), Data: fmt.Appendf(nil, `{"n":%d}`, n)}
	if err := b.Publish(t.Context(), bus.Events, m); err != nil {
		t.Fatal(err)
	}
}

// way stands between service and outsider: it keeps what it sees, and spoils it as it is told.
type way struct {
	*httptest.Server
	mu     sync.Mutex
	to     string // the outsider's URL
	posts  []*http.Request
	bodies []string
}

// newWay forwards what it gets; spoil may come before and after the forwarding of the n-th event, and returns the status to answer in the outsider's place, or 0.
func newWay(t *testing.T, spoil func(n int, forward func()) int) *way {
	t.Helper()
	way, transport := &way{}, &http.Transport{}
	way.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		way.mu.Lock()
		to := way.to
		if r.Method == http.MethodPost {
			way.posts, way.bodies = append(way.posts, r), append(way.bodies, string(body))
		}
		n := len(way.posts)
		way.mu.Unlock()
		forward := func(w http.ResponseWriter) {
			target, err := url.Parse(to)
			if err != nil {
				t.Error(err)
			}
			proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
			r.Body = io.NopCloser(bytes.NewReader(body))
			proxy.ServeHTTP(w, r)
		}
		if r.Method == http.MethodPost && spoil != nil {
			if status := spoil(n, func() { forward(httptest.NewRecorder()) }); status != 0 {
				w.WriteHeader(status)
				return
			}
		}
		forward(w)
	}))
	t.Cleanup(func() {
		way.Close()
		transport.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
	})
	return way
}

// lead says where the way leads.
func (w *way) lead(to string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = to
}

func (w *way) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.posts)
}

func TestEachEventTakesEffectOnceThroughRestartsOfBothSides(t *testing.T) {
	b, data, own := newBroker(t), t.TempDir(), t.TempDir()
	sender := service(t, "127.0.0.1:0", data, b)
	address := strings.TrimPrefix(sender.URL(), "http://")
	const first, all = 10, 25
	var healthy atomic.Bool
	w := newWay(t, func(n int, forward func()) int {
		switch {
		case healthy.Load():
			return 0
		case n%3 == 0:
			return http.StatusInternalServerError // lost on the way there
		}
		forward()
		return http.StatusGatewayTimeout // lost on the way back
	})
	start := func() *loopback.Server {
		s := listener(t, demo.Config{Data: own, Service: "http://" + address, Hook: w.URL + "/hook"})
		w.lead(s.URL())
		return s
	}
	receiver := start()
	until(t, "subscribed", func() bool { return validated(t, sender) })
	for n := range first {
		publish(t, b, n)
	}
	until(t, "in mid-retry", func() bool { return w.count() > 3*first })
	stop(t, sender)
	for n := first; n < all; n++ {
		publish(t, b, n)
	}
	sender = service(t, address, data, b)
	before := w.count()
	until(t, "still in mid-retry", func() bool { return w.count() > before+first })
	stop(t, receiver)
	receiver = start()
	healthy.Store(true)
	until(t, "everything was delivered", func() bool { return look(t, receiver).Received >= all && settled(t, sender) })
	o := look(t, receiver)
	if o.Received != all || len(o.Events) != all {
		t.Errorf("%d events took effect and %d are shown, want %d each", o.Received, len(o.Events), all)
	}
	if o.Duplicates == 0 {
		t.Error("nothing came twice, so the test shows nothing")
	}
	copies := 0
	seen := make(map[string]bool)
	for _, e := range o.Events {
		if copies += e.Copies - 1; seen[e.ID] || e.Subject != "Zoë 1" || e.Type != "DeliveryCreated" {
			t.Errorf("event %+v", e)
		}
		seen[e.ID] = true
	}
	if copies != o.Duplicates {
		t.Errorf("%d copies of events, %d duplicates counted", copies, o.Duplicates)
	}
	stop(t, receiver)
	stop(t, sender)
}

type subscription struct {
	URL, State    string
	Waiting, Dead int
}

func subscriptions(t *testing.T, s *loopback.Server) []subscription {
	t.Helper()
	r, err := http.Get(s.URL() + "/api/subscriptions")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var all []subscription
	if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

func validated(t *testing.T, s *loopback.Server) bool {
	all := subscriptions(t, s)
	return len(all) == 1 && all[0].State == "validated"
}

// settled says whether the service has nothing left to deliver of what it took in.
func settled(t *testing.T, s *loopback.Server) bool {
	all := subscriptions(t, s)
	return len(all) == 1 && all[0].Waiting == 0 && all[0].Dead == 0
}

func TestWhatWasTamperedWithIsRefused(t *testing.T) {
	b, w := newBroker(t), newWay(t, nil)
	sender := service(t, "127.0.0.1:0", t.TempDir(), b)
	defer stop(t, sender)
	receiver := listener(t, demo.Config{Data: t.TempDir(), Service: sender.URL(), Hook: w.URL + "/hook"})
	defer stop(t, receiver)
	w.lead(receiver.URL())
	until(t, "subscribed", func() bool { return look(t, receiver).Subscribed })
	publish(t, b, 1)
	until(t, "the event", func() bool { return look(t, receiver).Received == 1 })
	w.mu.Lock()
	genuine, body := w.posts[0].Header, w.bodies[0]
	w.mu.Unlock()
	for name, c := range map[string]struct {
		header, value, body string
		want                int
	}{
		"the same again":      {"User-Agent", "somebody", body, http.StatusNoContent},
		"another body":        {"User-Agent", "somebody", `{"n":2}`, http.StatusUnauthorized},
		"another type":        {"Ce-Type", "DeliveryCompleted", body, http.StatusUnauthorized},
		"one attribute more":  {"Ce-Region", "north", body, http.StatusUnauthorized},
		"another id":          {"Webhook-Id", "evt_00", body, http.StatusUnauthorized},
		"another time":        {"Webhook-Timestamp", "1614265330", body, http.StatusUnauthorized},
		"no time":             {"Webhook-Timestamp", "", body, http.StatusUnauthorized},
		"no signature":        {"Webhook-Signature", "", body, http.StatusUnauthorized},
		"another version":     {"Webhook-Signature", strings.Replace(genuine.Get("Webhook-Signature"), "v1,", "v2,", 1), body, http.StatusUnauthorized},
		"one of several fits": {"Webhook-Signature", "v1,AAAA " + genuine.Get("Webhook-Signature"), body, http.StatusNoContent},
	} {
		header := genuine.Clone()
		header.Set(c.header, c.value)
		if got := post(t, receiver.URL()+"/hook", header, c.body); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if o := look(t, receiver); o.Received != 1 || o.Duplicates != 2 || o.Refused != 8 {
		t.Errorf("%+v, want 1 received, 2 duplicates, 8 refused", o)
	}
}

func post(t *testing.T, address string, header http.Header, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func TestTheHandshakeAgreesWithOneOriginOnly(t *testing.T) {
	receiver := listener(t, demo.Config{Data: t.TempDir(), Origin: "wanted.example"})
	defer stop(t, receiver)
	defer http.DefaultClient.CloseIdleConnections()
	for origin, want := range map[string]string{"wanted.example": "wanted.example", "other.example": "", "": ""} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, receiver.URL()+"/hook", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("WebHook-Request-Origin", origin)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if got := answer.Header.Get("WebHook-Allowed-Origin"); got != want || (answer.StatusCode/100 == 2) != (want != "") {
			t.Errorf("%q: %d %q, want %q", origin, answer.StatusCode, got, want)
		}
	}
}

// An outsider that moved to another address, or whose subscription was lost, subscribes anew; the old one goes.
func TestTheOutsiderFindsBack(t *testing.T) {
	b, data, own := newBroker(t), t.TempDir(), t.TempDir()
	sender := service(t, "127.0.0.1:0", data, b)
	address := strings.TrimPrefix(sender.URL(), "http://")
	receiver := listener(t, demo.Config{Data: own, Service: sender.URL()})
	until(t, "subscribed", func() bool { return look(t, receiver).Subscribed })
	stop(t, receiver)
	receiver = listener(t, demo.Config{Data: own, Service: sender.URL()})
	moved := receiver.URL() + "/hook"
	until(t, "one subscription, at the new address", func() bool {
		all := subscriptions(t, sender)
		return len(all) == 1 && all[0].URL == moved && all[0].State == "validated"
	})
	stop(t, receiver)
	stop(t, sender)
	sender = service(t, address, t.TempDir(), b) // with nothing in its memory
	defer stop(t, sender)
	receiver = listener(t, demo.Config{Data: own, Service: sender.URL()})
	defer stop(t, receiver)
	until(t, "subscribed again", func() bool { return validated(t, sender) })
	publish(t, b, 1)
	until(t, "the event", func() bool { return look(t, receiver).Received == 1 })
	http.DefaultClient.CloseIdleConnections()
}
