package httpapi_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
)

// Whatever is wrong with a request is answered with a problem that says where and how to mend it, and nothing is done.
func TestFaultsOfRequestsSayTheirPlace(t *testing.T) {
	w := open(t)
	w.jam.Store(true)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	const start, cancel, resolve, bulk = "/v1/definitions/visit/sagas", "/v1/sagas/s/cancel", "/v1/sagas/s/resolve", "/v1/bulk"
	long := strings.Repeat("x", 2000)
	for _, x := range []struct {
		method, path, body, head string
		status                   int
		word, says               string
	}{
		{"POST", start, `{"show":"Edda"`, "", 400, "unusable-request", "line 1, column 15"},
		{"POST", start, "{\n  \"show\" \"Edda\"}", "", 400, "unusable-request", "body line 2, column 10"},
		{"POST", start, "\xff", "", 400, "unusable-request", "UTF-8"},
		{"POST", start, " ", "", 400, "unusable-request", "empty"},
		{"POST", start, `{}`, "Content-Type: text/plain", 415, "unsupported-media-type", "application/json"},
		{"POST", start, `"` + strings.Repeat("x", journal.MaxPayload) + `"`, "", 413, "too-large", "1048576"},
		{"POST", start + "?mode=chaotic", `{}`, "", 422, "no-such-mode", "chaotic"},
		{"POST", start + "?kex=1", `{}`, "", 422, "unusable-content", "query kex"},
		{"POST", start + "?key=1&key=2", `{}`, "", 422, "unusable-content", "query key"},
		{"POST", start + "?key=" + long, `{}`, "", 422, "unusable-content", "256"},
		{"POST", start + "?mode=choreographed&key=" + long, `{}`, "", 422, "unusable-content", "256"},
		{"POST", start + "?key=a%00b", `{}`, "", 422, "unusable-content", "query key"},
		{"POST", cancel, `{"by":"a\nb","reason":"no"}`, "", 422, "unusable-content", "body /by"},
		{"POST", start + "?mode=choreographed", `{}`, "Idempotency-Key: s s", 422, "unusable-content", "UUID"},
		{"POST", start, `{}`, "Idempotency-Key: a b", 422, "unusable-content", "UUID"},
		{"POST", start, `{}`, "Idempotency-Key: ..", 422, "unusable-content", "UUID"},
		{"POST", start + "?version=0", `{}`, "", 404, "no-such-definition", `visit has no version "0"`},
		{"POST", "/v1/definitions/dinner/sagas", `{}`, "", 404, "no-such-definition", "dinner"},
		{"GET", start, "", "", 405, "method-not-allowed", "POST"},
		{"PUT", "/v1/sagas/s", "", "", 405, "method-not-allowed", "GET, HEAD"},
		{"GET", "/v1/sagas/a%20b", "", "", 404, "no-such-saga", "mistyped"},
		{"GET", "/v1/sagas/s/", "", "", 404, "no-such-path", "openapi"},
		{"GET", "/v1/sagas?state=lost&limit=1001&mode=x&order=up&started_after=now&unended=1&id=%2F", "", "", 422, "unusable-content", "query started_after"},
		{"GET", "/v1/sagas?definiton=visit", "", "", 422, "unusable-content", "query definiton"},
		{"GET", "/v1/sagas?definition=&key=", "", "", 422, "unusable-content", "query definition: it is given and empty: give it a value, or leave it out for all; query key: it is given and empty"},
		{"GET", "/v1/sagas?incident", "", "", 422, "unusable-content", "query incident: it is given and empty"},
		{"GET", "/v1/sagas?state=running&state=", "", "", 422, "unusable-content", "query state: it is given and empty"},
		{"GET", "/v1/sagas?definition=50%", "", "", 422, "unusable-content", "query: it cannot be read"},
		{"GET", "/v1/sagas?incident=true;definition=visit", "", "", 422, "unusable-content", "write & between parameters"},
		{"GET", "/v1/dead-letters?saga=", "", "", 422, "unusable-content", "query saga: it is given and empty"},
		{"GET", "/v1/deliveries?webhook=", "", "", 422, "unusable-content", "query webhook: it is given and empty"},
		{"GET", "/v1/audit?who=", "", "", 422, "unusable-content", "query who: it is given and empty"},
		{"GET", "/v1/activity?definition=", "", "", 422, "unusable-content", "query definition: it is given and empty"},
		{"POST", start + "?key=", `{}`, "", 422, "unusable-content", "query key: it is given and empty"},
		{"POST", start, `{}`, "Idempotency-Key: \"\"", 422, "unusable-content", "header Idempotency-Key"},
		{"GET", "/v1/sagas?cursor=x", "", "", 422, "unusable-content", "next of the page before"},
		{"GET", "/v1/sagas/s/events?after=x", "", "", 422, "unusable-content", "query after"},
		{"POST", cancel, `{"by":"ada","reason":"no","why":1}`, "", 422, "unusable-content", "body /why"},
		{"POST", cancel, `{"by":7,"reason":"no"}`, "", 422, "unusable-content", "body /by: this is a number and must be a string"},
		{"POST", cancel, `[]`, "", 422, "unusable-content", "object"},
		{"POST", cancel, `{"reason":" "}`, "", 422, "unusable-content", "body /by: say who decides; body /reason"},
		{"POST", cancel, `{"by":"ada","reason":"` + long + `"}`, "", 422, "unusable-content", "at most 1024 bytes"},
		{"POST", "/v1/sagas/nobody/cancel", `{"by":"ada","reason":"no"}`, "", 404, "no-such-saga", "nobody"},
		{"POST", resolve, `{"by":"ada","reason":"no","step":"seats.reserve","verb":"pray"}`, "", 422, "unusable-content", "body /verb"},
		{"POST", resolve, `{"by":"ada","reason":"no","step":"seats.reserve","verb":"replace"}`, "", 422, "unusable-content", "body /payload"},
		{"POST", resolve, `{"by":"ada","reason":"no","step":"seats.reserve","verb":"skip"}`, "", 409, "verb-does-not-fit", "waits for nothing"},
		{"POST", bulk, `{"by":"ada","reason":"no","verb":"cancel","filter":{}}`, "", 422, "unusable-content", "body /filter"},
		{"POST", bulk, `{"by":"ada","reason":"no","verb":"replace","filter":{"unended":true}}`, "", 422, "unusable-content", "body /verb"},
		{"POST", bulk, `{"by":"ada","reason":"no","verb":"cancel","step":"x","limit":2000,"filter":{"states":["lost"],"mode":"x"}}`, "", 422, "unusable-content", "body /filter/states"},
		{"POST", bulk, `{"by":"ada","reason":"no","verb":"cancel","filter":{"unended":"yes"}}`, "", 422, "unusable-content", "body /filter/unended: this is a string and must be a boolean"},
		{"POST", bulk, `{"by":"ada","reason":"no","verb":"cancel","filter":{"definition":"","unended":true}}`, "", 422, "unusable-content", "body /filter/definition: it is given and empty"},
		{"POST", bulk, `{"by":"ada","reason":"no","verb":"cancel","filter":{"key":null,"states":[],"started_after":null,"unended":true},"dry_run":true}`, "", 422, "unusable-content",
			"body /filter/key: it is given and empty: give it a value, or leave it out for all; body /filter/started_after: it is given and empty: give it a value, or leave it out for all; body /filter/states"},
		{"POST", bulk, `{"by":"ada","reason":"no","verb":"skip","step":"","filter":{"incident":true}}`, "", 422, "unusable-content", "body /step: it is given and empty"},
		{"POST", bulk, `{"filter":"` + strings.Repeat("x", 70<<10) + `"}`, "", 413, "too-large", "65536"},
	} {
		answer, p := w.problem(t, x.method, x.path, x.body, cmp.Or(x.head, "Accept: */*"))
		if answer.StatusCode != x.status || p.Type != httpapi.ProblemPrefix+x.word || !strings.Contains(p.Error(), x.says) || p.Instance != strings.Split(strings.ReplaceAll(x.path, "%20", " "), "?")[0] {
			t.Errorf("%s %.60s %.60s:\n  %d %+v\n  want %d %s with %q", x.method, x.path, x.body, answer.StatusCode, p, x.status, x.word, x.says)
		}
	}
	w.jam.Store(false)
	if s := w.ended(t, "s"); s.State != skald.Completed {
		t.Errorf("the saga is %s: something was done", s.State)
	}
}

// More than there is room for is refused, and says when to come again.
func TestOverloadSaysWhenToComeAgain(t *testing.T) {
	w := open(t, func(c *skald.Config, _ *httpapi.Config) { c.MaxOpen = 1 })
	w.jam.Store(true)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	answer, p := w.problem(t, http.MethodPost, "/v1/definitions/visit/sagas", `{"show":"Edda"}`)
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || p.RetryAfter < 1 || p.Type != httpapi.ProblemPrefix+"overload" {
		t.Errorf("%v %+v", answer.Header, p)
	}
	_, err := w.saga.Start(t.Context(), w.client, seatRequest{"Edda"})
	var overload *skald.OverloadError
	if !errors.As(err, &overload) || overload.RetryAfter.Seconds() != p.RetryAfter {
		t.Errorf("the client gives %v", err)
	}
	w.jam.Store(false)
	w.ended(t, "s")
}

// Who asks is said by the request's identity, if the program knows it, and then nothing else counts.
func TestTheIdentityIsWhoDecides(t *testing.T) {
	w := open(t, func(_ *skald.Config, c *httpapi.Config) {
		c.Identify = func(r *http.Request) (access.Identity, error) {
			if name := r.Header.Get("X-User"); name != "mallory" {
				return access.Identity{Name: name, Role: access.Operator, Namespace: access.Everywhere}, nil
			}
			return access.Identity{}, errors.New("mallory is not known: log in")
		}
	})
	w.held.Store(true)
	for i, x := range []struct{ user, body, by string }{
		{"grace", `{"by":"ada","reason":"no"}`, "grace"},
		{"grace", `{"reason":"no"}`, "grace"},
		{"", `{"by":"ada","reason":"no"}`, "ada"},
	} {
		id := fmt.Sprint("s-", i)
		w.begin(t, skald.SagaID(id), skald.Orchestrated, "Edda")
		if answer, body := w.request(t, http.MethodPost, "/v1/sagas/"+id+"/cancel", x.body, "X-User: "+x.user); answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", answer.Status, body)
		}
		if e := w.until(t, skald.SagaID(id), journal.CancelRequested); e.By != x.by {
			t.Errorf("%+v was cancelled by %s", x, e.By)
		}
		w.ended(t, skald.SagaID(id))
	}
	for _, r := range httpapi.Routes() {
		path := strings.NewReplacer("{name}", "visit", "{id}", "s-0").Replace(r.Path)
		if r.Operation == "openSession" {
			continue // which tells by itself who asks
		}
		if r.Path == "/livez" {
			if answer, _ := w.request(t, r.Method, path, "", "X-User: mallory"); answer.StatusCode != http.StatusOK {
				t.Errorf("liveness is %s", answer.Status)
			}
			continue
		}
		if answer, p := w.problem(t, r.Method, path, "", "X-User: mallory"); answer.StatusCode != http.StatusUnauthorized || !strings.Contains(p.Detail, "log in") {
			t.Errorf("%s %s is answered with %+v", r.Method, path, p)
		}
	}
}

// Payloads and what people write stay out of the log.
func TestTheLogHasNoPayloads(t *testing.T) {
	w := open(t)
	for _, body := range []string{`{"show":"SECRET"}`, `{"show":"SECRET`, `["SECRET"]`} {
		_, _ = w.request(t, http.MethodPost, "/v1/definitions/visit/sagas", body, "Idempotency-Key: s", "Prefer: wait=20")
	}
	_, _ = w.request(t, http.MethodPost, "/v1/bulk", `{"by":"ada","reason":"SECRET","verb":"cancel","filter":{"key":"SECRET"}}`)
	w.handler.Drain()
	if log := w.log.String(); strings.Contains(log, "SECRET") || !strings.Contains(log, "a verb for many sagas") {
		t.Errorf("the log is\n%s", log)
	}
}

func TestAConfigurationThatCannotServeSaysWhatIsMissing(t *testing.T) {
	_, err := httpapi.New(httpapi.Config{})
	if err == nil || !strings.Contains(err.Error(), "Engine is missing") || !strings.Contains(err.Error(), "Sagas is empty") {
		t.Errorf("an empty one gives %v", err)
	}
	for _, address := range []string{"", "127.0.0.1:8080", "ftp://x", "http://", "http://x?y=1"} {
		if _, err := httpapi.NewClient(httpapi.ClientConfig{Address: address}); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:8080") {
			t.Errorf("the address %q gives %v", address, err)
		}
	}
}

// A client that is pointed at something else says so, rather than to make sense of it.
func TestAClientKnowsThatItTalksToSomethingElse(t *testing.T) {
	w := open(t)
	c, err := httpapi.NewClient(httpapi.ClientConfig{Address: w.server.URL + "/elsewhere", HTTP: w.http})
	if err != nil {
		t.Fatal(err)
	}
	var p *httpapi.Problem
	if _, err := c.Status(t.Context(), "s"); !errors.As(err, &p) || p.Status != http.StatusNotFound || errors.Is(err, skald.ErrNotFound) {
		t.Errorf("another path gives %v", err)
	}
	other := newOther(t)
	if c, err = httpapi.NewClient(httpapi.ClientConfig{Address: other}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Statistics(t.Context()); err == nil || !strings.Contains(err.Error(), "check the address") {
		t.Errorf("another server gives %v", err)
	}
	if _, err := c.Definitions(t.Context()); err == nil || !strings.Contains(err.Error(), "check the address") {
		t.Errorf("another server gives %v", err)
	}
}
