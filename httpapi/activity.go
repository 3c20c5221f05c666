package httpapi

import (
	"math"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Activity counts what an engine does, minute by minute and step by step, of each version of a definition by itself, for GET /v1/activity: give it to skald.Config as the engine's Observer (with others: skald.Observers) and to Config.
//
// It remembers the last three hours of this process (of steps, up to a quarter more) and nothing longer: after a restart it begins anew, and of several processes on one store each counts its own. For anything that must not be missed
// use package metrics. Definitions that are registered later are counted from their first event on. Its memory is bounded: of more than 1,000 versions of definitions, or 256 steps of one, the rest is not counted. It is used concurrently.
type Activity struct {
	since time.Time

	mu    sync.Mutex
	of    map[versionOf]*activityOf
	asked map[askedStep]time.Time // when steps under way were asked, of so many
}

// versionOf is one version of a definition.
type versionOf struct{ definition, version string }

// How far back is remembered, and how finely.
const (
	activityMinutes = 180
	slotMinutes     = 15
	activitySlots   = activityMinutes/slotMinutes + 1 // the oldest is incomplete
	mostAsked       = 100_000
	mostVersions    = 1000 // of all definitions
	mostSteps       = 256  // of one version
)

type askedStep struct {
	saga journal.SagaID
	step string
}

// activityOf is what is counted of one version of a definition.
type activityOf struct {
	minutes [activityMinutes]activityMinute
	steps   map[string]*[activitySlots]activitySlot
}

// activityMinute is one minute, and activitySlot one quarter of an hour of one step. at says which: the place in the ring is used again.
type activityMinute struct {
	at int64
	sagaTally
}

type activitySlot struct {
	at int64
	stepTally
}

type sagaTally struct {
	started, completed, compensated, incidents int
	took                                       *spread // of completed sagas
}

func (t *sagaTally) join(x *sagaTally) {
	t.started, t.completed, t.compensated, t.incidents = t.started+x.started, t.completed+x.completed, t.compensated+x.compensated, t.incidents+x.incidents
	t.took = t.took.join(x.took)
}

type stepTally struct {
	asked, done, refused, failed, retries, undone int
	took                                          *spread // from the first call to the result
}

func (t *stepTally) join(x *stepTally) {
	t.asked, t.done, t.refused, t.failed, t.retries, t.undone = t.asked+x.asked, t.done+x.done, t.refused+x.refused, t.failed+x.failed, t.retries+x.retries, t.undone+x.undone
	t.took = t.took.join(x.took)
}

// NewActivity begins to count. sagas are the definitions that the engine runs.
func NewActivity(sagas []skald.Registered) *Activity {
	a := &Activity{since: time.Now().UTC(), of: map[versionOf]*activityOf{}, asked: map[askedStep]time.Time{}}
	for _, s := range sagas {
		d := a.version(versionOf{s.Name(), s.Version()})
		for _, x := range s.Steps() {
			_ = d.step(x.Name)
		}
	}
	return a
}

// version is what is counted of a version, which may be nothing: then it is nil.
func (a *Activity) version(v versionOf) *activityOf {
	d := a.of[v]
	if d == nil && len(a.of) < mostVersions {
		d = &activityOf{steps: map[string]*[activitySlots]activitySlot{}}
		a.of[v] = d
	}
	return d
}

// step is what is counted of a step, which may be nothing: then it is nil.
func (d *activityOf) step(name string) *[activitySlots]activitySlot {
	if d == nil {
		return nil
	}
	ring := d.steps[name]
	if ring == nil && len(d.steps) < mostSteps {
		ring = &[activitySlots]activitySlot{}
		d.steps[name] = ring
	}
	return ring
}

// knows says whether something is counted of a definition.
func (a *Activity) knows(definition string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for v := range a.of {
		if v.definition == definition {
			return true
		}
	}
	return false
}

// Recorded implements skald.Observer.
func (a *Activity) Recorded(s *store.Summary, e *journal.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.version(versionOf{s.Definition, s.Version})
	if d == nil {
		return
	}
	if e.Kind >= journal.StepAsked && e.Kind <= journal.CompensationDone {
		a.countStep(d, s.ID, e)
		return
	}
	m := d.minute(e.Time)
	switch e.Kind {
	case journal.SagaStarted:
		m.started++
	case journal.SagaCompleted:
		m.completed++
		m.took = m.took.add(e.Time.Sub(s.Started))
	case journal.SagaCompensated:
		m.compensated++
	case journal.IncidentOpened:
		m.incidents++
	default:
	}
}

// Committed implements skald.Observer.
func (a *Activity) Committed(int, time.Duration) {}

// countStep counts an event of a step. How long a step takes is known if this process saw it being asked.
func (a *Activity) countStep(d *activityOf, id journal.SagaID, e *journal.Event) {
	ring := d.step(e.Step)
	if ring == nil {
		return
	}
	x, key := slotOf(ring, e.Time), askedStep{id, e.Step}
	began, known := a.asked[key]
	switch e.Kind {
	case journal.StepAsked:
		x.asked++
		if len(a.asked) < mostAsked {
			a.asked[key] = e.Time
		}
		return
	case journal.StepRetrying, journal.CompensationRetrying:
		x.retries++
		return
	case journal.StepDone:
		x.done++
		if known && e.Verb == "" {
			x.took = x.took.add(e.Time.Sub(began))
		}
	case journal.StepRefused:
		x.refused++
	case journal.StepFailed:
		x.failed++
	case journal.CompensationDone:
		x.undone++
	default:
	}
	delete(a.asked, key)
}

func (d *activityOf) minute(t time.Time) *activityMinute {
	at := t.Unix() / 60
	m := &d.minutes[at%activityMinutes]
	if m.at != at {
		*m = activityMinute{at: at}
	}
	return m
}

func slotOf(ring *[activitySlots]activitySlot, t time.Time) *activitySlot {
	at := t.Unix() / (60 * slotMinutes)
	x := &ring[at%activitySlots]
	if x.at != at {
		*x = activitySlot{at: at}
	}
	return x
}

// spread is how durations are spread, in buckets each a quarter wider than the one before, so that a quantile is known within an eighth. Without any it is nil.
type spread [spreadBuckets]uint32

const (
	spreadBuckets = 104 // up to a month
	spreadLeast   = 100 * time.Microsecond
	spreadPer     = 3 // buckets for every doubling
)

func (s *spread) add(d time.Duration) *spread {
	if s == nil {
		s = new(spread)
	}
	bucket := 0
	if d > spreadLeast {
		bucket = min(int(math.Ceil(spreadPer*math.Log2(float64(d)/float64(spreadLeast)))), spreadBuckets-1)
	}
	s[bucket]++
	return s
}

// join adds what another one holds.
func (s *spread) join(other *spread) *spread {
	if other == nil {
		return s
	}
	if s == nil {
		s = new(spread)
	}
	for i, n := range other {
		s[i] += n
	}
	return s
}

// quantile is the duration, in seconds, that a share of all does not pass; 0 without any.
func (s *spread) quantile(share float64) float64 {
	if s == nil {
		return 0
	}
	total := uint64(0)
	for _, n := range s {
		total += uint64(n)
	}
	rank, seen := uint64(math.Ceil(share*float64(total))), uint64(0)
	for i, n := range s {
		if seen += uint64(n); seen >= rank && n > 0 {
			return spreadLeast.Seconds() * math.Exp2((float64(i)-0.5)/spreadPer)
		}
	}
	return 0
}
