package declarative_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

const parcelSchema = `{"type": "object", "required": ["weight", "to"], "additionalProperties": false, "properties": {
	"weight": {"type": "number", "exclusiveMinimum": 0},
	"to": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}}},
	"tags": {"type": "array", "maxItems": 2, "items": {"enum": ["fragile", "cold"]}},
	"way": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["road"]}]},
	"open": {"not": {"const": "Geheim"}}}}`

func TestPayloadsAreHeldAgainstTheirSchemas(t *testing.T) {
	check, err := declarative.Schemas{}.Compile([]byte(parcelSchema))
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[string][]skald.Misplaced{
		`{"weight": 1, "to": {"name": "Ada"}, "tags": ["cold"], "way": "x", "open": "yes"}`: nil,
		`{"weight": "Geheim", "to": {}}`:                                       {{At: "/to", Problem: "has no name"}, {At: "/weight", Problem: "is a text and must be a number"}},
		`{"weight": 0, "to": {"name": "geheim"}}`:                              {{At: "/to/name", Problem: `does not keep "pattern" of the schema`}, {At: "/weight", Problem: `does not keep "exclusiveMinimum" of the schema`}},
		`{"weight": 1, "to": {"name": "A"}, "Geheim": 1, "also": 2}`:           {{Problem: "has 2 members that the schema does not know"}},
		`{"weight": 1, "to": {"name": "A"}, "tags": ["cold", "Geheim"]}`:       {{At: "/tags/1", Problem: `does not keep "enum" of the schema`}},
		`{"weight": 1, "to": {"name": "A"}, "tags": ["cold", "cold", "cold"]}`: {{At: "/tags", Problem: `does not keep "maxItems" of the schema`}},
		`{"weight": 1, "to": {"name": "A"}, "way": 4711}`:                      {{At: "/way", Problem: "fits none, or more than one, of the alternatives"}},
		`{"weight": 1, "to": {"name": "A"}, "open": "Geheim"}`:                 {{At: "/open", Problem: "does not fit"}},
		`"Geheim"`: {{Problem: "is a text and must be an object"}},
		`{`:        {{Problem: "it is not JSON"}},
		`{"weight": {"skald.sealed": "1.a.x"}, "to": {"skald.sealed": "1.a.y"}}`: nil, // nobody here can see into it
		`{"skald.sealed": "1.a.x"}`: nil,
		`{"weight": "[redacted]", "to": {"name": "[redacted]"}, "tags": ["[redacted]"], "way": {"skald.sealed": "1.a.z"}}`: nil,
		`{"weight": {"skald.sealed": "1.a.x"}}`: {{Problem: "has no to"}},
	} {
		err := check([]byte(payload))
		var misfit *skald.Misfit
		switch {
		case want == nil && err != nil:
			t.Errorf("%s: %v", payload, err)
		case want == nil:
		case !errors.As(err, &misfit) || !errors.Is(err, skald.ErrMisfit) || strings.Contains(strings.ToLower(err.Error()), "geheim") || strings.Contains(err.Error(), "4711"):
			t.Errorf("%s: %v", payload, err)
		default:
			slices.SortFunc(misfit.Places, func(a, b skald.Misplaced) int { return strings.Compare(a.At, b.At) })
			if diff := cmp.Diff(want, misfit.Places); diff != "" {
				t.Errorf("%s (-want +got):\n%s", payload, diff)
			}
		}
	}
	many, err := declarative.Schemas{}.Compile([]byte(`{"items": {"type": "string"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var misfit *skald.Misfit
	if err := many([]byte("[" + strings.Repeat("1,", 1000) + "1]")); !errors.As(err, &misfit) || len(misfit.Places) != 10 {
		t.Errorf("of a thousand places it says %v", err)
	}
}

const courier = `skald: 1
name: parcel
accepts: {type: object, required: [weight], properties: {weight: {type: number}}}
steps:
  - kind: compensatable
    action: courier.take
    compensation: courier.return
    accepts: {type: object, required: [grams], properties: {grams: {type: number, maximum: 30000}}}
    returns: {type: object, required: [shelf], properties: {shelf: {type: integer}}}
    input: {grams: = input.weight * 1000.0}
    retry: {initial: 1ms, cap: 1ms, attempts: 3}
  - {kind: pivot, action: courier.send, input: /steps/courier.take}
`

// openCourier runs courier against a service that answers to courier.take with one result after the other, and says how often it was asked.
func openCourier(t *testing.T, results ...string) (e *skald.Engine, asked func() int) {
	t.Helper()
	calls := make(chan struct{}, 100)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		result := "null"
		if strings.HasSuffix(r.URL.Path, "courier.take") {
			result = results[min(len(calls), len(results)-1)]
			calls <- struct{}{}
		}
		_, _ = io.WriteString(w, result)
	}))
	t.Cleanup(service.Close)
	caller, err := httpparticipant.New(httpparticipant.Config{BaseURL: service.URL})
	if err != nil {
		t.Fatal(err)
	}
	return engineOf(t, caller), func() int { return len(calls) }
}

// engineOf runs courier in either mode with its one participant.
func engineOf(t *testing.T, courierService participant.Invoker) *skald.Engine {
	t.Helper()
	reader, err := declarative.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	d, err := reader.Read("parcel.yaml", []byte(courier))
	if err != nil {
		t.Fatal(err)
	}
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Broker: membroker.New(membroker.Config{}), Sagas: []skald.Registered{d}, Participants: map[string]skald.Participant{"courier": {Invoker: courierService, Level: participant.L2}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.WithoutCancel(t.Context())) })
	return e
}

func sent(t *testing.T, e *skald.Engine, id skald.SagaID, input string) skald.Status {
	t.Helper()
	return sentIn(t, e, id, input, skald.Orchestrated)
}

func sentIn(t *testing.T, e *skald.Engine, id skald.SagaID, input string, mode skald.Mode) skald.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := e.Start(ctx, skald.StartRequest{ID: id, Definition: "parcel", Input: []byte(input), Mode: mode}); err != nil {
		t.Fatal(err)
	}
	s, err := e.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// F25: an input that does not fit is refused before anything is kept, in both modes.
func TestF25_AnInputThatDoesNotFitIsRefused(t *testing.T) {
	e, _ := openCourier(t, `{}`)
	for _, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed} {
		var misfit *skald.Misfit
		if _, err := e.Start(t.Context(), skald.StartRequest{Definition: "parcel", Input: []byte(`{"weight":"Geheim"}`), Mode: mode}); !errors.As(err, &misfit) || misfit.Places[0].At != "/weight" || strings.Contains(err.Error(), "Geheim") {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if page, err := e.List(t.Context(), skald.Filter{}); err != nil || len(page.Sagas) != 0 {
		t.Errorf("%d sagas are kept (%v)", len(page.Sagas), err)
	}
}

// F25: a result that does not fit is none: the call is made again, and when no attempt is left the saga turns back, also over what may have been done.
func TestF25_AResultThatDoesNotFitIsUnknown(t *testing.T) {
	e, asked := openCourier(t, `{"shelf":"Geheim"}`, `{"shelf":7}`)
	if s := sent(t, e, "p-1", `{"weight":2}`); s.State != skald.Completed || asked() != 2 {
		t.Errorf("after one that does not fit it is %s (%s) with %d calls", s.State, s.Reason, asked())
	}
	e, asked = openCourier(t, `{"shelf":"Geheim"}`)
	s := sent(t, e, "p-2", `{"weight":2}`)
	if s.State != skald.Compensated || asked() != 3 {
		t.Errorf("when none fits it is %s (%s) with %d calls", s.State, s.Reason, asked())
	}
	events, err := e.Events(t.Context(), "p-2", 0)
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for i := range events {
		if strings.Contains(events[i].Detail, "/shelf is a text and must be an integer") {
			said++
		}
		if strings.Contains(events[i].Detail, "Geheim") {
			t.Errorf("the journal says what stands there: %s", events[i].Detail)
		}
	}
	if said == 0 {
		t.Errorf("the journal does not say why: %+v", events)
	}
}

// F25: it is the same in both modes for a participant in Go: what it did stands behind its barrier, whose answer fits no better the next time, and is undone once.
func TestF25_AResultInGoThatDoesNotFitIsUnknownInBothModes(t *testing.T) {
	for _, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed} {
		t.Run(string(mode), func(t *testing.T) {
			did := make(chan string, 100)
			e := openDesk(t, did)
			s := sentIn(t, e, "p-1", `{"weight":2}`, mode)
			if got := s.Step("courier.take"); s.State != skald.Compensated || s.Reason != "skald.retries_exhausted" || got.State != "undone" {
				t.Errorf("it is %s (%s), its step %s", s.State, s.Reason, got.State)
			}
			close(did)
			var all []string
			for what := range did {
				all = append(all, what)
			}
			if diff := cmp.Diff([]string{"take", "return"}, all); diff != "" {
				t.Errorf("the participant did (-want +got):\n%s", diff)
			}
			events, err := e.Events(t.Context(), "p-1", 0)
			if err != nil {
				t.Fatal(err)
			}
			misfits := 0
			for i := range events {
				if strings.Contains(events[i].Detail, "the result: the payload does not fit its schema: /shelf is a text and must be an integer") {
					misfits++
				}
				if strings.Contains(events[i].Detail+string(events[i].Payload), "Geheim") {
					t.Errorf("the journal says what stands there: %+v", events[i])
				}
			}
			if misfits != 3 { // two attempts that are made again, and the last, with which the step fails
				t.Errorf("the journal says %d times why: %+v", misfits, events)
			}
		})
	}
}

// openDesk runs courier with a participant in Go whose results do not fit. It says what took effect.
func openDesk(t *testing.T, did chan<- string) *skald.Engine {
	t.Helper()
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "desk.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	type shelf struct {
		Shelf string `json:"shelf"`
	}
	take := func(context.Context, participant.Tx, json.RawMessage) (shelf, error) {
		did <- "take"
		return shelf{"Geheim"}, nil
	}
	giveBack := func(context.Context, participant.Tx, json.RawMessage, shelf) error { did <- "return"; return nil }
	send := func(context.Context, participant.Tx, json.RawMessage) (any, error) { did <- "send"; return nil, nil }
	desk, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "courier", Log: slog.New(slog.DiscardHandler)},
		skald.HandleCompensatable(skald.Compensatable[json.RawMessage, shelf]("courier.take", "courier.return"), take, giveBack),
		skald.Handle(skald.Pivot[json.RawMessage, any]("courier.send"), send))
	if err != nil {
		t.Fatal(err)
	}
	return engineOf(t, desk)
}

// A step whose input does not fit is not called.
func TestAStepWhoseInputDoesNotFitIsNotCalled(t *testing.T) {
	e, asked := openCourier(t, `{"shelf":7}`)
	if s := sent(t, e, "p-1", `{"weight":31}`); s.State != skald.Compensated || asked() != 0 {
		t.Errorf("it is %s (%s) with %d calls", s.State, s.Reason, asked())
	}
}
