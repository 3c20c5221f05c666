package sidecar

import (
	"context"
	"database/sql"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/skaldhq/skald/participant"
)

// metrics is what a sidecar counts. Its labels are operations of the definitions and classes of answers: closed sets.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	repeated *prometheus.CounterVec
	stale    prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "skald_sidecar_calls_total",
			Help: "Calls of the service, by operation and by what the answer meant."}, []string{"operation", "class"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "skald_sidecar_call_duration_seconds",
			Help: "How long the service took to answer.", Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12)}, []string{"operation"}),
		repeated: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "skald_sidecar_repeated_total",
			Help: "Actions that were answered from the inbox, without the service."}, []string{"operation"}),
		stale: prometheus.NewCounter(prometheus.CounterOpts{Name: "skald_sidecar_stale_calls_total",
			Help: "Calls of a coordinator that another one has taken over from; none was passed on."}),
	}
	m.registry.MustRegister(m.calls, m.duration, m.repeated, m.stale, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) call(operation string, class participant.Class, took time.Duration) {
	m.calls.WithLabelValues(operation, class.String()).Inc()
	m.duration.WithLabelValues(operation).Observe(took.Seconds())
}

// gauges are read from the sidecar's database and its state at each scrape.
func (m *metrics) gauges(db *sql.DB, name string, ready func() bool) {
	count := func(metric, help, query string, args ...any) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metric, Help: help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), probeTime)
			defer cancel()
			var n float64
			if err := db.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
				return -1
			}
			return n
		}))
	}
	count("skald_sidecar_tokens_untold", "Tokens that are not known to be decided, -1 if they cannot be counted.",
		`SELECT count(*) FROM skald_token WHERE owner = ? AND heard = 0`, name)
	count("skald_sidecar_calls_waiting", "Calls without a known result that are to be made again, -1 if they cannot be counted.",
		`SELECT count(*) FROM skald_waiting WHERE owner = ?`, name)
	count("skald_sidecar_calls_unanswered", "Calls that were about to be made and have no recorded answer, -1 if they cannot be counted.",
		`SELECT count(*) FROM skald_sidecar_asked a WHERE NOT EXISTS (SELECT 1 FROM skald_barrier b WHERE b.saga = a.saga AND b.step = a.step)`)
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "skald_sidecar_ready",
		Help: "1 while the broker, the service and the database answer."}, func() float64 {
		if ready() {
			return 1
		}
		return 0
	}))
}
