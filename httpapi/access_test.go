package httpapi_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/webhook"
)

// guarded is a world with access control, a definition in each of two namespaces, and a key for every role in each.
type guarded struct {
	*world
	store *sqliteaccess.Store
	keys  map[string]string // secrets by "role of namespace"
	ids   map[string]string // of the same keys

	letterID   string // of a dead letter in the namespace other
	deliveryID string // of a message about a saga there
}

// namespaces of the keys: where the world's sagas are, elsewhere, and everywhere.
const (
	own     = "other"
	foreign = "default"
)

func openGuarded(t *testing.T) *guarded {
	t.Helper()
	store, err := sqliteaccess.Open(t.Context(), sqliteaccess.Config{Path: filepath.Join(t.TempDir(), "access.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	g := &guarded{store: store, keys: map[string]string{}, ids: map[string]string{}}
	var registry *declarative.Registry
	g.world = openWith(t, []skald.Registered{visit(t, "other.visit")}, func(ec *skald.Config, c *httpapi.Config) {
		if registry, err = declarative.OpenRegistry(declarative.RegistryConfig{Folder: t.TempDir(), Others: ec.Participants}); err != nil {
			t.Fatal(err)
		}
		c.Registry = registry
		c.Door = &access.Door{Knows: []access.Authenticator{store}, Sessions: access.NewSessions(false, 0)}
		c.Keys, c.Audit = store, store
		counted(ec, c)
	})
	registry.Attach(g.engine.Register)
	sender := g.idle(t)
	for _, name := range []string{"other.desk", "other.spare", "other.other-spare"} {
		if _, _, err := sender.Enter(t.Context(), webhook.Endpoint{Name: name, URL: "https://desk.example.org", Definitions: []string{"other.visit"}}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = registry.Close() })
	for _, role := range []access.Role{access.Reader, access.Operator, access.Admin} {
		for _, namespace := range []string{own, foreign, access.Everywhere} {
			name := fmt.Sprintf("%s of %s", role, namespace)
			k, secret, err := store.Create(t.Context(), access.Key{Name: name, Role: role, Namespace: namespace})
			if err != nil {
				t.Fatal(err)
			}
			g.keys[name], g.ids[name] = secret, k.ID
		}
	}
	return g
}

// as is the header of a key.
func (g *guarded) as(role access.Role, namespace string) string {
	return "Authorization: Bearer " + g.keys[fmt.Sprintf("%s of %s", role, namespace)]
}

// populate starts sagas of the namespace other: one that is done, one that waits for its printer, one whose step is a dead letter.
func (g *guarded) populate(t *testing.T) {
	t.Helper()
	start := func(id skald.SagaID, mode skald.Mode) {
		if _, err := g.engine.Start(t.Context(), skald.StartRequest{ID: id, Definition: "other.visit", Input: []byte(`{"show":"Edda"}`), Mode: mode, Key: "others"}); err != nil {
			t.Fatal(err)
		}
	}
	start("other-done", skald.Orchestrated)
	if _, err := g.engine.Wait(t.Context(), "other-done"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end is to be told", func() bool {
		page, err := g.handler.Webhooks.Deliveries(t.Context(), webhook.DeliveryFilter{Endpoint: "other.desk"})
		if err != nil || len(page.Deliveries) == 0 {
			return false
		}
		g.deliveryID = page.Deliveries[0].ID
		return true
	})
	g.jam.Store(true)
	start("other-stuck", skald.Orchestrated)
	eventually(t, "the printer is asked", func() bool {
		s, err := g.engine.Status(t.Context(), "other-stuck")
		return err == nil && s.Step("tickets.print").State == journal.StepStateRetrying
	})
	g.held.Store(true)
	start("other-held", skald.Choreographed)
	eventually(t, "there is a dead letter", func() bool {
		_, body := g.request(t, http.MethodGet, "/v1/dead-letters?saga=other-held", "", g.as(access.Reader, own))
		var page httpapi.LetterPage
		if err := json.Unmarshal(body, &page); err != nil || len(page.Letters) == 0 {
			return false
		}
		g.letterID = page.Letters[0].ID
		return true
	})
	eventually(t, "the choreographed saga has its journal", func() bool {
		listed, err := g.engine.List(t.Context(), skald.Filter{ID: "other-held"})
		if err != nil {
			t.Fatal(err)
		}
		return len(listed.Sagas) == 1
	})
}

// asked is a request for one operation, about things of the namespace other.
type asked struct{ id, name, query, body string }

// requests are one for every operation. An operation that is not here fails the test: whoever adds one says here how it is asked for.
func (g *guarded) requests() map[string]asked {
	const decision = `{"reason":"a test"}`
	return map[string]asked{
		"listDefinitions": {}, "getDefinition": {}, "getAsyncAPI": {}, "startSaga": {body: `{"show":"sold out"}`},
		"listSagas": {query: "key=others"}, "getSaga": {id: "other-done"}, "listEvents": {id: "other-done"}, "watchSaga": {id: "other-done"},
		"cancelSaga": {id: "other-stuck", body: decision}, "resolveIncident": {id: "other-stuck", body: `{"step":"letters.send","verb":"retry","reason":"a test"}`},
		"actOnMany":       {body: `{"filter":{"key":"others"},"verb":"retry","reason":"a test"}`},
		"listDeadLetters": {query: "saga=other-held"}, "getDeadLetter": {id: g.letterID}, "replayDeadLetter": {id: g.letterID, body: decision},
		"compensateDeadLetter": {id: g.letterID, body: decision}, "discardDeadLetter": {id: g.letterID, body: decision},
		"registerDefinition": {body: `{"skald":1,"name":"other.trip","steps":[{"kind":"pivot","action":"tickets.print","input":"/input"}]}`},
		"getParticipant":     {name: "tickets"}, "enterParticipant": {name: "buses", body: `{"url":"http://127.0.0.1:9","level":"L2"}`}, "removeParticipant": {name: "trains"},
		"listParticipants": {}, "getStatistics": {}, "getActivity": {}, "getSession": {}, "closeSession": {},
		"listKeys": {}, "createKey": {body: `{"name":"new","role":"reader","namespace":"other"}`},
		"rotateKey": {id: g.ids["reader of other"], body: `{"overlap":3600}`}, "revokeKey": {id: g.ids["operator of other"]},
		"listWebhooks": {}, "getWebhook": {name: "other.desk"}, "enterWebhook": {name: "other.crm", body: `{"url":"https://crm.example.org"}`},
		"rotateWebhook": {name: "other.desk", body: `{}`}, "removeWebhook": {name: "other.spare"},
		"retryDeliveries": {name: "other.desk"}, "listDeliveries": {}, "getDelivery": {id: g.deliveryID}, "retryDelivery": {id: g.deliveryID},
		"listChanges": {}, "getDocument": {}, "ready": {},
		"live": {}, "openSession": {body: `{"credential":"skald_nobody00_s"}`},
	}
}

func (g *guarded) ask(t *testing.T, r httpapi.Route, x asked, heads ...string) (*http.Response, string) {
	t.Helper()
	path := strings.NewReplacer("{name}", cmp.Or(x.name, "other.visit"), "{id}", x.id).Replace(r.Path)
	if x.query != "" {
		path += "?" + x.query
	}
	answer, data := g.request(t, r.Method, path, x.body, heads...)
	return answer, string(data)
}

// state is all that a request which is not permitted must leave as it is.
func (g *guarded) state(t *testing.T) string {
	t.Helper()
	var all []string
	for _, path := range []string{"/v1/sagas", "/v1/dead-letters", "/v1/keys", "/v1/webhooks"} {
		_, body := g.request(t, http.MethodGet, path, "", g.as(access.Admin, access.Everywhere))
		all = append(all, string(body))
	}
	return regexp.MustCompile(`"(updated":"[^"]*|seq":\d+)`).ReplaceAllString(strings.Join(all, "\n"), "") // a saga that retries goes on doing so
}

// Every route is asked for without an identity, by every role, and from a foreign namespace.
func TestEveryRouteIsForItsRoleAndItsNamespace(t *testing.T) {
	g := openGuarded(t)
	g.populate(t)
	requests := g.requests()
	routes := httpapi.Routes()
	for _, r := range routes {
		if _, known := requests[r.Operation]; !known {
			t.Fatalf("nothing says how %s is asked for: add it to the requests of this test", r.Operation)
		}
		if open := r.Operation == "live" || r.Operation == "openSession"; r.Open != open || !open && r.Role == access.None {
			t.Errorf("%s: open is %t and its role is %s: only the sign of life and the begin of a session are open, all else has a role", r.Operation, r.Open, r.Role)
		}
	}
	before := g.state(t)
	for _, r := range routes {
		if r.Open {
			continue
		}
		t.Run(r.Operation+"/denied", func(t *testing.T) { g.denied(t, r, requests[r.Operation]) })
		t.Run(r.Operation+"/foreign", func(t *testing.T) { g.fromAbroad(t, r, requests[r.Operation]) })
	}
	if diff := gocmp.Diff(before, g.state(t)); diff != "" {
		t.Errorf("a request that was not permitted changed something:\n%s", diff)
	}
	slices.SortStableFunc(routes, func(a, b httpapi.Route) int {
		return cmp.Compare(b2i(a.Operation == "revokeKey"), b2i(b.Operation == "revokeKey"))
	})
	for _, r := range routes {
		t.Run(r.Operation+"/permitted", func(t *testing.T) { g.permitted(t, r, requests[r.Operation]) })
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// denied asks without an identity, and with every role that is too low.
func (g *guarded) denied(t *testing.T, r httpapi.Route, x asked) {
	for _, credential := range []string{"", "Authorization: Bearer nonsense", "Authorization: Bearer ", "Authorization: Basic YTpi", "Cookie: skald=nonsense", g.as(access.Admin, own) + "x"} {
		heads := []string{credential}
		if credential == "" {
			heads = nil
		}
		if answer, body := g.ask(t, r, x, heads...); answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("with %.24q: %s %s", credential, answer.Status, body)
		}
	}
	for role := access.Reader; role < r.Role; role++ {
		for _, namespace := range []string{own, foreign, access.Everywhere} {
			answer, body := g.ask(t, r, x, g.as(role, namespace))
			var p httpapi.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || answer.StatusCode != http.StatusForbidden || p.Role != r.Role.String() {
				t.Errorf("as %s of %s: %s %s, want 403 and that it takes the role %s", role, namespace, answer.Status, body, r.Role)
			}
		}
	}
}

// fromAbroad asks as somebody of another namespace, for whom nothing of this one exists: what is not there at all is answered alike.
func (g *guarded) fromAbroad(t *testing.T, r httpapi.Route, x asked) {
	answer, body := g.ask(t, r, x, g.as(access.Admin, foreign))
	switch {
	case r.Operation == "getParticipant": // it is in a definition of this namespace, too
		if answer.StatusCode != http.StatusOK || strings.Contains(body, "other") {
			t.Errorf("%s %s", answer.Status, body)
		}
	case slices.Contains([]string{"createKey", "registerDefinition", "enterParticipant", "removeParticipant", "enterWebhook"}, r.Operation):
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("what is another namespace's, or everybody's: %s %s", answer.Status, body)
		}
	case strings.Contains(r.Path, "{"):
		if answer.StatusCode != http.StatusNotFound {
			t.Fatalf("%s %s, want 404", answer.Status, body)
		}
		nobody := r
		nobody.Path = strings.Replace(r.Path, "{name}", "other.visits", 1)
		never := x
		never.id = strings.Repeat("z", len(x.id))
		_, want := g.ask(t, nobody, never, g.as(access.Admin, foreign))
		if got := strings.NewReplacer(x.id+"\"", never.id+"\"", "/"+x.id, "/"+never.id, "other.visit", "other.visits", `"`+x.id, `"`+never.id).Replace(body); x.id != "" && got != want {
			t.Errorf("it is told apart from what never was:\n%s\n%s", body, want)
		}
	case answer.StatusCode >= 300:
		t.Errorf("%s %s", answer.Status, body)
	case r.Operation == "listChanges":
		if strings.Contains(body, `"namespace":"other"`) || strings.Contains(body, `"namespace":"*"`) {
			t.Errorf("it says what others asked for: %s", body)
		}
	case r.Operation != "getDocument" && strings.Contains(body, "other"):
		t.Errorf("it says something of the other namespace: %s", body)
	}
}

// permitted asks with every role that is high enough, of the namespace itself and of all.
func (g *guarded) permitted(t *testing.T, r httpapi.Route, x asked) {
	for role := max(r.Role, access.Reader); role <= access.Admin; role++ {
		for _, namespace := range []string{own, access.Everywhere} {
			if r.Operation == "revokeKey" {
				x.id = g.ids[fmt.Sprintf("operator of %s", namespace)]
			}
			if r.Operation == "removeWebhook" && namespace == access.Everywhere {
				x.name = "other.other-spare"
			}
			answer, body := g.ask(t, r, x, g.as(role, namespace))
			switch answer.StatusCode {
			case http.StatusForbidden, http.StatusNotFound:
				shared := strings.Contains(r.Path, "/v1/keys/") || r.Operation == "enterParticipant" || r.Operation == "removeParticipant"
				if !shared || namespace == access.Everywhere && r.Operation != "removeParticipant" {
					t.Errorf("as %s of %s: %s %s", role, namespace, answer.Status, body)
				}
			case http.StatusUnauthorized:
				if r.Operation != "openSession" {
					t.Errorf("as %s of %s: %s %s", role, namespace, answer.Status, body)
				}
			}
			if strings.Contains(r.Operation, "list") && r.Operation != "listParticipants" && !strings.Contains(body, "other") {
				t.Errorf("as %s of %s nothing of the namespace is listed: %s", role, namespace, body)
			}
		}
	}
}

func TestChangesAreInTheAuditLog(t *testing.T) {
	g := openGuarded(t)
	g.populate(t)
	operator := g.as(access.Operator, own)
	_, body := g.request(t, http.MethodPost, "/v1/definitions/other.visit/sagas", `{"show":"Secret Saga"}`, operator)
	var started httpapi.Started
	if err := json.Unmarshal(body, &started); err != nil {
		t.Fatal(err)
	}
	g.request(t, http.MethodPost, "/v1/sagas/other-held/cancel", `{"reason":"the guest fell ill"}`, operator)
	g.request(t, http.MethodPost, "/v1/sagas/nobody/cancel", `{"reason":"mistyped"}`, operator)
	g.request(t, http.MethodPost, "/v1/keys", `{"name":"mallory","role":"admin"}`, operator)
	_, body = g.request(t, http.MethodPost, "/v1/keys", `{"name":"carol","role":"reader","namespace":"other"}`, g.as(access.Admin, access.Everywhere))
	var made httpapi.MadeKey
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatal(err)
	}
	var page httpapi.ChangePage
	eventually(t, "the outcomes are in the log", func() bool {
		_, body = g.request(t, http.MethodGet, "/v1/audit", "", g.as(access.Operator, access.Everywhere))
		page = httpapi.ChangePage{}
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		return len(page.Changes) == 5 && !slices.ContainsFunc(page.Changes, func(c httpapi.Change) bool { return c.Status == 0 })
	})
	var got []string
	for i, c := range page.Changes {
		got = append(got, fmt.Sprintf("%s (%s, %s) from %s: %s %s: %d %s; %s", c.Who, c.Role, c.Namespace, c.From, c.What, c.Target, c.Status, c.Problem, c.Note))
		if c.N == 0 || time.Since(c.Time) > time.Hour || i > 0 && c.N >= page.Changes[i-1].N || !strings.HasPrefix(c.Credential, "key ") {
			t.Errorf("line %+v", c)
		}
	}
	want := []string{
		`admin of * (admin, *) from 127.0.0.1: createKey ` + made.Key.ID + `: 201 ; for "carol": reader of other`,
		`operator of other (operator, other) from 127.0.0.1: createKey : 403 forbidden; `,
		`operator of other (operator, other) from 127.0.0.1: cancelSaga nobody: 404 no-such-saga; operator of other: mistyped`,
		`operator of other (operator, other) from 127.0.0.1: cancelSaga other-held: 200 ; operator of other: the guest fell ill`,
		`operator of other (operator, other) from 127.0.0.1: startSaga ` + string(started.ID) + `: 202 ; `,
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	if text := string(body); strings.Contains(text, "Secret Saga") || strings.Contains(text, "skald_") {
		t.Errorf("the log has a payload or a key: %s", text)
	}
	_, body = g.request(t, http.MethodGet, "/v1/audit?who=operator+of+other&what=cancelSaga&limit=1", "", operator)
	page = httpapi.ChangePage{}
	if err := json.Unmarshal(body, &page); err != nil || len(page.Changes) != 1 || page.Changes[0].Target != "nobody" || page.Next != page.Changes[0].N {
		t.Errorf("filtered: %s", body)
	}
	_, body = g.request(t, http.MethodGet, fmt.Sprintf("/v1/audit?who=operator+of+other&what=cancelSaga&below=%d", page.Next), "", operator)
	if !strings.Contains(string(body), "other-held") || strings.Contains(string(body), "nobody") {
		t.Errorf("the next page: %s", body)
	}
}

// What cannot be written to the audit log does not happen.
func TestWithoutTheAuditLogNothingChanges(t *testing.T) {
	g := openGuarded(t)
	other, err := sqliteaccess.Open(t.Context(), sqliteaccess.Config{Path: filepath.Join(t.TempDir(), "closed.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	g.handler.Audit = other
	answer, p := g.problem(t, http.MethodPost, "/v1/definitions/visit/sagas", `{"show":"Edda"}`, g.as(access.Admin, access.Everywhere), "Idempotency-Key: visit-1")
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	if _, err := g.engine.Status(t.Context(), "visit-1"); err == nil {
		t.Error("the saga was started all the same")
	}
}

func TestABrowserSignsInAndOut(t *testing.T) {
	g := openGuarded(t)
	secret := g.keys["operator of other"]
	answer, body := g.request(t, http.MethodPost, "/v1/session", `{"credential":"`+secret+`"}`)
	cookies := answer.Cookies()
	if answer.StatusCode != http.StatusOK || len(cookies) != 1 || !strings.Contains(string(body), `"role":"operator","namespace":"other"`) || strings.Contains(string(body)+cookies[0].Value, secret) {
		t.Fatalf("%s %s %v", answer.Status, body, cookies)
	}
	if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 || len(c.Value) < 26 {
		t.Errorf("the cookie is %v", c)
	}
	cookie := "Cookie: " + cookies[0].Name + "=" + cookies[0].Value
	if answer, body := g.request(t, http.MethodGet, "/v1/session", "", cookie); answer.StatusCode != http.StatusOK || !strings.Contains(string(body), `"name":"operator of other"`) {
		t.Errorf("who am I: %s %s", answer.Status, body)
	}
	for _, from := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"} {
		answer, p := g.problem(t, http.MethodPost, "/v1/sagas/nobody/cancel", `{"reason":"no"}`, cookie, from)
		if answer.StatusCode != http.StatusForbidden || p.Type != httpapi.ProblemPrefix+"cross-origin" {
			t.Errorf("with %s: %+v", from, p)
		}
	}
	if answer, p := g.problem(t, http.MethodPost, "/v1/sagas/nobody/cancel", `{"reason":"no"}`, cookie, "Sec-Fetch-Site: same-origin"); answer.StatusCode != http.StatusNotFound {
		t.Errorf("from its own page: %+v", p)
	}
	answer, _ = g.request(t, http.MethodDelete, "/v1/session", "", cookie)
	if c := answer.Cookies(); answer.StatusCode != http.StatusNoContent || len(c) != 1 || c[0].MaxAge >= 0 {
		t.Errorf("signing out: %s %v", answer.Status, c)
	}
	if answer, p := g.problem(t, http.MethodGet, "/v1/session", "", cookie); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("after that: %+v", p)
	}
}

func TestASessionEndsWithItsKey(t *testing.T) {
	g := openGuarded(t)
	answer, _ := g.request(t, http.MethodPost, "/v1/session", `{"credential":"`+g.keys["reader of other"]+`"}`)
	cookie := "Cookie: skald=" + answer.Cookies()[0].Value
	if answer, body := g.request(t, http.MethodGet, "/v1/sagas", "", cookie); answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", answer.Status, body)
	}
	if answer, body := g.request(t, http.MethodPost, "/v1/keys/"+g.ids["reader of other"]+"/revoke", "", g.as(access.Admin, own)); answer.StatusCode != http.StatusOK || !strings.Contains(string(body), `"valid":false`) {
		t.Fatalf("%s %s", answer.Status, body)
	}
	if answer, p := g.problem(t, http.MethodGet, "/v1/sagas", "", cookie); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session of a revoked key goes on: %+v", p)
	}
}

// A watch that is open shows nothing more once its key, or the key of its session, is revoked.
func TestAWatchEndsWithItsKey(t *testing.T) {
	for _, with := range []string{"a key", "a session"} {
		t.Run(with, func(t *testing.T) {
			g := openGuarded(t)
			head := g.as(access.Reader, own)
			if with == "a session" {
				answer, _ := g.request(t, http.MethodPost, "/v1/session", `{"credential":"`+g.keys["reader of other"]+`"}`)
				head = "Cookie: skald=" + answer.Cookies()[0].Value
			}
			g.populate(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			asked, err := http.NewRequestWithContext(ctx, http.MethodGet, g.server.URL+"/v1/sagas/other-stuck/watch", nil)
			if err != nil {
				t.Fatal(err)
			}
			name, value, _ := strings.Cut(head, ": ")
			asked.Header.Set(name, value)
			answer, err := http.DefaultClient.Do(asked)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				t.Fatal(answer.Status)
			}
			if answer, body := g.request(t, http.MethodPost, "/v1/keys/"+g.ids["reader of other"]+"/revoke", "", g.as(access.Admin, own)); answer.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", answer.Status, body)
			}
			if text, err := io.ReadAll(answer.Body); err != nil || strings.Contains(string(text), "event: end") {
				t.Errorf("the watch of a revoked key goes on (%v):\n%s", err, text)
			}
		})
	}
}

func TestWithoutAccessControlTheSessionSaysSo(t *testing.T) {
	w := open(t)
	if body := string(w.get(t, "/v1/session")); body != `{"name":"","role":"admin","namespace":"*","guarded":false,"sessions":false}`+"\n" {
		t.Errorf("%s", body)
	}
	for _, path := range []string{"/v1/keys", "/v1/audit"} {
		if answer, p := w.problem(t, http.MethodGet, path, ""); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %+v", path, p)
		}
	}
}
