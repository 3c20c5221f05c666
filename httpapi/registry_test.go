package httpapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

const tour = `skald: 1
name: tour
deadline: 5m
steps:
  - kind: compensatable
    action: buses.book
    compensation: buses.cancel
    input: {people: /input/people}
  - kind: pivot
    action: buses.leave
    input: {people: = input.people + 1}
`

// openWithRegistry is a world whose API takes definitions.
func openWithRegistry(t *testing.T, with ...func(*skald.Config, *httpapi.Config)) *world {
	t.Helper()
	var r *declarative.Registry
	w := open(t, func(ec *skald.Config, hc *httpapi.Config) {
		var err error
		if r, err = declarative.OpenRegistry(declarative.RegistryConfig{Folder: t.TempDir(), Others: ec.Participants}); err != nil {
			t.Fatal(err)
		}
		hc.Registry = r
		for _, change := range with {
			change(ec, hc)
		}
	})
	r.Attach(w.engine.Register)
	t.Cleanup(func() { _ = r.Close() })
	return w
}

func TestADefinitionIsRegisteredOverTheAPIAndRun(t *testing.T) {
	w := openWithRegistry(t)
	asked := make(chan string, 10)
	buses := httptest.NewServer(http.HandlerFunc(func(a http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a test
		asked <- r.URL.Path + " " + string(body)
		a.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(a, `{}`)
	}))
	t.Cleanup(buses.Close)

	var p *httpapi.Problem
	if _, _, err := w.client.Define(t.Context(), []byte(tour)); !errors.As(err, &p) || len(p.Errors) != 1 || p.Errors[0].Place != "body line 6, column 13" {
		t.Fatalf("without its participant: %v", err)
	}
	entered, err := w.client.Enter(t.Context(), "buses", httpapi.ParticipantAddress{URL: buses.URL, Level: "L2", Timeout: 5})
	if err != nil || !entered.Entered || entered.URL != buses.URL || entered.Timeout != 5 || entered.Level != "L2" {
		t.Fatalf("entered is %+v, %v", entered, err)
	}
	if d, err := w.client.Check(t.Context(), []byte(tour)); err != nil || d.Name != "tour" {
		t.Fatalf("checked is %+v, %v", d, err)
	}
	if _, err := w.client.Start(t.Context(), skald.StartRequest{Definition: "tour", Input: []byte(`{"people":3}`)}); !errors.Is(err, skald.ErrDefinition) {
		t.Fatalf("what was only checked was started: %v", err)
	}
	d, existed, err := w.client.Define(t.Context(), []byte(tour))
	if err != nil || existed || !d.Latest || d.Steps[0].Level != "L2" {
		t.Fatalf("defined is %+v, existed %t, %v", d, existed, err)
	}
	if again, existed, err := w.client.Define(t.Context(), []byte(tour)); err != nil || !existed || cmp.Diff(d, again) != "" {
		t.Fatalf("defined again is %+v, existed %t, %v", again, existed, err)
	}
	if _, err := w.client.Start(t.Context(), skald.StartRequest{ID: "t-1", Definition: "tour", Input: []byte(`{"people":3}`)}); err != nil {
		t.Fatal(err)
	}
	if s := w.ended(t, "t-1"); s.State != skald.Completed || s.Version != d.Version {
		t.Errorf("it ended as %s with version %s", s.State, s.Version)
	}
	close(asked)
	var got []string
	for a := range asked {
		got = append(got, a)
	}
	if diff := cmp.Diff([]string{`/operations/buses.book {"people":3}`, `/operations/buses.leave {"people":4}`}, got); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if err := w.client.RemoveParticipant(t.Context(), "buses"); !errors.Is(err, participant.ErrEntry) {
		t.Errorf("one that is named was removed: %v", err)
	}
}

// What does not fit a definition's schemas is answered with the places, whoever sends it: who starts a saga, and who gives a result by hand.
func TestPayloadsThatDoNotFitAreAnsweredWithTheirPlaces(t *testing.T) {
	w := openWithRegistry(t)
	closed := httptest.NewServer(http.HandlerFunc(func(a http.ResponseWriter, _ *http.Request) { a.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(closed.Close)
	if _, err := w.client.Enter(t.Context(), "buses", httpapi.ParticipantAddress{URL: closed.URL, Level: "L2"}); err != nil {
		t.Fatal(err)
	}
	const trip = `{"skald": 1, "name": "trip", "accepts": {"type": "object", "required": ["people"], "properties": {"people": {"type": "integer"}}}, "steps": [
		{"kind": "pivot", "action": "buses.leave", "input": "/input", "returns": {"type": "object", "properties": {"at": {"type": "string"}}}}]}`
	if _, _, err := w.client.Define(t.Context(), []byte(trip)); err != nil {
		t.Fatal(err)
	}
	for input, want := range map[string][]httpapi.Fault{
		`{"people":"Geheim"}`: {{Place: "body /people", Detail: "it is a text and must be an integer"}},
		`[]`:                  {{Place: "body", Detail: "it is an array and must be an object"}},
	} {
		answer, p := w.problem(t, http.MethodPost, "/v1/definitions/trip/sagas", input)
		if diff := cmp.Diff(want, p.Errors); diff != "" || answer.StatusCode != http.StatusUnprocessableEntity || p.Type != httpapi.ProblemPrefix+"payload-does-not-fit" {
			t.Errorf("%s: %+v (-want +got):\n%s", input, p, diff)
		}
	}
	if _, err := w.client.Start(t.Context(), skald.StartRequest{Definition: "trip", Input: []byte(`{}`)}); !errors.Is(err, skald.ErrMisfit) {
		t.Errorf("from Go: %v", err)
	}
	if _, err := w.client.Start(t.Context(), skald.StartRequest{ID: "trip-1", Definition: "trip", Input: []byte(`{"people":2}`)}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "trip-1", journal.StepRetrying)
	_, p := w.problem(t, http.MethodPost, "/v1/sagas/trip-1/resolve", `{"step":"buses.leave","verb":"done","by":"ada","reason":"it has left","payload":{"at":7}}`)
	if diff := cmp.Diff([]httpapi.Fault{{Place: "body /payload/at", Detail: "it is a number and must be a text"}}, p.Errors); diff != "" {
		t.Errorf("by hand: %+v (-want +got):\n%s", p, diff)
	}
	if err := w.client.Resolve(t.Context(), "trip-1", skald.Resolution{Step: "buses.leave", Verb: skald.VerbDone, By: "ada", Reason: "it has left", Payload: []byte(`{"at":"noon"}`)}); err != nil {
		t.Fatal(err)
	}
	if s := w.ended(t, "trip-1"); s.State != skald.Completed {
		t.Errorf("it ended as %s", s.State)
	}
}

func TestFaultsOfADefinitionComeWithTheirPlaces(t *testing.T) {
	w := openWithRegistry(t)
	_, p := w.problem(t, http.MethodPost, "/v1/definitions", strings.Replace(strings.Replace(tour, "deadline", "dedline", 1), "kind: pivot", "kind: privot", 1), "Content-Type: application/yaml")
	want := []httpapi.Fault{
		{Place: "body line 3, column 1", Detail: `"dedline" is not known here; did you mean "deadline"?`},
		{Place: "body line 9, column 11", Detail: `step buses.leave: it is "privot"; say compensatable, pivot, retriable or readonly`},
	}
	if diff := cmp.Diff(want, p.Errors); diff != "" || p.Status != http.StatusUnprocessableEntity || p.Type != httpapi.ProblemPrefix+"unusable-definition" {
		t.Errorf("%+v (-want +got):\n%s", p, diff)
	}
}

func TestWhatTheRegistryRefuses(t *testing.T) {
	w, without := openWithRegistry(t), open(t)
	for _, x := range []struct {
		in             *world
		method, path   string
		media, body    string
		status         int
		word, contains string
	}{
		{w, "POST", "/v1/definitions", "text/plain", tour, 415, "unsupported-media-type", "application/yaml"},
		{w, "POST", "/v1/definitions", "application/yaml", strings.Repeat("#", 300<<10), 413, "too-large", "split"},
		{w, "POST", "/v1/definitions?dry=true", "application/yaml", tour, 422, "unusable-content", "known are dry_run"},
		{without, "POST", "/v1/definitions", "application/yaml", tour, 404, "no-registry-here", "skald serve"},
		{without, "PUT", "/v1/participants/buses", "application/json", `{"level":"L2"}`, 404, "no-registry-here", "skald serve"},
		{w, "PUT", "/v1/participants/buses", "application/json", `{"level":"L3","url":"http://127.0.0.1:1"}`, 422, "unusable-content", "L2"},
		{w, "PUT", "/v1/participants/buses", "application/json", `{"level":"L2"}`, 409, "participant-cannot-be-entered", "buses has no URL: give one such as http://127.0.0.1:9001; or, "},
		{w, "PUT", "/v1/participants/seats", "application/json", `{"level":"L2","url":"http://127.0.0.1:1"}`, 409, "participant-cannot-be-entered", "part of this program"},
		{w, "DELETE", "/v1/participants/nobody", "application/json", ``, 404, "no-such-participant", "GET /v1/participants"},
		{w, "GET", "/v1/participants/nobody", "application/json", ``, 404, "no-such-participant", "there are letters, seats, tickets."},
	} {
		answer, p := x.in.problem(t, x.method, x.path, x.body, "Content-Type: "+x.media)
		text, _ := json.Marshal(p) // a struct of strings
		if answer.StatusCode != x.status || p.Type != httpapi.ProblemPrefix+x.word || !strings.Contains(string(text), x.contains) {
			t.Errorf("%s %s: %d %s", x.method, x.path, answer.StatusCode, text)
		}
	}
}
