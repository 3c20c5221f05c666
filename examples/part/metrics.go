package part

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Results of calls in metrics. A repetition of a call is told apart from the call, because only one of them did something.
const (
	resultDone      = "done"
	resultRefused   = "refused"
	resultUnknown   = "unknown"
	resultDuplicate = "duplicate"       // an action was answered from the barrier
	resultNothing   = "nothing_to_undo" // a compensation found nothing to undo, or nothing any more
)

// metrics are a part's numbers for Prometheus. Labels take the names of the part's own operations and the results above, and nothing else.
type metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "skald_participant_operations_total",
			Help: "Calls answered, by operation and result: done, refused, unknown, duplicate (answered from the barrier) or nothing_to_undo.",
		}, []string{"operation", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "skald_participant_operation_seconds",
			Help:    "Time to answer a call, in seconds, by operation.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
	}
	m.registry.MustRegister(m.operations, m.seconds, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

type ranKey struct{}

// observe notes, in the call's context, that a handler's function ran. It also makes every series of the handlers exist from the start.
func (m *metrics) observe(handlers []participant.Handler) []participant.Handler {
	note := func(ctx context.Context) {
		if ran, ok := ctx.Value(ranKey{}).(*bool); ok {
			*ran = true
		}
	}
	for i, h := range handlers {
		m.series(h)
		if h.Prepare != nil {
			handlers[i].Prepare = func(ctx context.Context, input []byte) (context.Context, error) {
				next, err := h.Prepare(ctx, input)
				if err != nil {
					note(ctx) // Do will not run
				}
				return next, err
			}
		}
		handlers[i].Do = func(ctx context.Context, tx participant.Tx, input []byte) ([]byte, error) {
			note(ctx)
			return h.Do(ctx, tx, input)
		}
		if h.Undo != nil {
			handlers[i].Undo = func(ctx context.Context, tx participant.Tx, input, result []byte) error {
				note(ctx)
				return h.Undo(ctx, tx, input, result)
			}
		}
	}
	return handlers
}

// series makes the counters that an operation can have, at zero: a rate needs a beginning.
func (m *metrics) series(h participant.Handler) {
	for _, result := range []string{resultDone, resultRefused, resultUnknown} {
		m.operations.WithLabelValues(h.Action, result)
		if h.Compensation != "" {
			m.operations.WithLabelValues(h.Compensation, result)
		}
	}
	m.operations.WithLabelValues(h.Action, resultDuplicate)
	if h.Compensation != "" {
		m.operations.WithLabelValues(h.Compensation, resultNothing)
	}
}

// invoker counts and times the calls to a participant.
func (m *metrics) invoker(p *sqlparticipant.Participant) participant.Invoker {
	return counted{p, m}
}

type counted struct {
	*sqlparticipant.Participant
	metrics *metrics
}

// Invoke implements participant.Invoker.
func (c counted) Invoke(ctx context.Context, call participant.Call) participant.Answer {
	began, ran := time.Now(), new(bool)
	answer := c.Participant.Invoke(context.WithValue(ctx, ranKey{}, ran), call)
	c.metrics.seconds.WithLabelValues(call.Operation).Observe(time.Since(began).Seconds())
	c.metrics.operations.WithLabelValues(call.Operation, result(call, answer, *ran)).Inc()
	return answer
}

func result(call participant.Call, a participant.Answer, ran bool) string {
	switch {
	case a.Class == participant.Unknown:
		return resultUnknown
	case !ran && call.Phase == participant.Action:
		return resultDuplicate
	case a.Class == participant.Refused:
		return resultRefused
	case !ran:
		return resultNothing
	}
	return resultDone
}

// watch adds gauges that ask how far sending events is behind.
func (m *metrics) watch(backlog func(context.Context) (sqlparticipant.Backlog, error)) {
	m.registry.MustRegister(&outbox{
		backlog:  backlog,
		messages: prometheus.NewDesc("skald_participant_outbox_messages", "Events that wait to be sent.", nil, nil),
		age:      prometheus.NewDesc("skald_participant_outbox_age_seconds", "Age of the oldest event that waits to be sent, in seconds; 0 if none does.", nil, nil),
	})
}

// outbox collects the outbox's state when it is scraped.
type outbox struct {
	backlog       func(context.Context) (sqlparticipant.Backlog, error)
	messages, age *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (o *outbox) Describe(to chan<- *prometheus.Desc) {
	to <- o.messages
	to <- o.age
}

// Collect implements prometheus.Collector.
func (o *outbox) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	b, err := o.backlog(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(o.messages, errors.Join(errors.New("the outbox cannot be counted"), err))
		return
	}
	age := 0.0
	if !b.Oldest.IsZero() {
		age = max(0, time.Since(b.Oldest).Seconds())
	}
	to <- prometheus.MustNewConstMetric(o.messages, prometheus.GaugeValue, float64(b.Messages))
	to <- prometheus.MustNewConstMetric(o.age, prometheus.GaugeValue, age)
}
