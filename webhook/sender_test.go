package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
	"github.com/skaldhq/skald/webhook"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // the specification's own example
	newSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX" //nolint:gosec // made up
	patience  = 30 * time.Second
)

func secret(t testing.TB, text string) webhook.Secret {
	t.Helper()
	s, err := webhook.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The vector of the specification's own libraries.
func TestSignaturesAreThoseOfTheSpecification(t *testing.T) {
	head := http.Header{}
	head.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	head.Set("Webhook-Timestamp", "1614265330")
	head.Set("Webhook-Signature", "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v2,MzJsNDk4MzI0K2VvdSMjMTEjQEBAQDEyMzMzMzEyMwo= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	if err := webhook.Verify(head, body, at, secret(t, oldSecret)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another secret": webhook.Verify(head, body, at, secret(t, newSecret)),
		"another body":   webhook.Verify(head, []byte(`{"test": 2}`), at, secret(t, oldSecret)),
		"much later":     webhook.Verify(head, body, at.Add(time.Hour), secret(t, oldSecret)),
	} {
		if err == nil {
			t.Errorf("it verifies with %s", name)
		}
	}
	for _, text := range []string{"", "whsec_", "whsec_c2hvcnQ=", strings.TrimPrefix(oldSecret, "whsec_")} {
		if _, err := webhook.ParseSecret(text); err == nil {
			t.Errorf("%q is taken as a secret", text)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v", secret(t, oldSecret), secret(t, oldSecret), secret(t, oldSecret)); strings.Contains(shown, "MfKQ") || strings.Contains(shown, "key") {
		t.Errorf("the secret shows itself: %s", shown)
	}
}

// receiver takes messages, verifies them and can be told to refuse some.
type receiver struct {
	*httptest.Server
	t       testing.TB
	secrets []webhook.Secret
	refuse  atomic.Int32 // so many more
	mu      sync.Mutex
	got     []webhook.Message
	ids     []string
}

func newReceiver(t testing.TB, secrets ...webhook.Secret) *receiver {
	r := &receiver{t: t, secrets: secrets}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body) // a test
	if err := webhook.Verify(q.Header, body, time.Now(), r.secrets...); err != nil {
		r.t.Error(err)
	}
	var m webhook.Message
	if err := json.Unmarshal(body, &m); err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids = append(r.ids, q.Header.Get("Webhook-Id"))
	if r.refuse.Add(-1) >= 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.got = append(r.got, m)
}

func (r *receiver) sagas() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		all = append(all, string(m.Data.Saga)+" "+m.Type)
	}
	return all
}

// till is a participant that refuses sagas whose ids begin with "no", and holds those that begin with "slow".
type till struct{ open chan struct{} }

// Invoke implements participant.Invoker.
func (x till) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	switch {
	case strings.HasPrefix(string(c.Saga), "no"):
		return participant.Answer{Class: participant.Refused, Reason: "Till.Empty"}
	case strings.HasPrefix(string(c.Saga), "slow"):
		select {
		case <-x.open:
		case <-ctx.Done():
		}
	}
	return participant.Answer{Class: participant.Done, Result: []byte("null")}
}

func openEngine(t testing.TB, x till) *skald.Engine {
	t.Helper()
	var sagas []skald.Registered
	for _, name := range []string{"sale", "loan"} {
		d, err := skald.ReadDefinition(fmt.Appendf(nil, `{"skald": 1, "name": %q, "steps": [{"kind": "pivot", "action": "till.take", "input": "/input"}]}`, name))
		if err != nil {
			t.Fatal(err)
		}
		sagas = append(sagas, d)
	}
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: sagas, Participants: map[string]skald.Participant{"till": {Invoker: x, Level: participant.L2}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.WithoutCancel(t.Context())) })
	return e
}

func start(t testing.TB, e *skald.Engine, definition string, ids ...skald.SagaID) {
	t.Helper()
	for _, id := range ids {
		if _, err := e.Start(t.Context(), skald.StartRequest{ID: id, Definition: definition, Input: []byte("1")}); err != nil {
			t.Fatal(err)
		}
	}
}

// short is an engine whose lists have short pages, so that there are many.
type short struct{ *skald.Engine }

// List implements webhook.Source.
func (s short) List(ctx context.Context, f skald.Filter) (skald.Page, error) {
	f.Limit = min(f.Limit, 3)
	return s.Engine.List(ctx, f)
}

// clock is a time that a test moves on.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func openSender(t testing.TB, path string, e *skald.Engine, now func() time.Time, endpoints ...webhook.Endpoint) *webhook.Sender {
	t.Helper()
	s, err := webhook.Open(t.Context(), webhook.Config{Path: path, Source: short{e}, Endpoints: endpoints, HTTP: &http.Client{}, Poll: 5 * time.Millisecond, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func secrets(all ...webhook.Secret) func() ([]webhook.Secret, error) {
	return func() ([]webhook.Secret, error) { return all, nil }
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// While secrets are changed both sign, so that receivers with either one can verify.
func TestOutcomesAreToldOnceEachAndSigned(t *testing.T) {
	x := till{make(chan struct{})}
	e := openEngine(t, x)
	start(t, e, "sale", "before-1", "slow-1")
	if _, err := e.Wait(t.Context(), "before-1"); err != nil {
		t.Fatal(err)
	}
	older, newer := secret(t, oldSecret), secret(t, newSecret)
	r := newReceiver(t, older)
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, nil, webhook.Endpoint{Name: "crm", URL: r.URL, Secrets: secrets(newer, older), Definitions: []string{"sale"}})
	defer func() { _ = s.Stop() }()
	start(t, e, "sale", "yes-1", "no-1")
	if err := s.Subscribe(t.Context(), "loan-1", "crm"); err != nil {
		t.Fatal(err)
	}
	start(t, e, "loan", "loan-1", "loan-2")
	eventually(t, "three are told", func() bool { return len(r.sagas()) >= 3 })
	close(x.open)
	eventually(t, "the slow one is told, too", func() bool { return len(r.sagas()) >= 4 })
	start(t, e, "sale", "yes-2")
	eventually(t, "and the next", func() bool { return len(r.sagas()) >= 5 })
	for i := range 20 {
		start(t, e, "sale", skald.SagaID(fmt.Sprintf("yes-many-%d", i)))
	}
	eventually(t, "all are told", func() bool { return len(r.sagas()) >= 25 })
	start(t, e, "sale", "yes-last")
	eventually(t, "so is the last", func() bool { return len(r.sagas()) >= 26 })
	got, many := map[string]int{}, 0
	for _, saga := range r.sagas() {
		if strings.HasPrefix(saga, "yes-many-") {
			many++
			continue
		}
		got[saga]++
	}
	want := map[string]int{"yes-1 saga.completed": 1, "no-1 saga.compensated": 1, "loan-1 saga.completed": 1, "slow-1 saga.completed": 1, "yes-2 saga.completed": 1, "yes-last saga.completed": 1}
	if many != 20 {
		t.Errorf("%d of the many were told, want 20", many)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// A receiver that is away gets the same message again, later and later; every attempt can be seen, and the sender may die in between.
func TestDeliveriesSurviveTheSenderAndAreMadeAgain(t *testing.T) {
	e := openEngine(t, till{})
	r := newReceiver(t, secret(t, oldSecret))
	r.refuse.Store(2)
	c := &clock{}
	path := filepath.Join(t.TempDir(), "webhooks.db")
	endpoint := webhook.Endpoint{Name: "crm", URL: r.URL, Secrets: secrets(secret(t, oldSecret)), Definitions: []string{"sale"}}
	s := openSender(t, path, e, nil, endpoint)
	attempts := func(n int) webhook.Delivery {
		t.Helper()
		var d webhook.Delivery
		eventually(t, fmt.Sprintf("attempt %d", n), func() bool {
			all, err := s.Deliveries(t.Context(), "yes-1", "", 10)
			if err != nil || len(all) > 1 {
				t.Fatal(all, err)
			}
			if len(all) == 1 {
				d = all[0]
			}
			return d.Attempts >= n
		})
		return d
	}
	start(t, e, "sale", "yes-1")
	if d := attempts(1); d.State != webhook.Waiting || d.Status != 503 || d.Error != "it answered 503" || d.Due.Before(time.Now()) {
		t.Errorf("after the first attempt: %+v", d)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	c.ahead.Store(int64(10 * time.Second))
	r.Close()
	later := newReceiver(t, secret(t, oldSecret))
	later.refuse.Store(1)
	endpoint.URL = later.URL
	s = openSender(t, path, e, c.now, endpoint)
	defer func() { _ = s.Stop() }()
	attempts(2)
	c.ahead.Store(int64(4 * time.Minute))
	if d := attempts(2); d.Attempts != 2 {
		t.Errorf("it was tried too early: %+v", d)
	}
	if err := s.Again(t.Context(), attempts(2).ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is delivered", func() bool {
		all, err := s.Deliveries(t.Context(), "", webhook.Delivered, 10)
		return err == nil && len(all) == 1
	})
	if later.ids[0] != r.ids[0] || later.ids[1] != r.ids[0] {
		t.Errorf("the ids were %v and %v", r.ids, later.ids)
	}
	if err := s.Again(t.Context(), "msg_nobody"); err == nil {
		t.Error("a delivery that is not there is made again")
	}
}

func TestWhatCannotBeConfigured(t *testing.T) {
	_, err := webhook.Open(t.Context(), webhook.Config{Endpoints: []webhook.Endpoint{{Name: "a", URL: "https://me:pass@example.org"}, {Name: "a", URL: "ftp://x", Secrets: func() ([]webhook.Secret, error) { return nil, io.EOF }}}})
	if err == nil || strings.Contains(err.Error(), "pass@") {
		t.Fatal(err)
	}
	for _, want := range []string{"Path, Source or HTTP is missing", `endpoint "a" needs a name of its own and a URL`, `endpoint "a" has no secrets`, "EOF"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q: %v", want, err)
		}
	}
}
