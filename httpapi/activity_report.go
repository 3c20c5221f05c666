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
	Versions    []VersionActivity    `json:"versions"`    // by definition and version
	Steps       []StepActivity       `json:"steps"`       // by definition, name and version
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

// VersionActivity is the sum of the minutes of one version of a definition: how a new one goes, beside the one before.
type VersionActivity struct {
	Definition  string  `json:"definition"`
	Version     string  `json:"version"`
	Started     int     `json:"started"`
	Completed   int     `json:"completed"`
	Compensated int     `json:"compensated"`
	Incidents   int     `json:"incidents"`     // opened
	P50         float64 `json:"p50,omitempty"` // seconds that completed sagas took, within an eighth; left out without any
	P95         float64 `json:"p95,omitempty"`
}

// StepActivity is how a step of one version of a definition went.
type StepActivity struct {
	Definition string  `json:"definition"`
	Version    string  `json:"version"`
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
			"This program does not count what its engine does: its programmer gives httpapi.Config an Activity, and skald.Config the same one as its Observer.")
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
	x := ActivityReport{Since: time.Unix(first*60, 0).UTC(), Minutes: []ActivityMinute{}, Definitions: []DefinitionActivity{}, Versions: []VersionActivity{}, Steps: []StepActivity{}}
	if x.Since.Before(a.since) {
		x.Since = a.since
	}
	for at := first; at <= last; at++ {
		x.Minutes = append(x.Minutes, a.minute(at, selects))
	}
	whole := map[string]*sagaTally{}
	for v, d := range a.of {
		if !selects(v.definition) {
			continue
		}
		sum := d.sum(first, last)
		x.Versions = append(x.Versions, VersionActivity{v.definition, v.version, sum.started, sum.completed, sum.compensated, sum.incidents, sum.took.quantile(0.5), sum.took.quantile(0.95)})
		if whole[v.definition] == nil {
			whole[v.definition] = &sagaTally{}
		}
		whole[v.definition].join(&sum)
		for step, ring := range d.steps {
			x.Steps = append(x.Steps, reportOf(ring, v, step, first/slotMinutes))
		}
	}
	for name, sum := range whole {
		x.Definitions = append(x.Definitions, DefinitionActivity{name, sum.started, sum.completed, sum.compensated, sum.incidents, sum.took.quantile(0.5), sum.took.quantile(0.95)})
	}
	x.sort()
	return x
}

// sort brings a report into the order that it promises.
func (x *ActivityReport) sort() {
	slices.SortFunc(x.Definitions, func(p, q DefinitionActivity) int { return cmp.Compare(p.Name, q.Name) })
	slices.SortFunc(x.Versions, func(p, q VersionActivity) int {
		return cmp.Or(cmp.Compare(p.Definition, q.Definition), cmp.Compare(p.Version, q.Version))
	})
	slices.SortFunc(x.Steps, func(p, q StepActivity) int {
		return cmp.Or(cmp.Compare(p.Definition, q.Definition), cmp.Compare(p.Name, q.Name), cmp.Compare(p.Version, q.Version))
	})
}

// minute sums one minute up.
func (a *Activity) minute(at int64, selects func(definition string) bool) ActivityMinute {
	var sum sagaTally
	for v, d := range a.of {
		if m := &d.minutes[at%activityMinutes]; m.at == at && selects(v.definition) {
			sum.join(&m.sagaTally)
		}
	}
	return ActivityMinute{time.Unix(at*60, 0).UTC(), sum.started, sum.completed, sum.compensated, sum.incidents, sum.took.quantile(0.5), sum.took.quantile(0.95)}
}

// sum sums a version up, from one minute to another.
func (d *activityOf) sum(first, last int64) (sum sagaTally) {
	for i := range d.minutes {
		if m := &d.minutes[i]; m.at >= first && m.at <= last {
			sum.join(&m.sagaTally)
		}
	}
	return sum
}

// reportOf sums a step up, from a quarter of an hour on.
func reportOf(ring *[activitySlots]activitySlot, of versionOf, step string, first int64) StepActivity {
	var sum stepTally
	for i := range ring {
		if ring[i].at >= first {
			sum.join(&ring[i].stepTally)
		}
	}
	return StepActivity{of.definition, of.version, step, sum.asked, sum.done, sum.refused, sum.failed, sum.retries, sum.undone, sum.took.quantile(0.5), sum.took.quantile(0.95)}
}
