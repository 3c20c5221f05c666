// Package metrics shows what an engine does to Prometheus: sagas by outcome and how long they took, steps, compensations, retries, incidents, commits,
// and how much is under way. docs/metrics.md lists every metric; dashboard and alerts beside this package are made for them.
//
// Label sets are closed. A definition, step or reason code that the registered definitions do not name is "other", so nothing that a participant or
// a client sends makes new series. It keeps nothing over a restart: counters begin at 0 with the process, as Prometheus
// expects, and what a crash left unrecorded was counted although it is done again.
package metrics

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Config says what is measured and where it is shown.
type Config struct {
	// Registerer is where the metrics are registered, such as a prometheus.NewRegistry that promhttp serves. For two engines in one process, give each a
	// prometheus.WrapRegistererWith of its own labels.
	Registerer prometheus.Registerer
	// Sagas are the definitions that the engine is opened with: their names, steps and reason codes are the label values. What it takes later is said with Register.
	Sagas []skald.Registered
	// Modes are those in which the sagas run; their series exist from the start, so that rates miss nothing. Orchestrated.
	Modes []journal.Mode
}

// Metrics counts what one engine does. It is the engine's Observer, and is used concurrently.
type Metrics struct {
	families  *families
	unknown   func() *definition // for definitions that are not registered
	progress  atomic.Int64       // time of the last event that moved a saga: microseconds
	engine    atomic.Pointer[engine]
	incidents incidents

	known       atomic.Pointer[known]
	registering sync.Mutex // guards config
	config      Config     // with everything that was registered since
}

// known is what is registered. It never changes: another one takes its place.
type known struct {
	definitions map[string]*definition
	owners      []string // of the definitions' operations
}

var _ skald.Observer = (*Metrics)(nil)

// New registers the metrics of an engine that is about to be opened. Give the result to skald.Config as its Observer, and the engine to Watch. The
// error lists everything that is wrong with the configuration, or says that the metrics are registered already.
func New(c Config) (*Metrics, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if len(c.Modes) == 0 {
		c.Modes = []journal.Mode{journal.Orchestrated}
	}
	f := newFamilies()
	m := &Metrics{families: f, unknown: unregistered(f), config: c}
	m.Register()
	m.incidents.families = f
	m.progress.Store(time.Now().UnixMicro())
	if err := c.Registerer.Register(&collector{m}); err != nil {
		return nil, fmt.Errorf("register the metrics; for a second engine in one process, use prometheus.WrapRegistererWith: %w", err)
	}
	return m, nil
}

// Register adds definitions that the engine takes while it runs. What they name has series of its own from then on.
func (m *Metrics) Register(sagas ...skald.Registered) {
	m.registering.Lock()
	defer m.registering.Unlock()
	m.config.Sagas = slices.Concat(m.config.Sagas, sagas)
	m.known.Store(&known{resolve(m.families, m.config), participants(m.config.Sagas)})
}

func (c *Config) validate() error {
	var faults []error
	if c.Registerer == nil {
		faults = append(faults, errors.New("metrics: Registerer is missing; give one, such as prometheus.NewRegistry()"))
	}
	for _, mode := range c.Modes {
		if modeOf(mode) < 0 {
			faults = append(faults, fmt.Errorf("metrics: %q is no mode; use journal.Orchestrated or journal.Choreographed", mode))
		}
	}
	return errors.Join(faults...)
}

// Recorded implements skald.Observer: it counts one event.
func (m *Metrics) Recorded(s *store.Summary, e *journal.Event) {
	d := m.known.Load().definitions[s.Definition]
	if d == nil {
		d = m.unknown()
	}
	if moves(e) {
		m.progress.Store(e.Time.UnixMicro())
	}
	if e.Kind >= journal.StepAsked && e.Kind <= journal.CompensationDone {
		d.step(e.Step).count(e)
		return
	}
	d.count(s, e)
}

// Committed implements skald.Observer: it measures one group commit.
func (m *Metrics) Committed(appends int, took time.Duration) {
	m.families.batch.Observe(float64(appends))
	m.families.commit.Observe(took.Seconds())
}

// moves says whether an event brings a saga closer to its outcome; another attempt, another incident or that somebody has seen one does not.
func moves(e *journal.Event) bool {
	switch e.Kind {
	case journal.StepRetrying, journal.CompensationRetrying, journal.StepAnsweredLate, journal.IncidentOpened, journal.IncidentClosed:
		return false
	default:
		return e.Verb != journal.VerbSeen
	}
}
