package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// families are the metrics that events make. The gauges, which are asked for at each scrape, are in collector.go.
type families struct {
	started       *prometheus.CounterVec
	recovered     *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	failed        *prometheus.CounterVec
	reached       *prometheus.CounterVec
	retries       *prometheus.CounterVec
	compensations *prometheus.CounterVec
	incidents     *prometheus.CounterVec
	unread        prometheus.Counter
	batch         prometheus.Histogram
	commit        prometheus.Histogram
}

func newFamilies() *families {
	return &families{
		started:   counters("skald_sagas_started_total", "Sagas whose start is durable.", "definition", "mode"),
		recovered: counters("skald_sagas_recovered_total", "Unended sagas that this process picked up from the store.", "definition"),
		duration: prometheus.NewHistogramVec(native(prometheus.HistogramOpts{
			Name:    "skald_saga_duration_seconds",
			Help:    "Time from a saga's start to its outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600},
		}), []string{"definition", "mode", "outcome"}),
		failed: counters("skald_sagas_failed_total",
			"Sagas with the outcome compensated, by the step and reason code that turned them back.", "definition", "step", "reason"),
		reached: counters("skald_steps_reached_total", "Steps that were asked for, and what became of them.", "definition", "step", "result"),
		retries: counters("skald_retries_total",
			"Attempts with an unknown result that are made again, of a step's action or its compensation.", "definition", "step", "phase"),
		compensations: counters("skald_compensations_total", "Compensations that were asked for, and how they ended.", "definition", "step", "result"),
		incidents:     counters("skald_incidents_opened_total", "Incidents that opened.", "definition", "reason"),
		unread: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "skald_incident_read_errors_total",
			Help: "Scrapes at which the open incidents could not be read; skald_incidents_open then shows what was read last.",
		}),
		batch: prometheus.NewHistogram(native(prometheus.HistogramOpts{
			Name: "skald_commit_batch_size", Help: "Sagas whose records one group commit carried.", Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		})),
		commit: prometheus.NewHistogram(native(prometheus.HistogramOpts{
			Name: "skald_commit_duration_seconds", Help: "Time that one group commit took, with waiting for a full store.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		})),
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// native adds a native histogram, which a Prometheus that asks for it gets beside the classic buckets.
func native(o prometheus.HistogramOpts) prometheus.HistogramOpts {
	o.NativeHistogramBucketFactor = 1.1
	o.NativeHistogramMaxBucketNumber = 100
	o.NativeHistogramMinResetDuration = time.Hour
	return o
}

func (f *families) all() []prometheus.Collector {
	return []prometheus.Collector{
		f.started, f.recovered, f.duration, f.failed, f.reached, f.retries, f.compensations, f.incidents, f.unread, f.batch, f.commit,
	}
}
