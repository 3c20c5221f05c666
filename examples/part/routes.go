package part

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/examples/switches"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

func (p *Part) routes(panel *switches.Panel, m *metrics, barrier *sqlparticipant.Participant) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/operations/", panel.Interrupt(httpparticipant.Handler(m.invoker(barrier), httpparticipant.HandlerConfig{})))
	panel.Routes(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /livez", p.livez)
	if p.service.Routes != nil {
		p.service.Routes(mux)
	}
	return local.Only(http.NewCrossOriginProtection().Handler(mux))
}

// livez answers 200 when the database answers and the part takes part as it should, and tells both. A broker that is away is told, too, and no reason to start the
// service again: it connects by itself.
func (p *Part) livez(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := p.db.PingContext(ctx); err != nil {
		p.log.ErrorContext(ctx, "the database does not answer", "error", err)
		problem.New(http.StatusServiceUnavailable, "the database does not answer").Write(w)
		return
	}
	how, ended := p.choreography.state()
	if ended {
		problem.New(http.StatusServiceUnavailable, "the service "+how).Write(w)
		return
	}
	if p.broker != nil {
		if err := p.broker.Probe(ctx); err != nil {
			p.log.WarnContext(ctx, "the broker does not answer", "error", err)
			how += ", and the broker does not answer"
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok: " + how + "\n"))
}
