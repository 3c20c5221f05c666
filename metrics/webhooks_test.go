package metrics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/webhook"
)

// post has figures, or an error.
type post struct {
	has webhook.Figures
	err error
}

// Figures implements metrics.Webhooks.
func (p *post) Figures(context.Context) (webhook.Figures, error) { return p.has, p.err }

const posted = `# HELP skald_webhook_attempts_total Attempts to deliver a webhook, by what came of them.
# TYPE skald_webhook_attempts_total counter
skald_webhook_attempts_total{result="delivered"} 7
skald_webhook_attempts_total{result="given_up"} 1
skald_webhook_attempts_total{result="retried"} 12
# HELP skald_webhooks_waiting Webhooks that are to be delivered, or delivered again.
# TYPE skald_webhooks_waiting gauge
skald_webhooks_waiting 2
`

// What cannot be read is shown as it was read last, and counted.
func TestWebhooksAreMeasured(t *testing.T) {
	registry, p := prometheus.NewRegistry(), &post{has: webhook.Figures{Delivered: 7, Retried: 12, GivenUp: 1, Waiting: 2, Oldest: time.Now().Add(-time.Hour)}}
	if err := metrics.RegisterWebhooks(registry, p); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := testutil.GatherAndCompare(registry, strings.NewReader(posted), "skald_webhook_attempts_total", "skald_webhooks_waiting"); err != nil {
			t.Error(err)
		}
		if age := value(t, registry, "skald_webhook_oldest_seconds"); age < 3600 || age > 3660 {
			t.Errorf("the oldest has waited for %v s", age)
		}
		p.err = errors.New("the disk is slow")
	}
	if n := value(t, registry, "skald_webhook_read_errors_total"); n == 0 {
		t.Error("that they cannot be read is not counted")
	}
	*p = post{}
	if age := value(t, registry, "skald_webhook_oldest_seconds"); age != 0 {
		t.Errorf("without any the oldest has waited for %v s", age)
	}
	if err := metrics.RegisterWebhooks(registry, p); err == nil {
		t.Error("they are registered twice")
	}
}

// value is that of a metric without labels.
func value(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}
