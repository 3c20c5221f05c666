package httpapi_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
)

// says makes a request that must be answered with a problem, and compares its status, its word and what it says.
func (w *world) says(t *testing.T, method, path, body string, status int, word, text string, heads ...string) {
	t.Helper()
	answer, p := w.problem(t, method, path, body, heads...)
	said := p.Detail
	for _, f := range p.Errors {
		said += " " + f.Place + ": " + f.Detail
	}
	if answer.StatusCode != status || p.Type != httpapi.ProblemPrefix+word || !strings.Contains(said, text) {
		t.Errorf("%s %s is answered with %d %s %q, want %d %s with %q", method, path, answer.StatusCode, p.Type, said, status, word, text)
	}
}

func TestWhoMistypesANameIsToldWhichThereAre(t *testing.T) {
	w := openWith(t, []skald.Registered{visit(t, "other.visit")})
	w.handler.Webhooks = w.idle(t)
	w.says(t, http.MethodGet, "/v1/definitions/vist", "", 404, "no-such-definition", `No definition has the name "vist": there are visit, other.visit.`)
	w.says(t, http.MethodGet, "/v1/definitions/visit?version=0", "", 404, "no-such-definition", `visit has no version "0": there is `+w.saga.Version()+".")
	w.says(t, http.MethodPost, "/v1/definitions/vist/sagas", `{"show":"Edda"}`, 404, "no-such-definition", "there are visit, other.visit.")
	w.says(t, http.MethodGet, "/v1/participants/seat", "", 404, "no-such-participant", `No participant has the name "seat": there are letters, seats, tickets.`)
	w.says(t, http.MethodGet, "/v1/webhooks/crm", "", 404, "no-such-webhook", `No endpoint has the name "crm": there is none here.`)
	for _, ask := range []struct{ method, path, body string }{
		{http.MethodGet, "/v1/sagas/nope", ""}, {http.MethodGet, "/v1/sagas/nope/events", ""}, {http.MethodGet, "/v1/sagas/nope/watch", ""}, {http.MethodPost, "/v1/sagas/nope/cancel", `{"by":"ada","reason":"a test"}`},
		{http.MethodPost, "/v1/sagas/nope/resolve", `{"verb":"retry","by":"ada","reason":"a test"}`},
	} {
		w.says(t, ask.method, ask.path, ask.body, 404, "no-such-saga", `No saga has the id "nope": it is mistyped, `)
	}
	w.says(t, http.MethodGet, "/v1/dead-letters/nope", "", 404, "no-such-dead-letter", `No dead letter has the id "nope": it is mistyped, `)
	if _, err := w.client.Definition(t.Context(), "vist", ""); !errors.Is(err, skald.ErrDefinition) {
		t.Errorf("a client is told of %v", err)
	}
	if _, err := w.client.Letter(t.Context(), "nope"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a client is told of %v", err)
	}
}

// An operator hears what the program is started with, and a programmer what it is made of.
func TestWhoMissesSomethingIsToldHowTheProgramGetsIt(t *testing.T) {
	single := func(ec *skald.Config, c *httpapi.Config) { ec.Broker, c.Remediation = nil, nil }
	programmer := open(t, single)
	operator := open(t, single, func(_ *skald.Config, c *httpapi.Config) {
		c.Mends = httpapi.Mends{Choreography: "Start it with --broker-listen.", Access: "Start it with --access."}
	})
	for _, x := range []struct{ method, path, body, word, programmer, operator string }{
		{http.MethodPost, "/v1/definitions/visit/sagas?mode=choreographed", `{"show":"Edda"}`, "no-such-mode", "gives skald.Config a Broker.", "This program runs no choreographed sagas. Start it with --broker-listen."},
		{http.MethodGet, "/v1/dead-letters", "", "no-dead-letters-here", "gives httpapi.Config a Remediation.", "Start it with --broker-listen."},
		{http.MethodGet, "/v1/keys", "", "no-keys-here", "See how it knows who asks.", "Start it with --access."},
		{http.MethodGet, "/v1/audit", "", "no-audit-here", "gives httpapi.Config an Audit.", "Start it with --access."},
		{http.MethodPost, "/v1/session", `{"credential":"x"}`, "no-sessions-here", "gives httpapi.Config a Door.", "Start it with --access."},
	} {
		status := http.StatusNotFound
		if x.word == "no-such-mode" {
			status = http.StatusUnprocessableEntity
		}
		programmer.says(t, x.method, x.path, x.body, status, x.word, x.programmer)
		operator.says(t, x.method, x.path, x.body, status, x.word, x.operator)
	}
	operator.says(t, http.MethodPost, "/v1/definitions/visit/sagas?mode=dancing", `{"show":"Edda"}`, 422, "no-such-mode", `"dancing" is no mode: use orchestrated or choreographed.`)
	if _, err := operator.client.Start(t.Context(), skald.StartRequest{Definition: "visit", Mode: skald.Choreographed, Input: []byte(`{}`)}); !errors.Is(err, skald.ErrMode) {
		t.Errorf("a client is told of %v", err)
	}
}

func TestAVerbThatDoesNotFitIsAnsweredWithThoseThatDo(t *testing.T) {
	for _, mode := range bothModes {
		w := open(t)
		resolve := func(id, step, verb, want string) {
			t.Helper()
			w.says(t, http.MethodPost, "/v1/sagas/"+id+"/resolve", `{"step":"`+step+`","verb":"`+verb+`","by":"ada","reason":"a test","payload":{"number":1}}`, 409, "verb-does-not-fit", want)
		}
		w.jam.Store(true)
		w.begin(t, "jammed", mode, "Edda")
		w.until(t, "jammed", journal.StepRetrying)
		resolve("jammed", "tickets.print", "skip", "step tickets.print is the pivot; retry it, or mark it done by hand. What fits now: tickets.print (retry, done).")
		resolve("jammed", "letters.send", "retry", "What fits now: tickets.print (retry, done).")
		resolve("jammed", "nothing", "retry", "What fits now: tickets.print (retry, done).")
		w.jam.Store(false)
		w.full.Store(true)
		w.begin(t, "full", mode, "Edda")
		w.until(t, "full", journal.IncidentOpened)
		resolve("full", "tickets.print", "skip", "What fits now: letters.send (retry, replace, skip, done).")
		w.full.Store(false)
	}
}

// What is behind the end of a journal never comes: not to wait for it is what tells a client that it holds another journal than the server.
func TestAWatchBehindTheEndOfTheJournalIsRefused(t *testing.T) {
	w := open(t)
	w.jam.Store(true)
	w.begin(t, "s", skald.Orchestrated, "Edda")
	w.until(t, "s", journal.StepDone)
	w.says(t, http.MethodGet, "/v1/sagas/s/watch", "", 422, "unusable-content", "header Last-Event-ID: the journal ends with event ", "Last-Event-ID: 4711")
	w.says(t, http.MethodGet, "/v1/sagas/s/watch?after=4711", "", 422, "unusable-content", "and 4711 was asked for: it is of another saga, or from before a backup was restored; ask from the first event on")
	w.jam.Store(false)
	w.ended(t, "s")
	w.says(t, http.MethodGet, "/v1/sagas/s/watch?after=4711", "", 422, "unusable-content", "query after: the journal ends with event ")
}

func TestWhatNoRouteTakesIsNotToldToStrangers(t *testing.T) {
	g := openGuarded(t)
	for _, x := range []struct {
		method, path string
		known        int
	}{{http.MethodGet, "/v1/nothing", 404}, {http.MethodGet, "/v1/", 404}, {http.MethodGet, "/", 404}, {http.MethodPost, "/livez", 405}, {http.MethodPut, "/v1/session", 405}, {http.MethodPatch, "/v1/sagas/s", 405}} {
		answer, p := g.problem(t, x.method, x.path, "")
		if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" || answer.Header.Get("Allow") != "" {
			t.Errorf("a stranger who asks %s %s is told %+v", x.method, x.path, p)
		}
		if answer, p = g.problem(t, x.method, x.path, "", g.as(access.Reader, own)); answer.StatusCode != x.known || x.known == 405 && answer.Header.Get("Allow") == "" {
			t.Errorf("somebody who asks %s %s is told %+v", x.method, x.path, p)
		}
	}
}

// The audit log is of changes. What only looks at what a change would do is none.
func TestAPreviewIsNoChange(t *testing.T) {
	g := openGuarded(t)
	everywhere := g.as(access.Admin, access.Everywhere)
	changes := func() (all []string) {
		_, body := g.request(t, http.MethodGet, "/v1/audit", "", everywhere)
		var page httpapi.ChangePage
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Changes {
			all = append(all, c.What)
		}
		return all
	}
	const trip = `{"skald":1,"name":"trip","steps":[{"kind":"pivot","action":"tickets.print","input":"/input"}]}`
	if answer, text := g.request(t, http.MethodPost, "/v1/bulk", `{"filter":{"unended":true},"verb":"cancel","reason":"a test","dry_run":true}`, everywhere); answer.StatusCode != http.StatusOK || !strings.Contains(string(text), `"dry_run":true`) {
		t.Errorf("%s %s", answer.Status, text)
	}
	if answer, text := g.request(t, http.MethodPost, "/v1/definitions?dry_run=true", trip, everywhere); answer.StatusCode != http.StatusOK {
		t.Errorf("%s %s", answer.Status, text)
	}
	const letter, decision = "/v1/dead-letters/unknown/replay?dry_run=", `{"reason":"a test"}`
	if answer, text := g.request(t, http.MethodPost, letter+"true", decision, everywhere); answer.StatusCode != http.StatusNotFound {
		t.Errorf("%s %s", answer.Status, text)
	}
	if all := changes(); len(all) > 0 {
		t.Errorf("the log has %q", all)
	}
	g.request(t, http.MethodPost, letter+"false", decision, everywhere)
	g.request(t, http.MethodPost, "/v1/bulk", `{"filter":{"unended":true},"verb":"cancel","reason":"a test","dry_run":true,"dry_run":false}`, everywhere)
	g.request(t, http.MethodPost, "/v1/bulk", `{"filter":{"unended":true},"verb":"cancel","dry_run":"yes"}`, everywhere)
	g.request(t, http.MethodPost, "/v1/definitions?dry_run=false", trip, everywhere)
	if all := changes(); !slices.Equal(all, []string{"registerDefinition", "actOnMany", "actOnMany", "replayDeadLetter"}) {
		t.Errorf("the log has %q", all)
	}
}

func TestAnEndpointIsToldOfDefinitionsThatThereAre(t *testing.T) {
	w := open(t)
	sender := w.idle(t)
	w.handler.Webhooks = sender
	w.says(t, http.MethodPut, "/v1/webhooks/crm", `{"url":"https://crm.example.org","definitions":["visit","vist"]}`, 422, "unusable-content",
		`body /definitions/1: no definition has the name "vist": there is visit. Register it first, or mend the name`)
	if all, err := sender.Endpoints(t.Context()); err != nil || len(all) > 1 {
		t.Errorf("it was kept: %+v, %v", all, err)
	}
	if answer, body := w.request(t, http.MethodPut, "/v1/webhooks/crm", `{"url":"https://crm.example.org","definitions":["visit"]}`); answer.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", answer.Status, body)
	}

	gone := openWith(t, nil, func(ec *skald.Config, c *httpapi.Config) {
		other := []skald.Registered{visit(t, "dinner")}
		ec.Sagas, c.Sagas, c.Remediation = append(ec.Sagas, other...), other, nil
	})
	gone.handler.Webhooks = sender // which tells of visit already
	if answer, body := gone.request(t, http.MethodPut, "/v1/webhooks/crm", `{"url":"https://crm2.example.org","definitions":["visit"]}`); answer.StatusCode != http.StatusOK {
		t.Errorf("one that is told of a definition already cannot be moved: %s %s", answer.Status, body)
	}
}
