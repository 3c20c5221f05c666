package skald_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/internal/waits"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/store/memstore"
)

// secret is what nobody may find who does not have to know it.
const secret = "Geheim"

const guarded = `{"skald": 1, "name": "evening", "on_reason": [{"reason": "Desk.Busy", "meaning": "too much to do", "does": "replay", "budget": 1, "pause": "5m"}], "steps": [
  {"kind": "compensatable", "action": "desk.take", "compensation": "desk.give", "input": "/input", "retry": {"initial": "1ms", "cap": "1ms", "attempts": 2}, "reasons": ["Desk.Busy"]},
  {"kind": "pivot", "action": "desk.print", "input": {"number": "/steps/desk.take/number"}},
  {"kind": "retriable", "action": "desk.send", "input": {"number": "/steps/desk.take/number"}}]}`

var notKept = skald.Redactions{"evening": {Input: []string{"/card"}, Steps: map[string]skald.StepRedaction{
	"desk.take":  {Result: []string{"/pin"}, Words: true},
	"desk.print": {Words: true},
	"desk.send":  {Input: []string{"/card"}, Result: []string{"/receipt"}, Words: true},
}}}

// indiscreet is a participant that says the secret wherever it can, and what it was asked.
type indiscreet struct {
	*sqlparticipant.Participant
	db    *sql.DB
	mu    sync.Mutex
	asked []string
	says  map[string]error // by operation
}

func openIndiscreet(t *testing.T) *indiscreet {
	t.Helper()
	x := &indiscreet{says: map[string]error{}}
	db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "desk.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	x.db = db
	do := func(operation, result string) participant.Handler {
		return participant.Handler{Action: operation, Kind: participant.Retriable, Do: func(_ context.Context, _ participant.Tx, input []byte) ([]byte, error) {
			return []byte(result), x.ask(operation, string(input))
		}}
	}
	take, sheet := do("desk.take", `{"number":7,"pin":"`+secret+`"}`), do("desk.print", `{}`)
	take.Kind, take.Compensation, sheet.Kind = participant.Compensatable, "desk.give", participant.Pivot
	take.Undo = func(_ context.Context, _ participant.Tx, _, result []byte) error {
		return x.ask("desk.give", string(result))
	}
	if x.Participant, err = sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "desk", Log: slog.New(slog.DiscardHandler)},
		take, sheet, do("desk.send", `{"receipt":"`+secret+`"}`)); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *indiscreet) ask(operation, with string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked = append(x.asked, operation+" "+with)
	return x.says[operation]
}

// answers says what an operation says from now on, and forgets what was asked.
func (x *indiscreet) answers(operation string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.says[operation], x.asked = err, nil
}

func (x *indiscreet) was() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.asked)
}

// openGuarded opens an engine that keeps nothing of the secret.
func openGuarded(t *testing.T, b broker.Broker, desk skald.Participant) *skald.Engine {
	t.Helper()
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Broker: b, Mode: skald.Choreographed, Sagas: []skald.Registered{declaredSaga(t, guarded)}, Redact: notKept,
		Participants: map[string]skald.Participant{"desk": desk}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.WithoutCancel(t.Context())) })
	return e
}

func declaredSaga(t *testing.T, text string) *skald.Declared {
	t.Helper()
	d, err := skald.ReadDefinition([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func startGuarded(t *testing.T, e *skald.Engine, id skald.SagaID, mode skald.Mode) {
	t.Helper()
	if _, err := e.Start(t.Context(), skald.StartRequest{ID: id, Definition: "evening", Input: []byte(`{"show":"Edda","card":"` + secret + `"}`), Mode: mode}); err != nil {
		t.Fatal(err)
	}
}

// wantNoSecret looks into all that is kept of a saga, and says what has the secret.
func wantNoSecret(t *testing.T, e *skald.Engine, id skald.SagaID) {
	t.Helper()
	events, err := e.Events(t.Context(), id, 0)
	if err != nil || len(events) < 2 {
		t.Fatalf("%s has %d events, %v", id, len(events), err)
	}
	s, err := e.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(shown), secret) {
		t.Errorf("%s is shown as %s", id, shown)
	}
	for i := range events {
		if strings.Contains(string(events[i].Payload)+events[i].Detail, secret) {
			t.Errorf("%s, event %d (%s): %s %s", id, i, events[i].Kind, events[i].Payload, events[i].Detail)
		}
	}
}

func incident(t *testing.T, e *skald.Engine, id skald.SagaID) {
	t.Helper()
	waits.Until(t, patience, "an incident", func() bool {
		s, err := e.Status(t.Context(), id)
		return err == nil && len(s.Incidents) > 0
	})
}

// What is named is not kept of anything that comes in, in either mode: of a start, results, refusals, errors, and what operators give. The saga goes on, and its compensation has what it needs.
func TestWhatIsNotKeptIsNowhere(t *testing.T) {
	for _, mode := range bothModes {
		t.Run(string(mode), func(t *testing.T) {
			x, b := openIndiscreet(t), membroker.New(membroker.Config{})
			e := openGuarded(t, b, skald.Participant{Invoker: x.Participant, Level: participant.L2, Failures: -1})
			x.answers("desk.send", skald.Refuse("Desk.Shut", secret))
			startGuarded(t, e, "replaced", mode)
			incident(t, e, "replaced")
			wantNoSecret(t, e, "replaced")
			x.answers("desk.send", nil)
			if err := e.Resolve(t.Context(), "replaced", skald.Resolution{Step: "desk.send", Verb: skald.VerbReplace, By: "ann", Reason: "they called", Payload: []byte(`{"number":8,"card":"` + secret + `"}`)}); err != nil {
				t.Fatal(err)
			}
			if s := ended(t, e, "replaced"); s.State != skald.Completed || string(s.Step("desk.send").Result) != `{"receipt":"[redacted]"}` {
				t.Errorf("it is %s, with %s", s.State, s.Step("desk.send").Result)
			}
			if diff := cmp.Diff([]string{`desk.send {"card":"[redacted]","number":8}`}, x.was()); diff != "" {
				t.Errorf("after the decision it was asked (-want +got):\n%s", diff)
			}
			x.answers("desk.send", skald.Refuse("Desk.Shut", secret))
			startGuarded(t, e, "done", mode)
			incident(t, e, "done")
			if err := e.Resolve(t.Context(), "done", skald.Resolution{Step: "desk.send", Verb: skald.VerbDone, By: "ann", Reason: "by hand", Payload: []byte(`{"receipt":"` + secret + `"}`)}); err != nil {
				t.Fatal(err)
			}
			if s := ended(t, e, "done"); s.State != skald.Completed {
				t.Errorf("it is %s", s.State)
			}
			x.answers("desk.print", skald.Refuse("Desk.NoPaper", secret))
			startGuarded(t, e, "undone", mode)
			if s := ended(t, e, "undone"); s.State != skald.Compensated || s.Reason != "Desk.NoPaper" {
				t.Errorf("it is %s (%s)", s.State, s.Reason)
			}
			want := []string{`desk.take {"card":"[redacted]","show":"Edda"}`, `desk.print {"number":7}`, `desk.give {"number":7,"pin":"` + secret + `"}`}
			if diff := cmp.Diff(want, x.was()); diff != "" {
				t.Errorf("it was asked (-want +got):\n%s", diff)
			}
			x.answers("desk.take", errors.New(secret))
			startGuarded(t, e, "failed", mode)
			for _, id := range []skald.SagaID{"replaced", "done", "undone", "failed"} {
				ended(t, e, id)
				wantNoSecret(t, e, id)
			}
			if mode == skald.Choreographed {
				wantNoneOnBroker(t, b)
			}
		})
	}
}

// wantNoneOnBroker looks through the tokens of all sagas.
func wantNoneOnBroker(t *testing.T, b broker.Broker) {
	t.Helper()
	tokens, err := b.Read(t.Context(), "skald-tokens", "**")
	if err != nil || len(tokens) < 10 {
		t.Fatalf("%d tokens, %v", len(tokens), err)
	}
	for i := range tokens {
		if text, err := json.Marshal(tokens[i]); err != nil || strings.Contains(string(tokens[i].Data)+string(text), secret) {
			t.Errorf("%s: %s (%v)", tokens[i].ID, tokens[i].Data, err)
		}
	}
}

// A service elsewhere may not leave anything out: then what it tells lies on the broker, and still gets into no journal, and is not shown with a dead letter.
func TestWhatOthersTellIsNotKept(t *testing.T) {
	x, b := openIndiscreet(t), membroker.New(membroker.Config{})
	e := openGuarded(t, b, skald.Participant{Level: participant.L2})
	service, err := skald.Serve(t.Context(), skald.ServiceConfig{Broker: b, Name: "desk", Desk: x.Participant, Sagas: []skald.Registered{declaredSaga(t, guarded)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Stop(context.WithoutCancel(t.Context())) })
	letters, err := skald.Remediate(t.Context(), skald.RemediationConfig{Broker: b, Sagas: []skald.Registered{declaredSaga(t, guarded)}, Redact: notKept})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = letters.Stop(context.WithoutCancel(t.Context())) })
	x.answers("desk.print", skald.Refuse("Desk.NoPaper", secret))
	startGuarded(t, e, "undone", skald.Choreographed)
	ended(t, e, "undone")
	wantNoSecret(t, e, "undone")
	x.answers("desk.take", skald.Later("Desk.Busy", 0, secret))
	startGuarded(t, e, "busy", skald.Choreographed)
	var page broker.LetterPage
	waits.Until(t, patience, "a dead letter", func() bool {
		page, err = letters.Letters(t.Context(), broker.LetterFilter{Saga: "busy"})
		return err == nil && len(page.Letters) == 1
	})
	letter, err := letters.Letter(t.Context(), page.Letters[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []broker.DeadLetter{letter, page.Letters[0]} {
		if text, err := json.Marshal(l); err != nil || strings.Contains(string(text)+string(l.Message.Data), secret) || l.Description != skald.Redacted || l.Reason != "Desk.Busy" {
			t.Errorf("the letter is shown as %s (%v)", text, err)
		}
	}
	wantNoSecret(t, e, "busy")
}

// Late answers are held against what is kept: one that only repeats what was left out contradicts nothing, and of one that contradicts the same is left out.
func TestLateAnswersAreKeptWithoutWhatIsNotKept(t *testing.T) {
	x := openIndiscreet(t)
	e := openGuarded(t, membroker.New(membroker.Config{}), skald.Participant{Invoker: x.Participant, Level: participant.L2, Failures: -1})
	startGuarded(t, e, "s-1", skald.Orchestrated)
	if s := ended(t, e, "s-1"); s.State != skald.Completed {
		t.Fatalf("it is %s", s.State)
	}
	before, err := e.Events(t.Context(), "s-1", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []participant.Answer{
		{Class: participant.Done, Result: []byte(`{"number":7,"pin":"` + secret + `"}`)},
		{Class: participant.Done, Result: []byte(`{"pin":"` + secret + `, again","number":7}`)},
	} {
		if err := e.AnsweredLate(t.Context(), "s-1", "desk.take", a); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := e.Events(t.Context(), "s-1", 0); err != nil || len(after) != len(before) {
		t.Errorf("what only repeats is recorded: %v, %v", after[len(before):], err)
	}
	for step, a := range map[string]participant.Answer{
		"desk.take":  {Class: participant.Done, Result: []byte(`{"number":8,"pin":"` + secret + `"}`)},
		"desk.print": {Class: participant.Refused, Reason: "Desk.NoPaper", Detail: secret},
	} {
		if err := e.AnsweredLate(t.Context(), "s-1", step, a); err != nil {
			t.Fatal(err)
		}
	}
	s, err := e.Status(t.Context(), "s-1")
	if err != nil || len(s.Incidents) != 2 || s.Incidents[0].Reason != journal.ReasonContradiction || s.Incidents[1].Reason != journal.ReasonContradiction {
		t.Errorf("it shows %+v, %v", s.Incidents, err)
	}
	wantNoSecret(t, e, "s-1")
}

// A participant that has forgotten what it did before its saga ended says so, in either mode, instead of leaving the effect where it is.
func TestWhatWasForgottenTooEarlyIsAnIncident(t *testing.T) {
	for _, mode := range bothModes {
		t.Run(string(mode), func(t *testing.T) {
			x := openIndiscreet(t)
			e := openGuarded(t, membroker.New(membroker.Config{}), skald.Participant{Invoker: x.Participant, Level: participant.L2, Failures: -1})
			x.answers("desk.print", skald.Later("Desk.Wait", 10*time.Millisecond, "the printer is held"))
			startGuarded(t, e, "s-1", mode)
			waits.Until(t, patience, "the printer is asked", func() bool {
				s, err := e.Status(t.Context(), "s-1")
				return err == nil && s.Step("desk.print").State == journal.StepStateRetrying
			})
			if _, err := x.db.ExecContext(t.Context(), `DELETE FROM skald_barrier`); err != nil { // as Prune does when the retention is too short
				t.Fatal(err)
			}
			x.answers("desk.print", skald.Refuse("Desk.NoPaper", "no paper"))
			incident(t, e, "s-1")
			s, err := e.Status(t.Context(), "s-1")
			if err != nil || s.State != skald.Compensating || s.Incidents[0].Step != "desk.take" || s.Incidents[0].Reason != participant.ReasonForgotten {
				t.Errorf("it is %s with %+v, %v", s.State, s.Incidents, err)
			}
			if was := x.was(); slices.ContainsFunc(was, func(what string) bool { return strings.HasPrefix(what, "desk.give") }) {
				t.Errorf("it was asked %v", was)
			}
		})
	}
}

// What the saga needs to go on or to be undone cannot be left out, and a step that is not there is a typing mistake.
func TestWhatASagaNeedsHasToBeKept(t *testing.T) {
	x := openIndiscreet(t)
	for why, redact := range map[string]skald.Redaction{
		"step desk.print is made of it": {Steps: map[string]skald.StepRedaction{"desk.take": {Result: []string{"/number"}}}},
		"it is not L2":                  {Steps: map[string]skald.StepRedaction{"desk.take": {Result: []string{"/pin"}}}},
		"no version of the definition":  {Steps: map[string]skald.StepRedaction{"desk.tkae": {Words: true}}},
	} {
		_, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{declaredSaga(t, guarded)}, Redact: skald.Redactions{"evening": redact},
			Participants: map[string]skald.Participant{"desk": {Invoker: x.Participant, Level: participant.L1}}})
		var faults *skald.Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", why, err)
		}
	}
	e, err := skald.Open(t.Context(), skald.Config{Store: memstore.New(), Sagas: []skald.Registered{declaredSaga(t, strings.Replace(guarded, "evening", "morning", 1))}, Redact: skald.Redactions{"evening": {Steps: map[string]skald.StepRedaction{"desk.take": {Result: []string{"/number"}}}}},
		Participants: map[string]skald.Participant{"desk": {Invoker: x.Participant, Level: participant.L2}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Stop(context.WithoutCancel(t.Context())) }()
	if err := e.Register(t.Context(), []skald.Registered{declaredSaga(t, guarded)}, nil); err == nil || !strings.Contains(err.Error(), "step desk.print is made of it") {
		t.Errorf("a definition that is registered later: %v", err)
	}
}

func TestRedactionsAreReadFromText(t *testing.T) {
	got, err := skald.ReadRedactions("visit:/card/cvv", "visit:/pin", "visit:card.charge:result:/pan", "visit:card.charge:input:/card", "visit:card.charge:words", "shop.order:/a:b")
	if err != nil {
		t.Fatal(err)
	}
	want := skald.Redactions{
		"visit":      {Input: []string{"/card/cvv", "/pin"}, Steps: map[string]skald.StepRedaction{"card.charge": {Input: []string{"/card"}, Result: []string{"/pan"}, Words: true}}},
		"shop.order": {Input: []string{"/a:b"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, line := range []string{"", "visit", "/card", "visit:card", "visit:card.charge", "visit:card.charge:result", "visit:card.charge:result:pan", "visit::words", "visit:card.charge:words:/x", "visit:card.charge:error:/x", "vi sit:/card"} {
		if _, err := skald.ReadRedactions("visit:/card", line); err == nil || !strings.HasPrefix(err.Error(), line+": write ") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
