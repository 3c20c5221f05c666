package metrics

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skaldhq/skald"
)

// Engine is what is asked at each scrape. A *skald.Engine is one.
type Engine interface {
	// Health looks at the engine once.
	Health() skald.Health
	// Err is why the engine had to stop by itself, or nil.
	Err() error
	// List lists sagas from the store, a page at a time.
	List(ctx context.Context, f skald.Filter) (skald.Page, error)
}

// engine makes an interface something that can be replaced atomically.
type engine struct{ Engine }

// Watch shows the engine's gauges from now on, in place of those of an engine watched before. Until it is called skald_engine_up is 0 and the
// other gauges are absent.
func (m *Metrics) Watch(e Engine) { m.engine.Store(&engine{e}) }

// collector joins what was counted with what is asked now. It is registered as one, so that all or nothing is.
type collector struct{ m *Metrics }

// Descriptions of the gauges.
var (
	upDesc       = prometheus.NewDesc("skald_engine_up", "1 while the engine runs, 0 before it is open and after it had to stop by itself.", nil, nil)
	progressDesc = prometheus.NewDesc("skald_last_progress_timestamp_seconds",
		"When a saga last came closer to its outcome, or this process began.", nil, nil)
	inFlightDesc  = prometheus.NewDesc("skald_sagas_in_flight", "Sagas without an outcome that this process drives.", nil, nil)
	activeDesc    = prometheus.NewDesc("skald_sagas_active", "Sagas in flight with a call under way; the others wait for a retry or an operator.", nil, nil)
	backlogDesc   = prometheus.NewDesc("skald_commit_backlog_sagas", "Sagas whose records wait for a commit.", nil, nil)
	waitingDesc   = prometheus.NewDesc("skald_calls_waiting", "Calls that wait until their participant has fewer under way.", nil, nil)
	fullDesc      = prometheus.NewDesc("skald_store_full", "1 while the store has no room and starts are refused.", nil, nil)
	breakerDesc   = prometheus.NewDesc("skald_breaker_open", "1 while a participant is left alone because it failed repeatedly.", []string{"participant"}, nil)
	incidentsDesc = prometheus.NewDesc("skald_incidents_open", "Sagas with an open incident, by the reason of the oldest.", []string{"definition", "reason"}, nil)
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.m.families.all() {
		f.Describe(to)
	}
	for _, d := range []*prometheus.Desc{
		upDesc, progressDesc, inFlightDesc, activeDesc, backlogDesc, waitingDesc, fullDesc, breakerDesc, incidentsDesc,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	if e := c.m.engine.Load(); e != nil {
		c.m.collectEngine(to, e)
	} else {
		gauge(to, upDesc, 0)
	}
	gauge(to, progressDesc, time.UnixMicro(c.m.progress.Load()).Sub(time.UnixMicro(0)).Seconds())
	for _, f := range c.m.families.all() {
		f.Collect(to)
	}
}

func (m *Metrics) collectEngine(to chan<- prometheus.Metric, e Engine) {
	h := e.Health()
	gauge(to, upDesc, truth(e.Err() == nil))
	gauge(to, inFlightDesc, float64(h.InFlight))
	gauge(to, activeDesc, float64(h.Active))
	gauge(to, backlogDesc, float64(h.Backlog))
	gauge(to, waitingDesc, float64(h.Waiting))
	gauge(to, fullDesc, truth(h.Full))
	for _, p := range m.known.Load().owners {
		gauge(to, breakerDesc, truth(slices.Contains(h.Open, p)), p)
	}
	for of, n := range m.incidents.read(e, m.label) {
		gauge(to, incidentsDesc, float64(n), of.definition, of.reason)
	}
}

// label is an open incident under the names that are shown.
func (m *Metrics) label(definition, reason string) incident {
	d := m.known.Load().definitions[definition]
	if d == nil {
		d = m.unknown()
	}
	return incident{d.name, d.reason(reason)}
}

func gauge(to chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// incidents counts those that are open, in the store: also those that opened before this process began.
type incidents struct {
	families *families

	mu   sync.Mutex // one scrape at a time reads
	last map[incident]int
}

type incident struct{ definition, reason string }

// Limits of one reading: a scrape must not take long, and more than this is one message all the same.
const (
	readFor   = 2 * time.Second
	readPages = 10
	pageSize  = 1000
)

// read returns how many sagas have an open incident, at most 10,000 in all. If the store does not answer in time it returns what it knew last.
func (x *incidents) read(e Engine, label func(definition, reason string) incident) map[incident]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), readFor)
	defer cancel()
	found := make(map[incident]int)
	for of := range x.last { // one that was mended is shown as 0 from then on, not as gone
		found[of] = 0
	}
	f := skald.Filter{Incident: true, Oldest: true, Limit: pageSize}
	for range readPages {
		page, err := e.List(ctx, f)
		if err != nil {
			x.families.unread.Inc()
			return x.last
		}
		for i := range page.Sagas {
			found[label(page.Sagas[i].Definition, page.Sagas[i].Incident)]++
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			break
		}
	}
	x.last = found
	return found
}
