package httpapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/webhook"
	"github.com/skaldhq/skald/webhook/sqlitewebhook"
)

// newSender opens a sender, for handlers.
func (w *world) newSender(t testing.TB, network http.RoundTripper) *sqlitewebhook.Sender {
	t.Helper()
	s, err := sqlitewebhook.Open(t.Context(), sqlitewebhook.Config{Path: filepath.Join(t.TempDir(), "webhooks.db"), Source: w.engine, HTTP: &http.Client{Transport: network}, Poll: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// receiver is an outsider. It takes messages that are signed, once it is there.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	away   bool
	secret webhook.Secret
	got    []string
	faults []error
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	body, err := io.ReadAll(q.Body)
	var m webhook.Message
	if err := errors.Join(err, webhook.Verify(q.Header, body, time.Now(), r.secret), json.Unmarshal(body, &m)); err != nil {
		r.faults = append(r.faults, err)
	}
	r.got = append(r.got, m.Type+" "+string(m.Data.Saga))
}

// knows lets the receiver verify with a secret that was shown.
func (r *receiver) knows(t testing.TB, shown string) {
	t.Helper()
	secret, err := webhook.ParseSecret(shown)
	if err != nil {
		t.Fatalf("%v: %q", err, shown)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = secret
}

func (r *receiver) told(t testing.TB, want ...string) {
	t.Helper()
	eventually(t, "all are told", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.got) >= len(want)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := gocmp.Diff(want, r.got); diff != "" || len(r.faults) > 0 {
		t.Errorf("told (-want +got):\n%s%v", diff, r.faults)
	}
	r.got = nil
}

func TestWebhooksOfADefinitionAndOfOneStart(t *testing.T) {
	w, r := open(t), newReceiver(t)
	w.handler.Webhooks = w.newSender(t, &http.Transport{DisableKeepAlives: true})
	ctx := t.Context()
	made, err := w.client.EnterWebhook(ctx, "crm", httpapi.WebhookAddress{URL: r.URL + "/hooks?token=t0ken", Definitions: []string{"visit"}})
	if err != nil {
		t.Fatal(err)
	}
	r.knows(t, made.Secret)
	w.begin(t, "visit-1", skald.Orchestrated, "Edda")
	r.told(t, "saga.completed visit-1")
	w.begin(t, "visit-2", skald.Choreographed, "sold out")
	r.told(t, "saga.compensated visit-2")

	changed, err := w.client.EnterWebhook(ctx, "crm", httpapi.WebhookAddress{URL: r.URL})
	if err != nil || changed.Secret != "" || len(changed.Webhook.Definitions) != 0 {
		t.Fatalf("%+v, %v", changed, err)
	}
	w.begin(t, "visit-3", skald.Orchestrated, "Edda")
	w.ended(t, "visit-3")
	telling := w.client.Telling("crm")
	if _, err := w.saga.Start(ctx, telling, seatRequest{"Edda"}, skald.WithID("visit-4")); err != nil {
		t.Fatal(err)
	}
	r.told(t, "saga.completed visit-4") // and nothing of visit-3
	if _, err := w.saga.Start(ctx, telling, seatRequest{"Edda"}, skald.WithID("visit-3")); err != nil {
		t.Fatal(err)
	}
	r.told(t, "saga.completed visit-3") // it had ended already when it was asked for
	run, err := w.saga.Start(ctx, telling, seatRequest{"Edda"})
	if err != nil {
		t.Fatal(err)
	}
	r.told(t, "saga.completed "+string(run.ID))

	rotated, err := w.client.RotateWebhook(ctx, "crm", time.Hour)
	if err != nil || rotated.Webhook.OldSecretUntil.Before(time.Now()) {
		t.Fatalf("%+v, %v", rotated, err)
	}
	r.knows(t, rotated.Secret)
	r.mu.Lock()
	r.away = true
	r.mu.Unlock()
	if _, err := w.saga.Start(ctx, telling, seatRequest{"Edda"}, skald.WithID("visit-5")); err != nil {
		t.Fatal(err)
	}
	var d httpapi.Delivery
	eventually(t, "it was tried", func() bool {
		page, err := w.client.Deliveries(ctx, webhook.DeliveryFilter{Saga: "visit-5", Endpoint: "crm", State: webhook.Waiting, Limit: 5})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Deliveries) == 1 {
			d = page.Deliveries[0]
		}
		return d.Attempts == 1
	})
	if d.Status != http.StatusBadGateway || d.Error != "it answered 502" || d.Next.Before(time.Now()) || !d.Tried.IsZero() {
		t.Errorf("%+v", d)
	}
	r.mu.Lock()
	r.away = false
	r.mu.Unlock()
	if d, err = w.client.RetryDelivery(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	r.told(t, "saga.completed visit-5")
	eventually(t, "it is written down", func() bool {
		d, err = w.client.Delivery(ctx, d.ID)
		return err == nil && d.State == webhook.Delivered && d.Status == http.StatusOK && d.Next.IsZero() && !d.Tried.IsZero()
	})

	if n, err := w.client.RetryDeliveries(ctx, "crm"); n != 0 || err != nil {
		t.Errorf("all is delivered, and %d are made again, %v", n, err)
	}
	if all, err := w.client.Webhooks(ctx); err != nil || len(all) != 1 || all[0].Host != strings.TrimPrefix(r.URL, "http://") {
		t.Errorf("%+v, %v", all, err)
	}
	if err := w.client.RemoveWebhook(ctx, "crm"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Webhook(ctx, "crm"); !errors.Is(err, webhook.ErrNoEndpoint) {
		t.Errorf("it is still there: %v", err)
	}
	if text := w.log.String(); strings.Contains(text, "whsec") || strings.Contains(text, "t0ken") {
		t.Errorf("the log has secrets: %s", text)
	}
}

func TestWhatIsWrongWithWebhooks(t *testing.T) {
	w := open(t)
	if answer, p := w.problem(t, http.MethodGet, "/v1/webhooks", ""); answer.StatusCode != http.StatusNotFound || !strings.HasSuffix(p.Type, "no-webhooks-here") {
		t.Errorf("without a sender: %+v", p)
	}
	if answer, p := w.problem(t, http.MethodPost, "/v1/definitions/visit/sagas?webhook=crm", `{"show":"Edda"}`); answer.StatusCode != http.StatusNotFound || !strings.HasSuffix(p.Type, "no-webhooks-here") {
		t.Errorf("without a sender: %+v", p)
	}
	w.handler.Webhooks = w.newSender(t, &http.Transport{DisableKeepAlives: true})
	for want, x := range map[string]struct{ method, path, body string }{
		"422 unusable-content":             {http.MethodPost, "/v1/definitions/visit/sagas?webhook=crm", `{"show":"Edda"}`},
		"422 webhook-cannot-be-registered": {http.MethodPut, "/v1/webhooks/crm", `{"url":"file:///etc/passwd"}`},
		"404 no-such-webhook":              {http.MethodPost, "/v1/webhooks/crm/retry", ``},
		"404 no-such-delivery":             {http.MethodPost, "/v1/deliveries/msg_1/retry", ``},
	} {
		answer, p := w.problem(t, x.method, x.path, x.body, "Idempotency-Key: never-1")
		if got := answer.Status[:4] + strings.TrimPrefix(p.Type, httpapi.ProblemPrefix); got != want {
			t.Errorf("%s %s: %s, want %s", x.method, x.path, got, want)
		}
	}
	if _, err := w.engine.Status(t.Context(), "never-1"); !errors.Is(err, skald.ErrNotFound) {
		t.Errorf("a saga was started whose end nobody could be told: %v", err)
	}
	for _, path := range []string{"/v1/deliveries?state=lost", "/v1/deliveries?cursor=x"} {
		if answer, p := w.problem(t, http.MethodGet, path, ""); answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %+v", path, p)
		}
	}
	made, err := w.client.EnterWebhook(t.Context(), "crm", httpapi.WebhookAddress{URL: "https://crm.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if answer, p := w.problem(t, http.MethodPost, "/v1/webhooks/crm/rotate", `{"overlap":1e9}`); answer.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("%+v", p)
	}
	if shown := string(w.get(t, "/v1/webhooks")); strings.Contains(shown, strings.TrimPrefix(made.Secret, "whsec_")) {
		t.Errorf("the list has the secret: %s", shown)
	}
}

// An endpoint's URL may have a token in it, its secret signs: both are for admins, the secret once.
func TestWebhooksAreGuarded(t *testing.T) {
	g := openGuarded(t)
	admin := g.as(access.Admin, own)
	if answer, body := g.request(t, http.MethodPut, "/v1/webhooks/other.crm", `{"url":"https://crm.example.org/t0ken","definitions":["other.visit"]}`, admin); answer.StatusCode != http.StatusCreated || !strings.Contains(string(body), `"secret":"whsec_`) || !strings.Contains(string(body), `"created_by":"admin of other"`) {
		t.Fatalf("%s %s", answer.Status, body)
	}
	if _, body := g.request(t, http.MethodGet, "/v1/webhooks", "", g.as(access.Operator, own)); !strings.Contains(string(body), `"host":"crm.example.org"`) || strings.Contains(string(body), "t0ken") || strings.Contains(string(body), "whsec") {
		t.Errorf("an operator sees %s", body)
	}
	if _, body := g.request(t, http.MethodGet, "/v1/webhooks/other.crm", "", admin); !strings.Contains(string(body), "t0ken") || strings.Contains(string(body), "whsec") {
		t.Errorf("an admin sees %s", body)
	}
	for _, definition := range []string{"visit", "other.visit"} { // by somebody of all namespaces, and of a foreign one
		answer, body := g.request(t, http.MethodPost, "/v1/definitions/visit/sagas?webhook=other.crm", `{"show":"Edda"}`, g.as(access.Operator, map[string]string{"visit": access.Everywhere, "other.visit": foreign}[definition]))
		if answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(body), "there is no endpoint") {
			t.Errorf("a saga of another namespace: %s %s", answer.Status, body)
		}
	}
	// Who knows the id of a foreign saga learns nothing of its end by asking to be told of it.
	if answer, body := g.request(t, http.MethodPut, "/v1/webhooks/default.spy", `{"url":"https://spy.example.org"}`, g.as(access.Admin, foreign)); answer.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", answer.Status, body)
	}
	start := func(definition, role string) int {
		answer, _ := g.request(t, http.MethodPost, "/v1/definitions/"+definition+"/sagas?"+role, `{"show":"Edda"}`, g.as(access.Operator, access.Everywhere), "Idempotency-Key: other-1")
		return answer.StatusCode
	}
	if status := start("other.visit", "webhook=other.crm"); status != http.StatusAccepted {
		t.Fatal(status)
	}
	if status := start("visit", "webhook=default.spy"); status != http.StatusConflict {
		t.Errorf("another saga under the same id: %d", status)
	}
	eventually(t, "its end is told", func() bool {
		page, err := g.handler.Webhooks.Deliveries(t.Context(), webhook.DeliveryFilter{Saga: "other-1"})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Deliveries {
			if d.Endpoint == "default.spy" {
				t.Fatalf("it is told elsewhere: %+v", page)
			}
		}
		return len(page.Deliveries) > 0
	})
	var page httpapi.ChangePage
	eventually(t, "all outcomes are in the log", func() bool {
		_, body := g.request(t, http.MethodGet, "/v1/audit?what=enterWebhook&target=other.crm", "", g.as(access.Admin, access.Everywhere))
		page = httpapi.ChangePage{}
		if err := json.Unmarshal(body, &page); err != nil || strings.Contains(string(body), "t0ken") || strings.Contains(string(body), "whsec") {
			t.Fatalf("%v: %s", err, body)
		}
		return len(page.Changes) == 1 && page.Changes[0].Status != 0
	})
	if c := page.Changes[0]; c.Target != "other.crm" || c.Status != http.StatusCreated || c.Note != "at crm.example.org, told of 1 definitions" {
		t.Errorf("%+v", c)
	}
}

// idle gives a handler a sender whose messages go nowhere.
func (w *world) idle(t testing.TB) *sqlitewebhook.Sender {
	t.Helper()
	s := w.newSender(t, nowhere{})
	w.handler.Webhooks = s
	return s
}

// nowhere is a network in which nobody answers.
type nowhere struct{}

// RoundTrip implements http.RoundTripper.
func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("nobody answers")
}
