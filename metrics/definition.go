package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// definition holds the series of one definition, over all its versions, so that counting an event looks no labels up. What is not here
// when it is needed, such as a series of a mode that was not announced, is made then.
type definition struct {
	families  *families
	name      string
	reasons   map[string]bool // codes that are shown as they are
	started   [modes]prometheus.Counter
	recovered prometheus.Counter
	duration  [modes][outcomes]prometheus.Observer
	failed    map[failure]prometheus.Counter
	incidents map[string]prometheus.Counter
	steps     map[string]*step
	other     func() *step // for steps that no version names
}

// failure is what turned a saga back.
type failure struct{ step, reason string }

// step holds the series of one step.
type step struct {
	families      *families
	definition    string
	name          string
	reached       [results]prometheus.Counter
	compensations [undoings]prometheus.Counter // nil for a step without a compensation
	retries       prometheus.Counter
	undoRetries   prometheus.Counter // likewise
}

// resolve makes the series of all definitions, each at 0.
func resolve(f *families, c Config) map[string]*definition {
	all := make(map[string]*definition, len(c.Sagas))
	for _, s := range c.Sagas {
		d := all[s.Name()]
		if d == nil {
			d = newDefinition(f, s.Name())
			d.announce(c.Modes)
			all[s.Name()] = d
		}
		for _, x := range s.Steps() {
			d.add(x)
		}
	}
	return all
}

// unregistered makes the definition that stands for all that are not registered, once there is one.
func unregistered(f *families) func() *definition {
	return sync.OnceValue(func() *definition { return newDefinition(f, Other) })
}

func newDefinition(f *families, name string) *definition {
	d := &definition{
		families: f, name: name, reasons: make(map[string]bool), failed: make(map[failure]prometheus.Counter),
		incidents: make(map[string]prometheus.Counter), steps: make(map[string]*step), recovered: f.recovered.WithLabelValues(name),
	}
	d.other = sync.OnceValue(func() *step { return newStep(f, name, Other) })
	for _, code := range skald.ReasonCodes() {
		d.reasons[code] = true
	}
	return d
}

// announce makes the series that do not speak of a step.
func (d *definition) announce(announced []journal.Mode) {
	for _, m := range announced {
		i := modeOf(m)
		d.started[i] = d.families.started.WithLabelValues(d.name, string(m))
		for o := range outcomes {
			d.duration[i][o] = d.families.duration.WithLabelValues(d.name, string(m), outcome(o))
		}
	}
	for _, code := range wholeEndings() {
		d.fails(WholeSaga, code)
	}
	for _, code := range append(alarms(), Other) {
		d.incidents[code] = d.families.incidents.WithLabelValues(d.name, code)
	}
}

// add makes the series of a step, which another version may have as well.
func (d *definition) add(x skald.StepInfo) {
	s := d.steps[x.Name]
	if s == nil {
		s = newStep(d.families, d.name, x.Name)
		d.steps[x.Name] = s
	}
	if x.Kind == participant.Compensatable {
		s.undoable()
	}
	for _, code := range x.Reasons {
		d.reasons[code] = true
		if d.incidents[code] == nil {
			d.incidents[code] = d.families.incidents.WithLabelValues(d.name, code)
		}
	}
	if x.Kind == participant.Retriable {
		return // it never turns a saga back
	}
	for _, code := range append(append(endings(), Other), x.Reasons...) {
		d.fails(x.Name, code)
	}
}

func (d *definition) fails(step, reason string) {
	d.failed[failure{step, reason}] = d.families.failed.WithLabelValues(d.name, step, reason)
}

func newStep(f *families, definition, name string) *step {
	s := &step{families: f, definition: definition, name: name}
	for r := range results {
		s.reached[r] = f.reached.WithLabelValues(definition, name, r.String())
	}
	s.retries = f.retries.WithLabelValues(definition, name, string(participant.Action))
	return s
}

// undoable makes the series of the step's compensation.
func (s *step) undoable() {
	for u := range undoings {
		s.compensations[u] = s.families.compensations.WithLabelValues(s.definition, s.name, u.String())
	}
	s.undoRetries = s.families.retries.WithLabelValues(s.definition, s.name, string(participant.Compensation))
}

func (d *definition) step(name string) *step {
	if s := d.steps[name]; s != nil {
		return s
	}
	return d.other()
}

// count counts an event of a saga as a whole, or of an incident.
func (d *definition) count(s *store.Summary, e *journal.Event) {
	switch e.Kind {
	case journal.SagaStarted:
		d.countStart(e.Mode)
	case journal.SagaRecovered:
		d.recovered.Inc()
	case journal.SagaCompleted:
		d.observe(s, e, outcomeCompleted)
	case journal.SagaCompensated:
		d.observe(s, e, outcomeCompensated)
		d.countFailure(s)
	case journal.IncidentOpened:
		d.countIncident(e.Reason)
	default:
	}
}

func (d *definition) countStart(m journal.Mode) {
	if i := modeOf(m); i >= 0 && d.started[i] != nil {
		d.started[i].Inc()
		return
	}
	d.families.started.WithLabelValues(d.name, modeLabel(m)).Inc()
}

func (d *definition) observe(s *store.Summary, e *journal.Event, o int) {
	took := e.Time.Sub(s.Started).Seconds()
	if i := modeOf(s.Mode); i >= 0 && d.duration[i][o] != nil {
		d.duration[i][o].Observe(took)
		return
	}
	d.families.duration.WithLabelValues(d.name, modeLabel(s.Mode), outcome(o)).Observe(took)
}

func modeLabel(m journal.Mode) string {
	if modeOf(m) < 0 {
		return Other
	}
	return string(m)
}

// countFailure counts a saga that was turned back, at what its summary says was the cause.
func (d *definition) countFailure(s *store.Summary) {
	x := failure{s.Step, d.reason(s.Reason)}
	switch {
	case s.Incident == journal.ReasonContradiction: // the summary names the step that it is about
		x.step = Other
	case x.step == "":
		x.step = WholeSaga
	case d.steps[x.step] == nil:
		x.step = Other
	}
	if c := d.failed[x]; c != nil {
		c.Inc()
		return
	}
	d.families.failed.WithLabelValues(d.name, x.step, x.reason).Inc()
}

func (d *definition) countIncident(reason string) {
	reason = d.reason(reason)
	if c := d.incidents[reason]; c != nil {
		c.Inc()
		return
	}
	d.families.incidents.WithLabelValues(d.name, reason).Inc()
}

// reason is the code as it is shown.
func (d *definition) reason(code string) string {
	if d.reasons[code] {
		return code
	}
	return Other
}

// count counts an event of the step.
func (s *step) count(e *journal.Event) {
	if r, ok := resultOf(e.Kind); ok {
		s.reached[r].Inc()
		return
	}
	switch e.Kind {
	case journal.StepRetrying:
		if !e.At.IsZero() { // otherwise it is held for an operator, and not made again by itself
			s.retries.Inc()
		}
	case journal.CompensationRetrying:
		if !e.At.IsZero() {
			s.countUndoRetry()
		}
	case journal.CompensationAsked:
		s.countUndoing(undoAsked)
	case journal.CompensationDone:
		s.countUndoing(undoingOf(e))
	default:
	}
}

func (s *step) countUndoing(u undoing) {
	if c := s.compensations[u]; c != nil {
		c.Inc()
		return
	}
	s.families.compensations.WithLabelValues(s.definition, s.name, u.String()).Inc()
}

func (s *step) countUndoRetry() {
	if s.undoRetries != nil {
		s.undoRetries.Inc()
		return
	}
	s.families.retries.WithLabelValues(s.definition, s.name, string(participant.Compensation)).Inc()
}
