package httpapi_test

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// contradicts lets a visit come to its end, and the theatre say afterwards that there was no seat.
func (w *world) contradicts(t testing.TB, id skald.SagaID, mode skald.Mode) {
	t.Helper()
	w.begin(t, id, mode, "Edda")
	if s := w.ended(t, id); s.State != skald.Completed {
		t.Fatalf("%s is %s", id, s.State)
	}
	if err := w.engine.AnsweredLate(t.Context(), id, "seats.reserve", participant.Answer{Class: participant.Refused, Reason: "Seats.SoldOut"}); err != nil {
		t.Fatal(err)
	}
}

func TestF03_ContradictionOfAnEndedSagaIsFoundAndSeenOverTheAPI(t *testing.T) {
	w := open(t)
	for _, mode := range bothModes {
		id := skald.SagaID("twice-" + string(mode))
		w.contradicts(t, id, mode)
		page, err := w.client.List(t.Context(), skald.Filter{Incident: true})
		if err != nil || len(page.Sagas) != 1 || page.Sagas[0].ID != id || page.Sagas[0].State != skald.Completed || page.Sagas[0].Incident != skald.ReasonContradiction || page.Sagas[0].Step != "seats.reserve" {
			t.Fatalf("%s: with an open incident: %+v, %v", mode, page.Sagas, err)
		}
		s, err := w.client.Status(t.Context(), id)
		if err != nil || len(s.Incidents) != 1 || !s.Incidents[0].Contradiction() || !strings.Contains(s.Incidents[0].Detail, "an effect may be missing") {
			t.Fatalf("%s: %+v, %v", mode, s.Incidents, err)
		}
		w.watchesTo(t, id, s.Seq)
		resolve := "/v1/sagas/" + string(id) + "/resolve"
		if r, p := w.problem(t, "POST", resolve, `{"step":"seats.reserve","verb":"retry","by":"ann","reason":"again"}`); r.StatusCode != http.StatusConflict {
			t.Errorf("%s: retry is answered with %d %s", mode, r.StatusCode, p.Detail)
		}
		if r, _ := w.problem(t, "POST", resolve, `{"step":"seats.reserve","verb":"seen","by":"ann"}`); r.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: seen without a reason is answered with %d", mode, r.StatusCode)
		}
		seen := skald.Resolution{Step: "seats.reserve", Verb: skald.VerbSeen, By: "ann", Reason: "a seat on the balcony"}
		if err := w.client.Resolve(t.Context(), id, seen); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if err := w.client.Resolve(t.Context(), id, seen); !errors.Is(err, skald.ErrVerb) {
			t.Errorf("%s: seen twice: %v", mode, err)
		}
		after, err := w.client.Status(t.Context(), id)
		if err != nil || len(after.Incidents) != 0 || after.State != skald.Completed || !after.Ended.Equal(s.Ended) {
			t.Errorf("%s: after it was seen: %+v, %v", mode, after, err)
		}
		events, err := w.client.Events(t.Context(), id, s.Seq)
		if err != nil || len(events) != 1 || events[0].Kind != journal.IncidentResolved || events[0].Verb != skald.VerbSeen || events[0].By != "ann" || events[0].Detail != "a seat on the balcony" {
			t.Errorf("%s: the journal goes on with %+v, %v", mode, events, err)
		}
	}
}

// watchesTo reads a saga's stream of events to its end, which is after what came after the outcome.
func (w *world) watchesTo(t testing.TB, id skald.SagaID, last uint64) {
	t.Helper()
	stream := w.get(t, "/v1/sagas/"+string(id)+"/watch")
	var kinds []string
	for lines := bufio.NewScanner(bytes.NewReader(stream)); lines.Scan(); {
		if kind, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			kinds = append(kinds, kind)
		}
	}
	want := []string{"saga_completed", "step_answered_late", "incident_opened", "end"}
	if n := len(kinds); n < 4 || !cmp.Equal(want, kinds[n-4:]) || uint64(n-1) != last {
		t.Errorf("%s: the stream has %q, and %d events are recorded", id, kinds, last)
	}
}

func TestF03_ContradictionsAreCountedAndSeenManyAtATime(t *testing.T) {
	w := open(t)
	w.contradicts(t, "one", skald.Orchestrated)
	w.contradicts(t, "two", skald.Choreographed)
	s, err := w.client.Statistics(t.Context())
	if err != nil || s.Incidents != 2 || len(s.IncidentCodes) != 1 || s.IncidentCodes[0].Reason != skald.ReasonContradiction {
		t.Errorf("%+v, %v", s, err)
	}
	bulk := func(verb skald.Verb) (outcomes []string) {
		t.Helper()
		r, err := w.client.Bulk(t.Context(), httpapi.Bulk{Filter: httpapi.Filter{Incident: true}, Verb: verb, By: "ann", Reason: "after a restore"})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Results {
			outcomes = append(outcomes, string(x.ID)+" "+x.Outcome)
		}
		return outcomes
	}
	if diff := cmp.Diff([]string{"one nothing", "two nothing"}, bulk(skald.VerbDone)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one done", "two done"}, bulk(skald.VerbSeen)); diff != "" {
		t.Error(diff)
	}
	if left := bulk(skald.VerbSeen); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
