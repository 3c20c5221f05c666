package httpapi

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/skaldhq/skald"
)

// ActivityReport is what an engine did in the last three hours of this process. It is no ledger: it begins anew with the process, and knows nothing of other processes.
type ActivityReport struct {
	Since       time.Time            `json:"since"`       // nothing from before is counted
	Minutes     []ActivityMinute     `json:"minutes"`     // from since to now, oldest first; the last is not over
	Definitions []DefinitionActivity `json:"definitions"` // by name
	Steps       []StepActivity       `json:"steps"`       // by definition and name
}

// ActivityMinute is one minute of all definitions that were asked for.
type ActivityMinute struct {
	At          time.Time `json:"at"` // its beginning
	Started     int       `json:"started"`
	Completed   int       `json:"completed"`
	Compensated int       `json:"compensated"`
	Incidents   int       `json:"incidents"`     // opened
	P50         float64   `json:"p50,omitempty"` // seconds that completed sagas took, within an eighth; left out without any
	P95         float64   `json:"p95,omitempty"`
}

// DefinitionActivity is the sum of a definition's minutes, over all its versions.
type DefinitionActivity struct {
	Name        string  `json:"name"`
	Started     int     `json:"started"`
	Completed   int     `json:"completed"`
	Compensated int     `json:"compensated"`
	Incidents   int     `json:"incidents"`     // opened
	P50         float64 `json:"p50,omitempty"` // seconds that completed sagas took, within an eighth; left out without any
	P95         float64 `json:"p95,omitempty"`
}

// StepActivity is how a step went, over all versions of its definition.
type StepActivity struct {
	Definition string  `json:"definition"`
	Name       string  `json:"name"`
	Asked      int     `json:"asked"`
	Done       int     `json:"done"`
	Refused    int     `json:"refused"`
	Failed     int     `json:"failed"`        // given up with the effect unknown
	Retries    int     `json:"retries"`       // attempts without a clear answer, of actions and compensations
	Undone     int     `json:"undone"`        // compensations that came to their end
	P50        float64 `json:"p50,omitempty"` // seconds from the first call to the result, retries included, within an eighth; left out without any
	P95        float64 `json:"p95,omitempty"`
}

// getActivity answers GET /v1/activity.
func (h *Handler) getActivity(w http.ResponseWriter, r *http.Request) error {
	if h.Activity == nil {
		return problem(http.StatusNotFound, problemNoActivity, "Nobody counts here",
			"This program does not count what its engine does: give httpapi.Config an Activity, and skald.Config the same one as its Observer.")
	}
	q := query{values: r.URL.Query()}
	name := q.text("definition")
	if err := q.err(); err != nil {
		return err
	}
	who := whoAsks(r.Context())
	if name != "" && (!who.Sees(name) || !h.Activity.knows(name)) {
		return fmt.Errorf("%w: %.256q", skald.ErrDefinition, name)
	}
	writeJSON(w, http.StatusOK, "application/json", h.Activity.report(time.Now(), func(definition string) bool {
		return who.Sees(definition) && (name == "" || name == definition)
	}))
	return nil
}

// report says what was counted of some definitions.
func (a *Activity) report(now time.Time, selects func(definition string) bool) ActivityReport {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := now.Unix() / 60
	first := max(last-activityMinutes+1, a.since.Unix()/60)
	x := ActivityReport{Since: time.Unix(first*60, 0).UTC(), Minutes: []ActivityMinute{}, Definitions: []DefinitionActivity{}, Steps: []StepActivity{}}
	if x.Since.Before(a.since) {
		x.Since = a.since
	}
	for at := first; at <= last; at++ {
		x.Minutes = append(x.Minutes, a.minute(at, selects))
	}
	for definition, d := range a.of {
		if !selects(definition) {
			continue
		}
		x.Definitions = append(x.Definitions, d.report(definition, first, last))
		for step, ring := range d.steps {
			x.Steps = append(x.Steps, reportOf(ring, definition, step, first/slotMinutes))
		}
	}
	slices.SortFunc(x.Definitions, func(p, q DefinitionActivity) int { return cmp.Compare(p.Name, q.Name) })
	slices.SortFunc(x.Steps, func(p, q StepActivity) int {
		return cmp.Or(cmp.Compare(p.Definition, q.Definition), cmp.Compare(p.Name, q.Name))
	})
	return x
}

// minute sums one minute up.
func (a *Activity) minute(at int64, selects func(definition string) bool) ActivityMinute {
	var sum sagaTally
	for definition, d := range a.of {
		if m := &d.minutes[at%activityMinutes]; m.at == at && selects(definition) {
			sum.join(&m.sagaTally)
		}
	}
	return ActivityMinute{time.Unix(at*60, 0).UTC(), sum.started, sum.completed, sum.compensated, sum.incidents, sum.took.quantile(0.5), sum.took.quantile(0.95)}
}

// report sums a definition up, from one minute to another.
func (d *activityOf) report(name string, first, last int64) DefinitionActivity {
	var sum sagaTally
	for i := range d.minutes {
		if m := &d.minutes[i]; m.at >= first && m.at <= last {
			sum.join(&m.sagaTally)
		}
	}
	return DefinitionActivity{name, sum.started, sum.completed, sum.compensated, sum.incidents, sum.took.quantile(0.5), sum.took.quantile(0.95)}
}

// reportOf sums a step up, from a quarter of an hour on.
func reportOf(ring *[activitySlots]activitySlot, definition, step string, first int64) StepActivity {
	var sum stepTally
	for i := range ring {
		if ring[i].at >= first {
			sum.join(&ring[i].stepTally)
		}
	}
	return StepActivity{definition, step, sum.asked, sum.done, sum.refused, sum.failed, sum.retries, sum.undone, sum.took.quantile(0.5), sum.took.quantile(0.95)}
}
