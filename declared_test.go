package skald_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

const parcel = `{
  "skald": 1, "name": "parcel", "deadline": "5m",
  "steps": [
    {"kind": "compensatable", "action": "depot.keep", "compensation": "depot.release", "after": [],
     "input": {"id": "/input/id", "weight": "/input/goods/weight", "note": "/input/note?"}},
    {"kind": "readonly", "action": "map.route", "after": [], "input": "/input/goods"},
    {"name": "go", "kind": "pivot", "action": "courier.go", "after": ["depot.keep", "map.route"],
     "input": {"shelf": "/steps/depot.keep/shelf", "way": "/steps/map.route", "a/b": "/steps/depot.keep/odd~1name"},
     "timeout": "3s", "retry": {"initial": "20ms", "cap": "1s"}}
  ]
}`

// recorder answers calls and keeps their inputs.
type recorder struct {
	answers map[string]string
	inputs  chan [2]string
}

// Invoke implements participant.Invoker.
func (r recorder) Invoke(_ context.Context, c participant.Call) participant.Answer {
	r.inputs <- [2]string{c.Operation, string(c.Input)}
	return participant.Answer{Class: participant.Done, Result: []byte(r.answers[c.Operation])}
}

func TestADeclaredDefinitionRunsWithTheInputsItSelects(t *testing.T) {
	d, err := skald.ReadDefinition([]byte(parcel))
	if err != nil {
		t.Fatal(err)
	}
	r := recorder{inputs: make(chan [2]string, 10), answers: map[string]string{
		"depot.keep": `{"shelf":7.10,"odd/name":[1,2]}`, "map.route": `"north"`, "courier.go": `null`,
	}}
	here := skald.Participant{Invoker: r, Level: participant.L2}
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{d},
		Participants: map[string]skald.Participant{"depot": here, "map": here, "courier": here}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.WithoutCancel(t.Context())) })
	input := json.RawMessage(`{"id":"p-1","goods":{"weight":12345678901234567890.5}}`)
	started, err := e.Start(t.Context(), skald.StartRequest{Definition: "parcel", Input: input})
	if err != nil {
		t.Fatal(err)
	}
	status, err := e.Wait(t.Context(), started.ID)
	if err != nil || status.State != "completed" {
		t.Fatalf("it ended as %s, %v", status.State, err)
	}
	close(r.inputs)
	got := map[string]string{}
	for in := range r.inputs {
		got[in[0]] = in[1]
	}
	want := map[string]string{
		"depot.keep": `{"id":"p-1","weight":12345678901234567890.5}`, "map.route": `{"weight":12345678901234567890.5}`,
		"courier.go": `{"a/b":[1,2],"shelf":7.10,"way":"north"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

func TestAStepWhoseInputIsMissingIsRefused(t *testing.T) {
	d, err := skald.ReadDefinition([]byte(parcel))
	if err != nil {
		t.Fatal(err)
	}
	r := recorder{inputs: make(chan [2]string, 10)}
	here := skald.Participant{Invoker: r, Level: participant.L2}
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{d},
		Participants: map[string]skald.Participant{"depot": here, "map": here, "courier": here}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.WithoutCancel(t.Context())) })
	started, err := e.Start(t.Context(), skald.StartRequest{Definition: "parcel", Input: json.RawMessage(`{"goods":{}}`)})
	if err != nil {
		t.Fatal(err)
	}
	status, err := e.Wait(t.Context(), started.ID)
	if err != nil || status.State != "compensated" {
		t.Fatalf("it ended as %s, %v", status.State, err)
	}
	if s := status.Step("depot.keep"); !strings.Contains(s.Detail, "there is nothing at /input/id; there is nothing at /input/goods/weight") {
		t.Errorf("the step says %q", s.Detail)
	}
}

// What docs/participants.md shows can be read.
func TestTheDocumentedDefinitionIsOne(t *testing.T) {
	page, err := os.ReadFile("docs/participants.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	text, _, found := strings.Cut(rest, "```")
	d, err := skald.ReadDefinition([]byte(text))
	if err != nil || !found {
		t.Fatalf("%v in %s", err, text)
	}
	var names []string
	for _, s := range d.Steps() {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"package.upsert", "map.route", "fly"}, names); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// The version is of what is said, not of how it is written; and of the mappings, too.
func TestTheVersionOfADeclaredDefinition(t *testing.T) {
	version := func(text string) string {
		d, err := skald.ReadDefinition([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return d.Version()
	}
	first := version(parcel)
	if want := "f82fca71ab57559d"; first != want { // durable: running sagas have it
		t.Errorf("the version is %s, want %s", first, want)
	}
	respelled := strings.ReplaceAll(strings.Replace(parcel, `"id": "/input/id", "weight": "/input/goods/weight"`, `"weight": "/input/goods/weight", "id": "/input/id"`, 1), "\n", " ")
	if got := version(respelled); got != first {
		t.Errorf("written otherwise the version is %s, and was %s", got, first)
	}
	for _, other := range []string{
		strings.Replace(parcel, "/input/goods/weight", "/input/weight", 1),
		strings.Replace(parcel, `"5m"`, `"5m", "on_reason": [{"reason": "skald.retries_exhausted", "meaning": "nobody answered", "does": "replay", "budget": 2, "pause": "1s"}]`, 1),
		strings.Replace(parcel, `"5m"`, `"6m"`, 1),
		strings.Replace(parcel, `"name": "parcel"`, `"name": "parcel", "revision": "b"`, 1),
	} {
		if version(other) == first {
			t.Errorf("this has the same version: %s", other)
		}
	}
}

func TestEveryFaultOfADeclaredDefinitionIsSaid(t *testing.T) {
	_, err := skald.ReadDefinition([]byte(`{"skald": 1, "name": "parcel", "on_reason": [{"reason": "X", "meaning": "x", "does": "nothing"}], "steps": [
		{"kind": "compensable", "action": "a.b", "input": "/input"},
		{"kind": "readonly", "action": "c.d", "compensation": "c.undo", "input": {"x": "input/x"}},
		{"kind": "compensatable", "action": "e.f", "compensation": "e.g", "stored": true, "compensation_retry": {"attempts": 3}, "input": "/steps/nobody/x"},
		{"kind": "readonly", "action": "h.i"},
		{"kind": "readonly", "action": "j.k", "input": "/input/x?"}]}`))
	var faults interface{ Unwrap() []error }
	if !errors.As(err, &faults) {
		t.Fatalf("the error is %v", err)
	}
	for _, want := range []string{
		`on_reason "X" does "nothing"; say compensate, replay or go on`, `step a.b: its kind is "compensable"; say compensatable`, `step c.d: it has a compensation`, `step c.d: its input names the place "input/x", which is none`,
		`step e.f: stored is for readonly steps`, `step e.f: it limits the attempts of its compensation`, `step e.f: it follows or reads "nobody"`,
		`step h.i: nothing says what its input is`, `step j.k: its whole input is "/input/x?", which may be missing`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said in:\n%v", want, err)
		}
	}
}

func TestWhatIsNoDeclaredDefinitionIsRefusedWithTheMend(t *testing.T) {
	for text, want := range map[string]string{
		`{"skald": 2, "name": "x"}`:                      "begin it with \"skald\": 1",
		`{"skald": 1, "nam": "x"}`:                       `unknown field "nam"`,
		`{"skald": 1, "name": "x"} {}`:                   "put each definition into a file of its own",
		`{"skald": 1, "deadline": "5 minutes"}`:          "write it as 10s, 1m30s or 2h",
		`{"skald": 1, "steps": [{"input": 7}]}`:          "an input is neither a place",
		`{"skald": 1, "steps": [{"input": {"x": [1]}}]}`: "an input is neither a place",
		``: "cannot be read",
	} {
		if _, err := skald.ReadDefinition([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q in it", text, err, want)
		}
	}
}
