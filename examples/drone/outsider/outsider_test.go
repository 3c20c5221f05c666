package outsider_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/outsider"
)

func TestOnlyWhoAgreesGetsEvents(t *testing.T) {
	w := newWorld(t, nil)
	silent, other := newStranger(t, nil, nil), newStranger(t, http.Header{"Webhook-Allowed-Origin": {"elsewhere.example"}}, nil)
	broken := newStranger(t, http.Header{"Webhook-Allowed-Origin": {"*"}, "Webhook-Allowed-Rate": {"0"}}, nil)
	named := newStranger(t, http.Header{"Webhook-Allowed-Origin": {"Drone.Skald.Example"}, "Webhook-Allowed-Rate": {"*"}}, nil)
	quiet := w.subscribe("withheld", map[string]any{"url": silent.URL})
	if !strings.Contains(quiet.Note, "WebHook-Allowed-Origin") {
		t.Errorf("note %q does not say the mend", quiet.Note)
	}
	w.subscribe("withheld", map[string]any{"url": other.URL})
	w.subscribe("withheld", map[string]any{"url": broken.URL})
	w.subscribe("validated", map[string]any{"url": named.URL})
	asked := silent.got(http.MethodOptions)[0].header
	if rate, err := strconv.Atoi(asked.Get("WebHook-Request-Rate")); asked.Get("WebHook-Request-Origin") != outsider.DefaultOrigin || err != nil || rate <= 0 {
		t.Errorf("the handshake asked %v", asked)
	}
	first := w.publish("DeliveryCreated", "d-1")
	until(t, "the one that agreed has the event", func() bool { return slices.Contains(named.events(), first) })
	if got := slices.Concat(silent.events(), other.events(), broken.events()); len(got) > 0 {
		t.Errorf("events %v went to who did not agree", got)
	}
	// Permission may come later, by the callback; a wrong token is none.
	callback, err := url.Parse(asked.Get("WebHook-Request-Callback"))
	if err != nil {
		t.Fatal(err)
	}
	if status := w.call("GET", callback.Path+"x", nil, nil); status != http.StatusNotFound {
		t.Errorf("a wrong token was answered %d, want 404", status)
	}
	if status := w.call("GET", callback.Path, nil, nil); status != http.StatusNoContent {
		t.Fatalf("the callback was answered %d, want 204", status)
	}
	second := w.publish("DeliveryCompleted", "d-1")
	until(t, "the late one has the second event", func() bool { return slices.Contains(silent.events(), second) })
	if diff := cmp.Diff([]string{second}, silent.events()); diff != "" {
		t.Errorf("events of the late one (-want +got):\n%s", diff)
	}
}

func TestAnOutsiderThatIsAwayIsAskedAgain(t *testing.T) {
	w := newWorld(t, nil)
	asked := 0
	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 4 {
			w.WriteHeader([]int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway}[asked-1])
			return
		}
		w.Header().Set("WebHook-Allowed-Origin", "*")
	}))
	defer late.Close()
	s := w.subscribe("pending", map[string]any{"url": late.URL})
	until(t, "validated", func() bool { return w.subscription(s.ID).State == "validated" })
}

func TestTheSameWishIsOneSubscription(t *testing.T) {
	w, s := newWorld(t, nil), newStranger(t, anybody(), nil)
	made := w.subscribe("validated", map[string]any{"url": s.URL, "types": []string{"B", "A"}})
	if !strings.HasPrefix(made.Secret, "whsec_") {
		t.Errorf("secret %q", made.Secret)
	}
	var again subscription
	if status := w.call("POST", "/api/subscriptions", map[string]any{"url": s.URL + "/", "types": []string{"A", "B", "A"}}, &again); status != http.StatusOK || again.ID != made.ID || again.Secret != "" {
		t.Errorf("asked again: %d %+v, want 200, %s and no secret", status, again, made.ID)
	}
	other := w.subscribe("validated", map[string]any{"url": s.URL, "types": []string{"A"}})
	var all []subscription
	w.call("GET", "/api/subscriptions", nil, &all)
	if len(all) != 2 || all[0].Secret+all[1].Secret != "" {
		t.Errorf("listed %+v, want two without secrets", all)
	}
	for range 2 {
		if status := w.call("DELETE", "/api/subscriptions/"+other.ID, nil, nil); status != http.StatusNoContent {
			t.Errorf("removing answered %d", status)
		}
	}
	if status := w.call("GET", "/api/subscriptions/"+other.ID, nil, nil); status != http.StatusNotFound {
		t.Errorf("removed, it is answered %d", status)
	}
}

func TestWhatCannotBeSubscribedToIsSaid(t *testing.T) {
	w := newWorld(t, nil)
	for _, address := range []string{"", "/events", "ftp://127.0.0.1/", "http://user:word@127.0.0.1/", "http://127.0.0.1/#part", "http:127.0.0.1", "http://:80/", "http://127.0.0.1/" + strings.Repeat("a", 2000)} {
		var said struct {
			Errors []struct{ Field, Detail string }
		}
		if status := w.call("POST", "/api/subscriptions", map[string]any{"url": address}, &said); status != http.StatusUnprocessableEntity || len(said.Errors) != 1 || said.Errors[0].Field != "url" {
			t.Errorf("%.60q: %d %+v, want 422 and the field", address, status, said)
		}
	}
	closed := newWorld(t, func(c *outsider.Config) { c.AllowLoopback = false })
	if status := closed.call("POST", "/api/subscriptions", map[string]any{"url": "http://127.0.0.1:9/"}, nil); status != http.StatusUnprocessableEntity {
		t.Errorf("without https: %d, want 422", status)
	}
	for _, address := range []string{"https://127.0.0.1:9/", "https://[::ffff:127.0.0.1]/", "https://10.0.0.1/", "https://[fd00::1]/", "https://100.64.0.1/", "https://169.254.169.254/", "https://[64:ff9b::a9fe:a9fe]/"} {
		if status := closed.call("POST", "/api/subscriptions", map[string]any{"url": address}, nil); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d, want 422", address, status)
		}
	}
	if status := w.call("POST", "/api/subscriptions", map[string]any{"url": "https://10.0.0.1/"}, nil); status != http.StatusUnprocessableEntity {
		t.Errorf("a private address where this machine's own are allowed: %d, want 422", status)
	}
	// What a name stands for is looked at whenever it is called.
	if s := closed.subscribe("pending", map[string]any{"url": "https://localhost:9/"}); !strings.Contains(s.Note, "not called") {
		t.Errorf("note %q, want that it is not called", s.Note)
	}
}

func TestFiltersSelectByTypeAndSubject(t *testing.T) {
	w, s := newWorld(t, nil), newStranger(t, anybody(), nil)
	typed, prefixed, all := "/typed", "/prefixed", "/all"
	w.subscribe("validated", map[string]any{"url": s.URL + typed, "types": []string{"DeliveryCompleted"}})
	w.subscribe("validated", map[string]any{"url": s.URL + prefixed, "subjectPrefix": "paris-"})
	w.subscribe("validated", map[string]any{"url": s.URL + all})
	created := w.publish("DeliveryCreated", "paris-1")
	completed := w.publish("DeliveryCompleted", "lyon-1")
	until(t, "four deliveries", func() bool { return len(s.events()) >= 4 })
	got := s.events()
	slices.Sort(got)
	// Once for everybody; the first also for its subject, the second also for its type.
	if diff := cmp.Diff([]string{created, created, completed, completed}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// The signature is checked with what the specification says and the official SDK reads the event: nothing here is shared with the sender.
func TestEventsAreCloudEventsSignedByTheStandard(t *testing.T) {
	w, s := newWorld(t, nil), newStranger(t, anybody(), nil)
	made := w.subscribe("validated", map[string]any{"url": s.URL})
	at := time.Date(2026, 11, 21, 20, 0, 0, 123456000, time.UTC)
	m := broker.Message{ID: "e-1", Type: "DroneShipped", Source: "delivery", Saga: "d-1", Time: at, Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Key: "delivery/e-1", Data: []byte(`{"at":"48.85,2.35"}`), Headers: map[string]string{"ce-region": "north", "X-Internal": "stays"}}
	if err := w.cfg.Broker.Publish(t.Context(), bus.Events, m); err != nil {
		t.Fatal(err)
	}
	until(t, "the event", func() bool { return len(s.events()) == 1 })
	r := s.got(http.MethodPost)[0]
	e, err := binding.ToEvent(t.Context(), cehttp.NewMessage(r.header, http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.ID() != m.ID || e.Type() != m.Type || e.Source() != m.Source || e.Subject() != "d-1" || !e.Time().Equal(at) || e.DataContentType() != "application/json" || string(r.body) != string(m.Data) {
		t.Errorf("the SDK reads %v with %s", e, r.body)
	}
	if e.Extensions()["region"] != "north" || e.Extensions()["traceparent"] != m.Trace || r.header.Get("X-Internal") != "" {
		t.Errorf("extensions %v, X-Internal %q", e.Extensions(), r.header.Get("X-Internal"))
	}
	if got := r.header.Get("Origin"); got != outsider.DefaultOrigin {
		t.Errorf("Origin %q, want that of the handshake", got)
	}
	id, timestamp := r.header.Get("webhook-id"), r.header.Get("webhook-timestamp")
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(made.Secret, "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 {
		t.Fatalf("the key has %d bytes (%v), want 24 to 64", len(key), err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + string(r.body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.header.Get("webhook-signature") != want {
		t.Errorf("signature %s, want %s", r.header.Get("webhook-signature"), want)
	}
	if seconds, err := strconv.ParseInt(timestamp, 10, 64); err != nil || time.Since(time.Unix(seconds, 0)).Abs() > time.Minute {
		t.Errorf("timestamp %s", timestamp)
	}
}

func TestTheAllowedRateIsKept(t *testing.T) {
	w := newWorld(t, nil)
	s := newStranger(t, http.Header{"Webhook-Allowed-Origin": {"*"}, "Webhook-Allowed-Rate": {"200"}}, nil) // one each 300 ms
	w.subscribe("validated", map[string]any{"url": s.URL})
	for range 3 {
		w.publish("DeliveryCreated", "d")
	}
	until(t, "three events", func() bool { return len(s.events()) == 3 })
	got := s.got(http.MethodPost)
	// The pause begins when the answer was recorded, so that the requests are never closer than it.
	for i := range 2 {
		if gap := got[i+1].at.Sub(got[i].at); gap < 295*time.Millisecond {
			t.Errorf("request %d came %v after the one before, want 300 ms", i+2, gap)
		}
	}
}
