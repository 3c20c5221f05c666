package sidecar

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald/participant/httpparticipant"
)

// probeTime bounds one look at what a sidecar depends on.
const probeTime = 2 * time.Second

// handler is what the sidecar serves.
func (s *Sidecar) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/operations/", httpparticipant.Handler(s.inbox, httpparticipant.HandlerConfig{Now: s.cfg.Now}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Err(); err != nil {
			say(w, http.StatusServiceUnavailable, map[string]string{"sidecar": err.Error()})
			return
		}
		say(w, http.StatusOK, map[string]string{"sidecar": "ok", "level": s.inbox.Level().String()})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		parts, ready := s.look(r.Context())
		status := http.StatusOK
		if !ready {
			status = http.StatusServiceUnavailable
		}
		say(w, status, parts)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.inbox.watch.registry, promhttp.HandlerOpts{}))
	return mux
}

// say answers with a small document.
func say(w http.ResponseWriter, status int, parts map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(parts) // whoever asked has gone if this fails
}

// look says of each thing that the sidecar depends on whether it answers.
func (s *Sidecar) look(ctx context.Context) (parts map[string]string, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	parts, ready = map[string]string{"level": s.inbox.Level().String()}, true
	note := func(part string, err error) {
		parts[part] = "ok"
		if err != nil {
			parts[part], ready = err.Error(), false
		}
	}
	note("sidecar", s.Err())
	note("database", s.inbox.db.PingContext(ctx))
	note("service", s.service.reachable(ctx))
	if s.cfg.Broker != nil {
		note("broker", s.cfg.Broker.Probe(ctx))
	}
	return parts, ready
}

// reachable says whether anybody takes connections where the service should be. It asks the service nothing: which question would be harmless only the service knows.
func (t target) reachable(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, t.network, t.address)
	if err != nil {
		return fmt.Errorf("the service cannot be reached: %w", err)
	}
	return conn.Close()
}
