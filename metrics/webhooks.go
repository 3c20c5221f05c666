package metrics

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skaldhq/skald/webhook"
)

// Webhooks is what is asked about deliveries at each scrape. A *sqlitewebhook.Sender is one.
type Webhooks interface {
	// Figures says how deliveries stand. It may be called concurrently.
	Figures(ctx context.Context) (webhook.Figures, error)
}

// RegisterWebhooks registers the metrics of who tells outsiders how sagas ended. The error says that they are registered already.
func RegisterWebhooks(r prometheus.Registerer, w Webhooks) error {
	if err := r.Register(&webhooks{from: w, unread: newUnreadWebhooks()}); err != nil {
		return fmt.Errorf("register the metrics of webhooks: %w", err)
	}
	return nil
}

// Descriptions of the metrics of webhooks. They have no label for endpoint, definition or namespace: those are as many as customers, and where it matters the list of endpoints says it.
var (
	attemptsDesc = prometheus.NewDesc("skald_webhook_attempts_total", "Attempts to deliver a webhook, by what came of them.", []string{"result"}, nil)
	toldDesc     = prometheus.NewDesc("skald_webhooks_waiting", "Webhooks that are to be delivered, or delivered again.", nil, nil)
	oldestDesc   = prometheus.NewDesc("skald_webhook_oldest_seconds", "Time for which the oldest of them has waited; 0 without any.", nil, nil)
)

func newUnreadWebhooks() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "skald_webhook_read_errors_total", Help: "Scrapes at which the deliveries could not be read; the other metrics of webhooks then show what was read last.",
	})
}

type webhooks struct {
	from   Webhooks
	unread prometheus.Counter

	mu   sync.Mutex // one scrape at a time reads
	last webhook.Figures
}

// Describe implements prometheus.Collector.
func (w *webhooks) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{attemptsDesc, toldDesc, oldestDesc} {
		to <- d
	}
	w.unread.Describe(to)
}

// Collect implements prometheus.Collector.
func (w *webhooks) Collect(to chan<- prometheus.Metric) {
	f := w.read()
	for result, n := range map[string]uint64{"delivered": f.Delivered, "retried": f.Retried, "given_up": f.GivenUp} {
		to <- prometheus.MustNewConstMetric(attemptsDesc, prometheus.CounterValue, float64(n), result)
	}
	gauge(to, toldDesc, float64(f.Waiting))
	age := time.Duration(0)
	if !f.Oldest.IsZero() {
		age = max(time.Since(f.Oldest), 0)
	}
	gauge(to, oldestDesc, age.Seconds())
	w.unread.Collect(to)
}

// read returns the figures, or those that were read last if they cannot be had in time.
func (w *webhooks) read() webhook.Figures {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), readFor)
	defer cancel()
	f, err := w.from.Figures(ctx)
	if err != nil {
		w.unread.Inc()
		return w.last
	}
	w.last = f
	return f
}
