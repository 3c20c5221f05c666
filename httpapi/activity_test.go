package httpapi_test

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// counted lets a handler and its engine count.
func counted(ec *skald.Config, hc *httpapi.Config) {
	hc.Activity = httpapi.NewActivity(ec.Sagas)
	ec.Observer = skald.Observers{hc.Activity}
}

func TestActivityCountsWhatTheEngineDoes(t *testing.T) {
	w := open(t, counted)
	for _, mode := range bothModes {
		for _, show := range []string{"Edda", "sold out"} {
			id := skald.SagaID(string(mode) + "-" + show[:4])
			w.begin(t, id, mode, show)
			w.ended(t, id)
		}
	}
	w.full.Store(true)
	w.begin(t, "full", skald.Orchestrated, "Edda")
	w.until(t, "full", journal.IncidentOpened)
	got, err := w.client.Activity(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	timing := cmpopts.IgnoreFields(httpapi.DefinitionActivity{}, "P50", "P95")
	if diff := cmp.Diff([]httpapi.DefinitionActivity{{Name: "visit", Started: 5, Completed: 2, Compensated: 2, Incidents: 1}}, got.Definitions, timing); diff != "" {
		t.Errorf("definitions (-want +got):\n%s", diff)
	}
	steps := map[string]httpapi.StepActivity{}
	for _, s := range got.Steps {
		if (s.P50 > 0) != (s.Done > 0) || s.P95 < s.P50 || s.P95 > patience.Seconds() {
			t.Errorf("%s takes %g s, and %g s", s.Name, s.P50, s.P95)
		}
		s.P50, s.P95, s.Retries = 0, 0, 0
		steps[s.Name] = s
	}
	version := w.saga.Version()
	want := map[string]httpapi.StepActivity{
		"seats.reserve": {Definition: "visit", Version: version, Name: "seats.reserve", Asked: 5, Done: 3, Refused: 2},
		"tickets.print": {Definition: "visit", Version: version, Name: "tickets.print", Asked: 3, Done: 3},
		"letters.send":  {Definition: "visit", Version: version, Name: "letters.send", Asked: 3, Done: 2},
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	sum := httpapi.ActivityMinute{}
	for _, m := range got.Minutes {
		sum.Started, sum.Completed, sum.Compensated, sum.Incidents = sum.Started+m.Started, sum.Completed+m.Completed, sum.Compensated+m.Compensated, sum.Incidents+m.Incidents
	}
	if diff := cmp.Diff(httpapi.ActivityMinute{Started: 5, Completed: 2, Compensated: 2, Incidents: 1}, sum); diff != "" {
		t.Errorf("all minutes (-want +got):\n%s", diff)
	}
	if _, p := w.problem(t, http.MethodGet, "/v1/activity?definition=opera", ""); p.Type != httpapi.ProblemPrefix+"no-such-definition" {
		t.Errorf("a definition that there is not: %+v", p)
	}
}

func TestWithoutAnActivityNothingIsCounted(t *testing.T) {
	w := open(t)
	if answer, p := w.problem(t, http.MethodGet, "/v1/activity", ""); answer.StatusCode != http.StatusNotFound || p.Type != httpapi.ProblemPrefix+"no-activity-here" {
		t.Errorf("%s %+v", answer.Status, p)
	}
}

// Three hours later nothing of it is left, and what was counted meanwhile is told by the minute, with durations within an eighth.
func TestActivityForgetsAfterThreeHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		saga := visit(t, "visit")
		a := httpapi.NewActivity([]skald.Registered{saga})
		record := func(id skald.SagaID, took time.Duration) {
			s := store.Summary{ID: id, Definition: "visit", Version: saga.Version(), Started: time.Now()}
			for _, kind := range []journal.Kind{journal.SagaStarted, journal.StepAsked} {
				a.Recorded(&s, &journal.Event{Kind: kind, Step: map[bool]string{true: "seats.reserve"}[kind == journal.StepAsked], Time: time.Now()})
			}
			time.Sleep(took)
			a.Recorded(&s, &journal.Event{Kind: journal.StepDone, Step: "seats.reserve", Time: time.Now()})
			a.Recorded(&s, &journal.Event{Kind: journal.SagaCompleted, Time: time.Now()})
		}
		record("first", time.Second)
		time.Sleep(90 * time.Minute)
		for _, took := range []time.Duration{100 * time.Millisecond, 100 * time.Millisecond, 20 * time.Second} {
			record("later", took)
		}
		x := httpapi.ReportOf(a, time.Now())
		if d := x.Definitions[0]; d.Started != 4 || d.Completed != 4 || len(x.Minutes) != 91 {
			t.Errorf("%d minutes, %+v", len(x.Minutes), d)
		}
		time.Sleep(2 * time.Hour)
		x = httpapi.ReportOf(a, time.Now())
		d := x.Definitions[0]
		if d.Completed != 3 || !about(d.P50, 0.1) || !about(d.P95, 20) || len(x.Minutes) != 180 || x.Minutes[0].At.Before(time.Now().Add(-3*time.Hour)) {
			t.Errorf("%d minutes since %s, %+v", len(x.Minutes), x.Since, d)
		}
		for _, s := range x.Steps {
			if s.Name == "seats.reserve" && (s.Done != 3 || !about(s.P95, 20)) {
				t.Errorf("%+v", s)
			}
		}
		time.Sleep(2 * time.Hour)
		x = httpapi.ReportOf(a, time.Now())
		if d := x.Definitions[0]; d != (httpapi.DefinitionActivity{Name: "visit"}) {
			t.Errorf("%+v", d)
		}
	})
}

// How a new version goes is seen beside the one before: neither hides the other's failures, or how long it takes.
func TestActivityTellsVersionsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := httpapi.NewActivity(nil)
		run := func(id skald.SagaID, version string, took time.Duration, then journal.Kind, last journal.Kind) {
			s := store.Summary{ID: id, Definition: "visit", Version: version, Started: time.Now()}
			for _, e := range []journal.Event{{Kind: journal.SagaStarted}, {Kind: journal.StepAsked, Step: "seats.reserve"}} {
				e.Time = time.Now()
				a.Recorded(&s, &e)
			}
			time.Sleep(took)
			for _, e := range []journal.Event{{Kind: then, Step: "seats.reserve"}, {Kind: last}} {
				e.Time = time.Now()
				a.Recorded(&s, &e)
			}
		}
		run("old-1", "a1", time.Second, journal.StepDone, journal.SagaCompleted)
		run("old-2", "a1", time.Second, journal.StepDone, journal.SagaCompleted)
		run("new-1", "b2", 4*time.Second, journal.StepDone, journal.SagaCompleted)
		run("new-2", "b2", time.Second, journal.StepRefused, journal.SagaCompensated)
		x := httpapi.ReportOf(a, time.Now())

		within := cmpopts.EquateApprox(1.0/8, 0)
		old, fresh := httpapi.VersionActivity{Definition: "visit", Version: "a1", Started: 2, Completed: 2, P50: 1, P95: 1}, httpapi.VersionActivity{Definition: "visit", Version: "b2", Started: 2, Completed: 1, Compensated: 1, P50: 4, P95: 4}
		if diff := cmp.Diff([]httpapi.VersionActivity{old, fresh}, x.Versions, within); diff != "" {
			t.Errorf("versions (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]httpapi.DefinitionActivity{{Name: "visit", Started: 4, Completed: 3, Compensated: 1, P50: 1, P95: 4}}, x.Definitions, within); diff != "" {
			t.Errorf("the definition (-want +got):\n%s", diff)
		}
		steps := []httpapi.StepActivity{{Definition: "visit", Version: "a1", Name: "seats.reserve", Asked: 2, Done: 2, P50: 1, P95: 1}, {Definition: "visit", Version: "b2", Name: "seats.reserve", Asked: 2, Done: 1, Refused: 1, P50: 4, P95: 4}}
		if diff := cmp.Diff(steps, x.Steps, within); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
	})
}

// about says whether a quantile is as exact as it is promised to be.
func about(got, want float64) bool { return math.Abs(got-want) <= want/8 }
