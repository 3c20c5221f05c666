package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

// agreeing is a participant that does everything it is asked for.
type agreeing struct{}

func (agreeing) Invoke(context.Context, participant.Call) participant.Answer {
	return participant.Answer{Class: participant.Done, Result: []byte(`"done"`)}
}

// The metrics are the engine's observer, and watch it for the gauges; any Prometheus handler serves them.
func Example() {
	if err := scrapeOneSaga(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: skald_steps_reached_total{definition="greeting",result="done",step="post.card"} 1
}

func scrapeOneSaga(ctx context.Context) error {
	greeting := skald.Define[string]("greeting")
	skald.Step(greeting, skald.Pivot[string, string]("post.card"), skald.From(func(to string) string { return to }))
	saga, err := greeting.Build()
	if err != nil {
		return err
	}
	sagas, registry := []skald.Registered{saga}, prometheus.NewRegistry()
	m, err := metrics.New(metrics.Config{Registerer: registry, Sagas: sagas})
	if err != nil {
		return err
	}
	engine, err := skald.Open(ctx, skald.Config{
		Store: memstore.New(), Sagas: sagas, Observer: m,
		Participants: map[string]skald.Participant{"post": {Invoker: agreeing{}, Level: participant.L2}},
	})
	if err != nil {
		return err
	}
	m.Watch(engine)
	run, err := saga.Start(ctx, engine, "Ada")
	if err != nil {
		return err
	}
	if _, err := run.Wait(ctx); err != nil {
		return err
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil))
	text, err := io.ReadAll(w.Body)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "skald_steps_reached_total{") && strings.Contains(line, `result="done"`) {
			fmt.Print(line)
		}
	}
	if err != nil {
		return err
	}
	return engine.Stop(ctx)
}
