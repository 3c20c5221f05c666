package httpapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store/memstore"
)

func TestADefinitionIsShownWithItsGraph(t *testing.T) {
	w := open(t)
	all, err := w.client.Definitions(t.Context())
	if diff := cmp.Diff([]httpapi.DefinitionSummary{{Name: "visit", Version: w.saga.Version(), Latest: true, Steps: 3}}, all); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	d, err := w.client.Definition(t.Context(), "visit", "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]httpapi.Edge{{From: "seats.reserve", To: "tickets.print", Data: true}, {From: "tickets.print", To: "letters.send", Data: true}}, d.Edges); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	want := httpapi.DefinitionStep{
		Name: "seats.reserve", Kind: "compensatable", Action: "seats.reserve", Compensation: "seats.release", Participant: "seats", Level: "L2", After: []string{}, Reads: []string{},
		Input: "{show:string}", Output: "{number:int}", Timeout: 10, Retry: httpapi.Retry{Initial: 0.005, Factor: 2, Jitter: 0.2, Cap: 0.02, Attempts: 2},
		CompensationRetry: &httpapi.Retry{Initial: 0.1, Factor: 2, Jitter: 0.2, Cap: 300}, Events: httpapi.Events{Success: "SeatReserved", Failure: "SeatRefused"},
		Reasons: []string{"Seats.SoldOut", "Seats.Held"},
	}
	if diff := cmp.Diff(want, d.Steps[0]); diff != "" {
		t.Errorf("the first step (-want +got):\n%s", diff)
	}
	remedies := []httpapi.Remedy{{Reason: "Seats.Held", Meaning: "somebody else is choosing seats", Does: "replay", Budget: 1, Pause: 300}, {Reason: "Seats.SoldOut", Meaning: "every seat is taken", Does: "compensate"}}
	if diff := cmp.Diff(remedies, d.Remedies); diff != "" || d.Deadline != 600 || d.IncidentAfter != 30 || d.Flow != w.saga.Flow() || d.Sequence != w.saga.Sequence() {
		t.Errorf("%+v\n%s", d, diff)
	}
	answer, _ := w.request(t, http.MethodGet, "/v1/definitions/visit?version="+w.saga.Version(), "")
	if again, _ := w.request(t, http.MethodGet, "/v1/definitions/visit", "", "If-None-Match: "+answer.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("asked again it is answered with %s", again.Status)
	}
	if _, err := w.client.Definition(t.Context(), "dinner", ""); !errors.Is(err, skald.ErrDefinition) {
		t.Errorf("one that is not there gives %v", err)
	}
}

// Of several versions the last is what a start gets, and the others are there by their version.
func TestVersionsOfADefinition(t *testing.T) {
	versions := make([]skald.Registered, 2)
	for i := range versions {
		text := fmt.Sprintf(`{"skald":1,"name":"parcel","revision":"%d","steps":[{"kind":"readonly","action":"map.route","after":[],"input":"/input"}]}`, i)
		d, err := skald.ReadDefinition([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		versions[i] = d
	}
	w := open(t, func(_ *skald.Config, c *httpapi.Config) { c.Sagas = slices.Concat(versions, c.Sagas) })
	for i, want := range map[string]string{"": "1", versions[0].Version(): "0", versions[1].Version(): "1"} {
		d, err := w.client.Definition(t.Context(), "parcel", i)
		if err != nil || !strings.HasPrefix(d.Revision, want+" ") || d.Latest != (want == "1") {
			t.Errorf("version %q is %+v, %v", i, d, err)
		}
	}
}

// What a bulk verb would do is what it then does.
func TestABulkVerbDoesWhatItsDryRunSays(t *testing.T) {
	w := open(t)
	w.full.Store(true)
	for i := range 6 {
		w.begin(t, skald.SagaID(fmt.Sprintf("post-%d", i)), bothModes[i%2], "Edda")
	}
	for i := range 6 {
		w.until(t, skald.SagaID(fmt.Sprintf("post-%d", i)), journal.IncidentOpened)
	}
	w.begin(t, "other", skald.Orchestrated, "sold out")
	w.ended(t, "other")
	w.full.Store(false)
	ask := httpapi.Bulk{Filter: httpapi.Filter{Definition: "visit"}, Verb: skald.VerbRetry, By: "ada", Reason: "the box was emptied", DryRun: true, Limit: 4}
	retry := func() (done []string) {
		b := ask
		for {
			r, err := w.client.Bulk(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Results) > 4 || r.Acted+r.Left+r.Failed != len(r.Results) || r.Failed > 0 {
				t.Errorf("%+v", r)
			}
			for _, x := range r.Results {
				done = append(done, fmt.Sprintf("%s %s %s", x.ID, x.Outcome, strings.Join(x.Steps, ",")))
			}
			if b.Cursor = r.Next; b.Cursor == "" {
				return done
			}
		}
	}
	would := retry()
	if s, err := w.engine.Status(t.Context(), "post-0"); err != nil || len(s.Incidents) != 1 {
		t.Errorf("after a dry run the incident is %+v, %v", s.Incidents, err)
	}
	ask.DryRun = false
	did := retry()
	want := []string{"other nothing "}
	for i := range 6 {
		want = append(want, fmt.Sprintf("post-%d would letters.send", i))
	}
	slices.Sort(would)
	if diff := cmp.Diff(want, would); diff != "" {
		t.Errorf("the dry run (-want +got):\n%s", diff)
	}
	slices.Sort(did)
	if diff := cmp.Diff(want, strings.Split(strings.ReplaceAll(strings.Join(did, "|"), "done", "would"), "|")); diff != "" {
		t.Errorf("the run (-want +got):\n%s", diff)
	}
	for i := range 6 {
		id := skald.SagaID(fmt.Sprintf("post-%d", i))
		if s := w.ended(t, id); s.State != skald.Completed {
			t.Errorf("%s is %s", id, s.State)
		}
		if e := w.until(t, id, journal.IncidentResolved); e.By != "ada" || e.Detail != "the box was emptied" {
			t.Errorf("%s: %+v", id, e)
		}
	}
}

func TestABulkCancelLeavesWhatCannotTurnBack(t *testing.T) {
	w := open(t)
	w.jam.Store(true)
	w.begin(t, "passed", skald.Orchestrated, "Edda")
	eventually(t, "the printer is asked", func() bool {
		s, err := w.client.Status(t.Context(), "passed")
		return err == nil && s.Step("tickets.print").State == journal.StepStateRetrying
	})
	w.held.Store(true)
	for _, mode := range bothModes {
		w.begin(t, skald.SagaID("waits-"+mode), mode, "Edda")
		eventually(t, "a seat is asked for", func() bool {
			s, err := w.client.Status(t.Context(), skald.SagaID("waits-"+mode))
			return err == nil && s.Step("seats.reserve").State != journal.StepStateWaiting
		})
	}
	for _, dry := range []bool{true, false} {
		r, err := w.client.Bulk(t.Context(), httpapi.Bulk{Filter: httpapi.Filter{Unended: true}, Verb: httpapi.VerbCancel, By: "ada", Reason: "closing", DryRun: dry})
		if err != nil || r.Acted != 2 || r.Left != 1 || r.Failed != 0 || r.DryRun != dry {
			t.Errorf("dry %v: %+v, %v", dry, r, err)
		}
	}
	for _, mode := range bothModes {
		if s := w.ended(t, skald.SagaID("waits-"+mode)); s.State != skald.Compensated {
			t.Errorf("%s is %s", s.ID, s.State)
		}
	}
	w.jam.Store(false)
	if s := w.ended(t, "passed"); s.State != skald.Completed {
		t.Errorf("the one that had passed is %s", s.State)
	}
}

// Dead letters are read, replayed, given up and compensated over the API, and it is kept by whom.
func TestDeadLettersAreSettled(t *testing.T) {
	w := open(t)
	w.held.Store(true)
	set := map[string]httpapi.Letter{}
	for _, id := range []string{"replay", "compensate", "discard"} {
		w.begin(t, skald.SagaID(id), skald.Choreographed, "Edda")
		set[id] = w.letter(t, skald.SagaID(id))
	}
	l, err := w.client.Letter(t.Context(), set["replay"].ID)
	if err != nil {
		t.Fatal(err)
	}
	if l.Reason != "Seats.Held" || l.Meaning != "somebody else is choosing seats" || l.Remedy != "replay" || l.State != broker.Waiting || l.Saga != "replay" || l.Step != "seats.reserve" ||
		l.Stale || l.Message == nil || l.Message.Headers["ce-skalddefinition"] != "visit" || l.First.At.IsZero() || set["replay"].Message != nil {
		t.Errorf("the letter is %+v", l)
	}
	w.held.Store(false)
	if l, err = w.client.CheckReplay(t.Context(), set["replay"].ID); err != nil || l.State != broker.Waiting || l.Replays != 0 || l.Note != "" {
		t.Errorf("after a dry run it is %+v, %v", l, err)
	}
	if l, err = w.client.ReplayLetter(t.Context(), set["replay"].ID, "ada", "they have chosen"); err != nil || l.State != broker.Replayed || l.Note != "ada: they have chosen" {
		t.Errorf("replayed it is %+v, %v", l, err)
	}
	if s := w.ended(t, "replay"); s.State != skald.Completed {
		t.Errorf("the replayed saga is %s", s.State)
	}
	if _, err = w.client.CompensateLetter(t.Context(), set["compensate"].ID, "ada", "enough"); err != nil {
		t.Error(err)
	}
	if s := w.ended(t, "compensate"); s.State != skald.Compensated {
		t.Errorf("the compensated saga is %s", s.State)
	}
	if l, err = w.client.DiscardLetter(t.Context(), set["discard"].ID, "ada", "mistaken"); err != nil || l.State != broker.Discarded {
		t.Errorf("discarded it is %+v, %v", l, err)
	}
	if _, err = w.client.ReplayLetter(t.Context(), set["discard"].ID, "ada", "no"); !errors.Is(err, broker.ErrSettled) {
		t.Errorf("a replay after that gives %v", err)
	}
	if _, err = w.client.Letter(t.Context(), "0123456789abcdef0123456789abcdef"); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("a letter of nobody's gives %v", err)
	}
	page, err := w.client.Letters(t.Context(), broker.LetterFilter{State: broker.Discarded, Reason: "Seats.Held", Limit: 5})
	if err != nil || len(page.Letters) != 1 || page.Letters[0].ID != set["discard"].ID || page.End == "" {
		t.Errorf("discarded are %+v, %v", page, err)
	}
	for path, place := range map[string]string{"state=lost": "query state", "cursor=x": "cursor", "limit=many": "query limit"} {
		if answer, p := w.problem(t, http.MethodGet, "/v1/dead-letters?"+path, ""); answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(p.Error(), place) {
			t.Errorf("%s gives %v", path, p.Error())
		}
	}
	if err := w.client.Cancel(t.Context(), "discard", "ada", "its letter is gone"); err != nil {
		t.Error(err)
	}
	w.ended(t, "discard")
}

// The letter of a saga that has ended is not replayed, and says why.
func TestADeadLetterOfAFinishedSagaIsStale(t *testing.T) {
	w := open(t)
	w.held.Store(true)
	w.begin(t, "late", skald.Choreographed, "Edda")
	l := w.letter(t, "late")
	if err := w.client.Cancel(t.Context(), "late", "ada", "enough"); err != nil {
		t.Fatal(err)
	}
	w.ended(t, "late")
	_, dry := w.client.CheckReplay(t.Context(), l.ID)
	_, replayed := w.client.ReplayLetter(t.Context(), l.ID, "ada", "they have chosen")
	for _, err := range []error{dry, replayed} {
		if !errors.Is(err, skald.ErrStale) || !strings.Contains(err.Error(), "late is compensated") {
			t.Errorf("a replay gives %v", err)
		}
	}
	if l, err := w.client.Letter(t.Context(), l.ID); err != nil || !l.Stale || l.State != broker.Waiting {
		t.Errorf("the letter is %+v, %v", l, err)
	}
	answer, p := w.problem(t, http.MethodPost, "/v1/dead-letters/"+l.ID+"/replay", `{"by":"ada","reason":"no"}`)
	if answer.StatusCode != http.StatusConflict || p.Type != httpapi.ProblemPrefix+"dead-letter-stale" || !strings.Contains(p.Detail, "discard the letter") {
		t.Errorf("%d %+v", answer.StatusCode, p)
	}
	if l, err := w.client.DiscardLetter(t.Context(), l.ID, "ada", "it ended"); err != nil || l.State != broker.Discarded {
		t.Errorf("discarded it is %+v, %v", l, err)
	}
}

func TestWithoutARemediationThereAreNoDeadLetters(t *testing.T) {
	w := open(t, func(_ *skald.Config, c *httpapi.Config) { c.Remediation = nil })
	for path, method := range map[string]string{"": http.MethodGet, "/x": http.MethodGet, "/x/replay": http.MethodPost} {
		answer, p := w.problem(t, method, "/v1/dead-letters"+path, map[string]string{http.MethodPost: `{"by":"ada","reason":"no"}`}[method])
		if answer.StatusCode != http.StatusNotFound || p.Type != httpapi.ProblemPrefix+"no-dead-letters-here" || !strings.Contains(p.Detail, "Remediation") {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestParticipantsAndStatistics(t *testing.T) {
	w := open(t, func(ec *skald.Config, _ *httpapi.Config) {
		p := ec.Participants["tickets"]
		p.Failures, p.Pause = 1, time.Hour
		ec.Participants["tickets"] = p
	})
	w.full.Store(true)
	for _, mode := range bothModes {
		w.begin(t, skald.SagaID("full-"+mode), mode, "Edda")
		w.until(t, skald.SagaID("full-"+mode), journal.IncidentOpened)
	}
	w.jam.Store(true)
	w.begin(t, "jam", skald.Orchestrated, "Edda")
	eventually(t, "the breaker opens", func() bool { return slices.Contains(w.engine.Health().Open, "tickets") })
	got, err := w.client.Participants(t.Context())
	want := []httpapi.Participant{
		{Name: "letters", Level: "L2", Called: true, Breaker: "closed", Operations: []string{"letters.send"}, Definitions: []string{"visit"}},
		{Name: "seats", Level: "L2", Called: true, Breaker: "closed", Operations: []string{"seats.release", "seats.reserve"}, Definitions: []string{"visit"}},
		{Name: "tickets", Level: "L2", Called: true, Breaker: "open", Operations: []string{"tickets.print"}, Definitions: []string{"visit"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	s, err := w.client.Statistics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(s.States, func(a, b httpapi.StateCount) int { return strings.Compare(string(b.Mode), string(a.Mode)) })
	states := []httpapi.StateCount{
		{Definition: "visit", Version: w.saga.Version(), Mode: skald.Orchestrated, State: skald.Running, Sagas: 2},
		{Definition: "visit", Version: w.saga.Version(), Mode: skald.Choreographed, State: skald.Running, Sagas: 1},
	}
	if diff := cmp.Diff(states, s.States); diff != "" || s.InFlight != 3 || s.Incidents != 2 || !s.Complete || !slices.Equal(s.OpenBreakers, []string{"tickets"}) {
		t.Errorf("%+v\n%s", s, diff)
	}
	if diff := cmp.Diff([]httpapi.IncidentCount{{Definition: "visit", Reason: "Letters.Full", Sagas: 2}}, s.IncidentCodes); diff != "" {
		t.Errorf("incidents (-want +got):\n%s", diff)
	}
}

func TestHealthFollowsTheEngine(t *testing.T) {
	st := memstore.New()
	w := open(t, func(c *skald.Config, _ *httpapi.Config) { c.Store, c.Broker = st, nil })
	for _, path := range []string{"/livez", "/readyz"} {
		if body := w.get(t, path); string(body) != `{"status":"ok","faults":[]}`+"\n" {
			t.Errorf("%s says %s", path, body)
		}
	}
	if _, err := st.Acquire(t.Context()); err != nil { // as another coordinator does
		t.Fatal(err)
	}
	_, _ = w.client.Start(t.Context(), skald.StartRequest{Definition: "visit", Input: json.RawMessage(`{}`)})
	select {
	case <-w.engine.Failed():
	case <-time.After(patience):
		t.Fatal("the engine does not notice")
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if answer, body := w.request(t, http.MethodGet, path, ""); answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "restart") {
			t.Errorf("%s says %s %s", path, answer.Status, body)
		}
	}
	_, err := w.client.Start(t.Context(), skald.StartRequest{Definition: "visit", Input: json.RawMessage(`{}`)})
	if !errors.Is(err, skald.ErrStopped) {
		t.Errorf("a start gives %v", err)
	}
}
