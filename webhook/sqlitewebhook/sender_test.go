package sqlitewebhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/waits"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/store/memstore"
	"github.com/skaldhq/skald/webhook"
	"github.com/skaldhq/skald/webhook/sqlitewebhook"
)

const patience = 2 * time.Minute

// receiver takes messages, verifies them and can be told to refuse some.
type receiver struct {
	*httptest.Server
	t      testing.TB
	refuse atomic.Int32 // so many more
	mu     sync.Mutex
	secret webhook.Secret
	got    []webhook.Message
	ids    []string
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{t: t}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(q.Body) // a test
	if err := webhook.Verify(q.Header, body, time.Now(), r.secret); err != nil {
		r.t.Error(err)
	}
	var m webhook.Message
	if err := json.Unmarshal(body, &m); err != nil {
		r.t.Error(err)
	}
	r.ids = append(r.ids, q.Header.Get("Webhook-Id"))
	if r.refuse.Add(-1) >= 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.got = append(r.got, m)
}

// takes lets the receiver verify with a secret.
func (r *receiver) takes(s webhook.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secret = s
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

func openSender(t testing.TB, path string, e *skald.Engine, now func() time.Time) *sqlitewebhook.Sender {
	t.Helper()
	s, err := sqlitewebhook.Open(t.Context(), sqlitewebhook.Config{Path: path, Source: short{e}, HTTP: &http.Client{}, Poll: 5 * time.Millisecond, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// enter registers a receiver as the endpoint crm.
func enter(t testing.TB, s *sqlitewebhook.Sender, r *receiver, definitions ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	secret, existed, err := s.Enter(t.Context(), webhook.Endpoint{Name: "crm", URL: r.URL, Definitions: definitions})
	if err != nil {
		t.Fatal(err)
	}
	if !existed {
		r.secret = secret
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	waits.Until(t, patience, what, is)
}

func TestOutcomesAreToldOnceEachAndSigned(t *testing.T) {
	x := till{make(chan struct{})}
	e := openEngine(t, x)
	start(t, e, "sale", "before-1", "slow-1")
	if _, err := e.Wait(t.Context(), "before-1"); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t)
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, nil)
	defer func() { _ = s.Stop() }()
	enter(t, s, r, "sale")
	start(t, e, "sale", "yes-1", "no-1")
	if err := s.Subscribe(t.Context(), "loan-1", "crm"); err != nil {
		t.Fatal(err)
	}
	start(t, e, "loan", "loan-1", "loan-2")
	eventually(t, "three are told", func() bool { return len(r.sagas()) >= 3 })
	if err := s.Subscribe(t.Context(), "slow-1", "crm"); err != nil { // it was passed over
		t.Fatal(err)
	}
	if err := s.LookOut(t.Context(), "slow-1"); err != nil {
		t.Fatal(err)
	}
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

// While secrets are changed both sign, so that receivers with either one can verify; after the overlap only the new one does.
func TestASecretIsChangedWithoutLosingAMessage(t *testing.T) {
	e := openEngine(t, till{})
	r, c := newReceiver(t), &clock{}
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, c.now)
	defer func() { _ = s.Stop() }()
	enter(t, s, r, "sale")
	told := func(id skald.SagaID) {
		t.Helper()
		n := len(r.sagas())
		start(t, e, "sale", id)
		eventually(t, string(id)+" is told", func() bool { return len(r.sagas()) > n })
	}
	newer, err := s.Rotate(t.Context(), "crm", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	told("yes-old")
	r.takes(newer)
	told("yes-new")
	all, err := s.Endpoints(t.Context())
	if err != nil || len(all) != 1 || !all[0].OldSecretUntil.After(time.Now()) || all[0].SecretSince.Before(time.Now().Add(-time.Hour)) {
		t.Fatalf("%+v, %v", all, err)
	}
	c.ahead.Store(int64(2 * time.Minute)) // within what a receiver tolerates
	if all, err = s.Endpoints(t.Context()); err != nil || !all[0].OldSecretUntil.IsZero() {
		t.Fatalf("%+v, %v", all, err)
	}
	told("yes-later")
	last, err := s.Rotate(t.Context(), "crm", 0)
	if err != nil {
		t.Fatal(err)
	}
	r.takes(last)
	told("yes-last")
	if _, err := s.Rotate(t.Context(), "nobody", 0); !errors.Is(err, webhook.ErrNoEndpoint) {
		t.Errorf("nobody's secret is changed: %v", err)
	}
}

// A receiver that is away gets the same message again, later and later; every attempt can be seen, and the sender may die in between.
func TestDeliveriesSurviveTheSenderAndAreMadeAgain(t *testing.T) {
	e := openEngine(t, till{})
	r := newReceiver(t)
	r.refuse.Store(2)
	c := &clock{}
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s := openSender(t, path, e, nil)
	enter(t, s, r, "sale")
	attempts := func(n int) webhook.Delivery {
		t.Helper()
		var d webhook.Delivery
		eventually(t, fmt.Sprintf("attempt %d", n), func() bool {
			page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{Saga: "yes-1"})
			if err != nil || len(page.Deliveries) > 1 {
				t.Fatal(page, err)
			}
			if len(page.Deliveries) == 1 {
				d = page.Deliveries[0]
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
	later := newReceiver(t)
	later.takes(r.secret)
	later.refuse.Store(1)
	s = openSender(t, path, e, c.now)
	defer func() { _ = s.Stop() }()
	enter(t, s, later, "sale")
	attempts(2)
	c.ahead.Store(int64(4 * time.Minute))
	if d := attempts(2); d.Attempts != 2 {
		t.Errorf("it was tried too early: %+v", d)
	}
	if err := s.Again(t.Context(), attempts(2).ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is delivered", func() bool {
		page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{State: webhook.Delivered})
		return err == nil && len(page.Deliveries) == 1
	})
	for _, id := range later.ids {
		if id != r.ids[0] {
			t.Errorf("the ids were %v and %v", r.ids, later.ids)
		}
	}
	if err := s.Again(t.Context(), "msg_nobody"); !errors.Is(err, webhook.ErrNoDelivery) {
		t.Errorf("a delivery that is not there is made again: %v", err)
	}
}

// How deliveries stand is counted, until they are given up, and again when they are made by hand.
func TestDeliveriesAreCounted(t *testing.T) {
	var takes atomic.Bool
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !takes.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(r.Close)
	e, c := openEngine(t, till{}), &clock{}
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, c.now)
	if _, _, err := s.Enter(t.Context(), webhook.Endpoint{Name: "crm", URL: r.URL, Definitions: []string{"sale"}}); err != nil {
		t.Fatal(err)
	}
	if f, err := s.Figures(t.Context()); err != nil || f != (webhook.Figures{}) {
		t.Errorf("before anything: %+v, %v", f, err)
	}
	start(t, e, "sale", "yes-1")
	figures := func(what string, is func(webhook.Figures) bool) {
		t.Helper()
		var f webhook.Figures
		eventually(t, what, func() (ok bool) {
			var err error
			f, err = s.Figures(t.Context())
			return err == nil && is(f)
		})
		if f.Waiting > 0 && time.Since(f.Oldest) > patience {
			t.Errorf("%s: the oldest is of %s", what, f.Oldest)
		}
	}
	for n := range 9 {
		figures(fmt.Sprint("attempt ", n+1), func(f webhook.Figures) bool {
			return f.Retried == uint64(n+1) && f.Waiting == 1 && f.Delivered+f.GivenUp == 0
		})
		c.ahead.Add(int64(25 * time.Hour))
	}
	figures("it is given up", func(f webhook.Figures) bool { return f.Retried == 9 && f.GivenUp == 1 && f.Waiting == 0 })
	takes.Store(true)
	page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{State: webhook.GivenUp})
	if err != nil || len(page.Deliveries) != 1 {
		t.Fatal(page, err)
	}
	if err := s.Again(t.Context(), page.Deliveries[0].ID); err != nil {
		t.Fatal(err)
	}
	figures("it is delivered by hand", func(f webhook.Figures) bool { return f.Delivered == 1 && f.Waiting == 0 })
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// Somebody who does not answer at all keeps nobody else waiting.
func TestAnEndpointThatHangsKeepsNobodyWaiting(t *testing.T) {
	e := openEngine(t, till{})
	hangs := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	defer dead.Close()
	defer close(hangs)
	r := newReceiver(t)
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, nil)
	defer func() { _ = s.Stop() }()
	if _, _, err := s.Enter(t.Context(), webhook.Endpoint{Name: "dead", URL: dead.URL, Definitions: []string{"sale"}}); err != nil {
		t.Fatal(err)
	}
	enter(t, s, r, "sale")
	for i := range 20 {
		start(t, e, "sale", skald.SagaID(fmt.Sprintf("yes-%d", i)))
		eventually(t, "it is told", func() bool { return len(r.sagas()) == i+1 })
	}
}

func TestAnEndpointThatIsTakenOutIsToldNothingMore(t *testing.T) {
	e := openEngine(t, till{})
	r := newReceiver(t)
	r.refuse.Store(1)
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, nil)
	defer func() { _ = s.Stop() }()
	enter(t, s, r, "sale")
	start(t, e, "sale", "yes-1")
	eventually(t, "it was tried", func() bool {
		page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{})
		return err == nil && len(page.Deliveries) == 1 && page.Deliveries[0].Attempts == 1
	})
	if err := s.Remove(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{State: webhook.GivenUp, Endpoint: "crm", Namespace: "default"})
	if err != nil || len(page.Deliveries) != 1 || page.Deliveries[0].Error != "the endpoint was taken out" {
		t.Fatalf("%+v, %v", page, err)
	}
	id := page.Deliveries[0].ID
	if err := s.Again(t.Context(), id); !errors.Is(err, webhook.ErrNoEndpoint) {
		t.Errorf("it is told again: %v", err)
	}
	if err := s.Remove(t.Context(), "crm"); !errors.Is(err, webhook.ErrNoEndpoint) {
		t.Errorf("it is taken out twice: %v", err)
	}
	if err := s.Subscribe(t.Context(), "x", "crm"); !errors.Is(err, webhook.ErrNoEndpoint) {
		t.Errorf("it is subscribed: %v", err)
	}
	enter(t, s, r) // with another secret, and for what it is subscribed to only
	if err := s.Again(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told after all", func() bool { return len(r.sagas()) == 1 })
}

// Nobody waits for hours, or asks for each delivery by itself, once an endpoint is back.
func TestAnEndpointThatIsBackIsToldAllAtOnce(t *testing.T) {
	e := openEngine(t, till{})
	r := newReceiver(t)
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, nil)
	defer func() { _ = s.Stop() }()
	enter(t, s, r, "sale")
	start(t, e, "sale", "yes-0")
	eventually(t, "one is told", func() bool { return len(r.sagas()) == 1 })
	r.refuse.Store(3)
	start(t, e, "sale", "yes-1", "yes-2", "yes-3")
	eventually(t, "the others were tried", func() bool {
		page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{State: webhook.Waiting})
		return err == nil && len(page.Deliveries) == 3 && !slices.ContainsFunc(page.Deliveries, func(d webhook.Delivery) bool { return d.Attempts == 0 })
	})
	if err := s.Remove(t.Context(), "crm"); err != nil { // which gives them up
		t.Fatal(err)
	}
	if n, err := s.AgainAll(t.Context(), "crm"); n != 0 || !errors.Is(err, webhook.ErrNoEndpoint) {
		t.Errorf("it is told again: %d, %v", n, err)
	}
	enter(t, s, r, "sale")
	if n, err := s.AgainAll(t.Context(), "crm"); n != 3 || err != nil {
		t.Errorf("%d are made again, %v", n, err)
	}
	eventually(t, "all are told, and what was delivered once only", func() bool {
		page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{State: webhook.Delivered})
		return err == nil && len(page.Deliveries) == 4 && len(r.sagas()) == 4
	})
	if n, err := s.AgainAll(t.Context(), "crm"); n != 0 || err != nil {
		t.Errorf("nothing is left, and %d are made again, %v", n, err)
	}
}

// An id says nothing of whose saga will have it, so who asks to be told of it learns nothing of a foreign one.
func TestASagaOfAnotherNamespaceIsNotTold(t *testing.T) {
	e := openEngine(t, till{})
	r, foreign := newReceiver(t), newReceiver(t)
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, nil)
	defer func() { _ = s.Stop() }()
	enter(t, s, r, "sale")
	if _, _, err := s.Enter(t.Context(), webhook.Endpoint{Name: "billing.crm", URL: foreign.URL}); err != nil {
		t.Fatal(err)
	}
	if err := s.Subscribe(t.Context(), "yes-1", "billing.crm"); err != nil {
		t.Fatal(err)
	}
	start(t, e, "sale", "yes-1")
	eventually(t, "those whose it is are told", func() bool { return len(r.sagas()) == 1 })
	if page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{}); err != nil || len(page.Deliveries) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestDeliveriesAreListedInPages(t *testing.T) {
	e := openEngine(t, till{})
	r := newReceiver(t)
	s := openSender(t, filepath.Join(t.TempDir(), "webhooks.db"), e, nil)
	defer func() { _ = s.Stop() }()
	enter(t, s, r, "sale")
	for i := range 7 {
		start(t, e, "sale", skald.SagaID(fmt.Sprintf("yes-%d", i)))
	}
	eventually(t, "all are told", func() bool { return len(r.sagas()) == 7 })
	seen, f := map[skald.SagaID]bool{}, webhook.DeliveryFilter{Limit: 3}
	for {
		page, err := s.Deliveries(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Deliveries {
			seen[d.Saga] = true
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	if len(seen) != 7 {
		t.Errorf("%d were listed", len(seen))
	}
	if _, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{Cursor: "nonsense"}); !errors.Is(err, webhook.ErrCursor) {
		t.Errorf("a cursor that is none: %v", err)
	}
	if page, err := s.Deliveries(t.Context(), webhook.DeliveryFilter{Namespace: "billing"}); err != nil || len(page.Deliveries) != 0 {
		t.Errorf("another namespace's: %+v, %v", page, err)
	}
}

func TestWhatCannotBeRegistered(t *testing.T) {
	if _, err := sqlitewebhook.Open(t.Context(), sqlitewebhook.Config{}); err == nil || !strings.Contains(err.Error(), "Path, Source or HTTP is missing") {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "webhooks.db")
	s := openSender(t, path, openEngine(t, till{}), nil)
	defer func() { _ = s.Stop() }()
	if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o600 {
		t.Errorf("the file with secrets is %v, %v", at.Mode(), err)
	}
	for want, e := range map[string]webhook.Endpoint{
		"the name":          {Name: "a b", URL: "https://example.org"},
		"the name \"..\"":   {Name: "..", URL: "https://example.org"},
		"without a user":    {Name: "a", URL: "https://me:secret@example.org"},
		"give a url":        {Name: "a", URL: "ftp://example.org"},
		"up to 2048 bytes":  {Name: "a", URL: "https://example.org/" + strings.Repeat("x", 2048)},
		"has to begin with": {Name: "a", URL: "https://example.org", Definitions: []string{"billing.refund"}},
		"no definition's n": {Name: "a", URL: "https://example.org", Definitions: []string{"sale", ""}},
	} {
		if _, _, err := s.Enter(t.Context(), e); !errors.Is(err, webhook.ErrEndpoint) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func TestAnAddressToWhichNothingWouldGoIsNotRegistered(t *testing.T) {
	way := httpparticipant.NewEgress(httpparticipant.EgressConfig{NoLoopback: true, NoPrivate: true})
	defer way.Close()
	s, err := sqlitewebhook.Open(t.Context(), sqlitewebhook.Config{Path: filepath.Join(t.TempDir(), "webhooks.db"), Source: openEngine(t, till{}), HTTP: way.Client(time.Second), Allows: way.Allows})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	for url, allowed := range map[string]bool{"http://127.0.0.1:1/hooks": false, "http://[::1]/": false, "http://10.0.0.1": false, "http://169.254.169.254": false, "https://example.org": true, "http://localhost": true} {
		if _, _, err := s.Enter(t.Context(), webhook.Endpoint{Name: "crm", URL: url}); (err == nil) != allowed || !allowed && !errors.Is(err, webhook.ErrEndpoint) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if all, err := s.Endpoints(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
