package outsider_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/outsider"
	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
	"github.com/skaldhq/skald/journal"
)

// patience bounds what a test waits for: long, because machines are slow; nothing waits that long when it works.
const patience = 2 * time.Minute

// world is a broker on synced files and the service on it.
type world struct {
	t      *testing.T
	cfg    outsider.Config
	server *loopback.Server
	sent   int
}

func newWorld(t *testing.T, change func(*outsider.Config)) *world {
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
	w := &world{t: t, cfg: outsider.Config{Data: t.TempDir(), Broker: b, AllowLoopback: true, Timeout: 5 * time.Second, Attempts: 8,
		Backoff: func(failures int) time.Duration { return time.Duration(failures) * 10 * time.Millisecond }}}
	if change != nil {
		change(&w.cfg)
	}
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) start() {
	w.t.Helper()
	var err error
	if w.server, err = outsider.Start(w.t.Context(), w.cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), patience)
	defer cancel()
	if err := w.server.Stop(ctx); err != nil {
		w.t.Error(err)
	}
}

// publish puts an event on the broker and returns its id.
func (w *world) publish(kind, subject string) string {
	w.t.Helper()
	w.sent++
	id := fmt.Sprintf("event-%d", w.sent)
	m := broker.Message{ID: id, Type: kind, Source: "delivery", Saga: journal.SagaID(subject), Time: time.Now(), Key: broker.Key("delivery/" + id), Data: fmt.Appendf(nil, `{"n":%d}`, w.sent)}
	if err := w.cfg.Broker.Publish(w.t.Context(), bus.Events, m); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// subscription is what the API tells.
type subscription struct {
	ID, URL, State, Note, Secret string
	Types                        []string
	SubjectPrefix                string
	Waiting, Dead                int
}

// call returns the status and decodes the answer, if into is not nil.
func (w *world) call(method, path string, body, into any) int {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL()+path, bytes.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(said, into); err != nil {
			w.t.Fatalf("%s %s: %d %s: %v", method, path, answer.StatusCode, said, err)
		}
	}
	return answer.StatusCode
}

// subscribe expects the subscription to be made and to be in a state.
func (w *world) subscribe(state string, wish map[string]any) subscription {
	w.t.Helper()
	var s subscription
	if status := w.call("POST", "/api/subscriptions", wish, &s); status != http.StatusCreated || s.State != state {
		w.t.Fatalf("subscribing %v: %d %+v, want 201 and %s", wish, status, s, state)
	}
	return s
}

func (w *world) subscription(id string) subscription {
	w.t.Helper()
	var s subscription
	w.call("GET", "/api/subscriptions/"+id, nil, &s)
	return s
}

// until waits for something to become true.
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

// request is one that an outsider got.
type request struct {
	method string
	header http.Header
	body   []byte
	at     time.Time
}

// stranger is an outsider's server under the test's control.
type stranger struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

// newStranger serves; the n-th event (from 1) is answered by answer, and the handshake by allow.
func newStranger(t *testing.T, allow http.Header, answer func(n int, w http.ResponseWriter, r *http.Request)) *stranger {
	t.Helper()
	s := &stranger{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, request{r.Method, r.Header, body, time.Now()})
		s.mu.Unlock()
		if r.Method == http.MethodOptions {
			for name, values := range allow {
				w.Header()[name] = values
			}
			return
		}
		if answer != nil {
			answer(len(s.got(http.MethodPost)), w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// got returns the requests so far.
func (s *stranger) got(method string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var some []request
	for _, r := range s.requests {
		if r.method == method {
			some = append(some, r)
		}
	}
	return some
}

// events returns the ids of the events that arrived, each as often as it did.
func (s *stranger) events() []string {
	var ids []string
	for _, r := range s.got(http.MethodPost) {
		ids = append(ids, r.header.Get("ce-id"))
	}
	return ids
}

func anybody() http.Header { return http.Header{"Webhook-Allowed-Origin": {"*"}} }
