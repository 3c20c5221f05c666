// Package ingestion is the drone system's front door: it checks what a client asks for, starts its delivery, and answers 202 only once that is durable. It also takes cancels and new times, tells how every
// delivery is, and serves the page with what it shows.
//
// It starts sagas and keeps their journals, and drives none: stop it, and deliveries under way go on. What it shows of packages, drones and flights it asks their services for, over HTTP; nothing that
// a delivery needs goes that way. It listens on loopback only and asks for no password.
package ingestion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/console"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// Name is the service's name: of its database, among those that start sagas, and of its subscription to the status events.
const Name = bus.ToIngestion

// Config says what the service works with.
type Config struct {
	Listen string        // loopback address of the front door; default "127.0.0.1:0", a free port
	Data   string        // folder of its database, made if it is missing. Required
	Broker broker.Broker // carries everything; stays the caller's. Required
	Saga   *skald.Saga[deliver.Request]
	// Services are asked for what the pages show.
	Services Services
	// Sidecars are the services that take part through a sidecar, and their languages, by name: what is shown of their steps is true then. Default: all are in Go and take part themselves.
	Sidecars map[string]string
	Pages    http.Handler // served at "/"; none
	Factor   float64      // for the page: how much faster time runs in the air; flight.DefaultFactor
	Logger   *slog.Logger // default: none. It never gets payloads
}

// Services are the addresses of the others, such as "http://127.0.0.1:7001". One that is empty is not asked.
type Services struct {
	Package, Drone, Delivery, Remediation, Outsider string
}

// Ingestion is the running service. Its methods may be called concurrently.
type Ingestion struct {
	config  Config
	log     *slog.Logger
	store   *sqlitestore.Store
	engine  *skald.Engine
	letters *skald.Remediation // what the console's dead letters are seen and settled through; it also helps the service of that name
	server  *web.Server
	api     *httpapi.Handler // what the console works over
	ask     *asker
	answers *answers
	view    *view

	hearing sync.WaitGroup
	end     context.CancelFunc
	closing <-chan struct{} // closed when the service begins to stop
	failed  chan error
	stop    sync.Once
	stopErr error
}

// Start opens the database, goes on with the journals of deliveries under way, and serves. ctx bounds the start only. The caller stops what was started.
func Start(ctx context.Context, c Config) (*Ingestion, error) {
	if c.Data == "" || c.Broker == nil || c.Saga == nil {
		return nil, errors.New("service ingestion cannot start: it needs Data, a Broker and the Saga")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Factor == 0 {
		c.Factor = flight.DefaultFactor
	}
	i := &Ingestion{config: c, log: c.Logger.With("service", Name), failed: make(chan error, 1), ask: newAsker(), answers: newAnswers(), end: func() {}}
	if err := i.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("service ingestion cannot start: %w", err), i.Stop(ctx))
	}
	return i, nil
}

func (i *Ingestion) start(ctx context.Context) (err error) {
	if err := os.MkdirAll(i.config.Data, 0o700); err != nil {
		return err
	}
	if err := errors.Join(bus.Declare(ctx, i.config.Broker), bus.Subscribe(ctx, i.config.Broker, Name)); err != nil {
		return err
	}
	if i.store, err = sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(i.config.Data, Name+".db")}); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	sagas := []skald.Registered{i.config.Saga}
	observer, err := metrics.New(metrics.Config{Registerer: registry, Sagas: sagas, Modes: []journal.Mode{journal.Choreographed}})
	if err != nil {
		return err
	}
	activity := httpapi.NewActivity(sagas)
	behind := make(map[string]skald.Participant, len(i.config.Sidecars))
	for name := range i.config.Sidecars {
		behind[name] = skald.Participant{Level: participant.L1}
	}
	i.engine, err = skald.Open(ctx, skald.Config{
		Store: i.store, Sagas: sagas, Participants: behind, Mode: skald.Choreographed, Broker: i.config.Broker, Service: Name, Observer: skald.Observers{observer, activity}, Logger: i.log,
	})
	if err != nil {
		return err
	}
	observer.Watch(i.engine)
	if i.letters, err = skald.Remediate(ctx, skald.RemediationConfig{Broker: i.config.Broker, Sagas: sagas, Logger: i.log}); err != nil {
		return err
	}
	if i.api, err = httpapi.New(httpapi.Config{Engine: i.engine, Sagas: sagas, Participants: behind, Remediation: i.letters, Activity: activity, Logger: i.log}); err != nil {
		return err
	}
	pages, err := console.New(console.Config{})
	if err != nil {
		return err
	}
	listener, err := local.Listen(ctx, cmp.Or(i.config.Listen, local.AnyPort))
	if err != nil {
		return err
	}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	i.end, i.closing = end, running.Done()
	i.view = newView(i)
	i.hearing.Go(func() { i.view.run(running) })
	i.hearing.Go(func() {
		bus.Listen(running, i.config.Broker, bus.Events, Name, i.log, i.answers.hear)
	})
	i.server = web.Serve(listener, i.routes(promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}), pages), i.log)
	i.server.OnStop(end)
	i.server.OnStop(i.api.Drain)
	i.hearing.Go(func() { i.watch(running) })
	return nil
}

// watch notices that something ended by itself.
func (i *Ingestion) watch(ctx context.Context) {
	select {
	case <-i.engine.Failed():
		i.failed <- fmt.Errorf("service ingestion starts no deliveries any more: %w", i.engine.Err())
	case err := <-i.server.Failed():
		i.failed <- err
	case <-ctx.Done():
	}
}

// URL is where the service is reached, without a slash at the end.
func (i *Ingestion) URL() string { return i.server.URL() }

// Failed receives an error if the service stops by itself. The caller still stops it.
func (i *Ingestion) Failed() <-chan error { return i.failed }

// Stop ends the service: requests under way are answered until ctx ends. Deliveries go on without it.
func (i *Ingestion) Stop(ctx context.Context) error {
	i.stop.Do(func() {
		var faults []error
		if i.server != nil {
			faults = append(faults, i.server.Stop(ctx))
		}
		i.end()
		i.hearing.Wait()
		if i.letters != nil {
			faults = append(faults, i.letters.Stop(ctx))
		}
		if i.engine != nil {
			faults = append(faults, i.engine.Stop(ctx))
		}
		if i.store != nil {
			faults = append(faults, i.store.Close())
		}
		i.ask.close()
		i.stopErr = errors.Join(faults...)
	})
	return i.stopErr
}

// answerTime is how long a request waits for the Delivery service's decision before it is answered that it was asked.
const answerTime = 5 * time.Second

// routes are all pages.
func (i *Ingestion) routes(metrics, console http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/deliveryrequests", i.request)
	mux.HandleFunc("DELETE /api/deliveryrequests/{id}", i.cancel)
	mux.HandleFunc("PATCH /api/deliveryrequests/{id}", i.reschedule)
	mux.HandleFunc("GET /api/deliveryrequests/{id}/history", i.history)

	mux.HandleFunc("GET /api/area", i.area)
	mux.HandleFunc("GET /api/services", i.services)
	mux.HandleFunc("GET /api/fleet", i.fleet)
	mux.HandleFunc("GET /api/deliveries", i.list)
	mux.HandleFunc("GET /api/stream", i.stream)
	mux.HandleFunc("GET /api/deliveries/{id}", i.delivery)
	mux.HandleFunc("GET /api/deliveries/{id}/status", i.status)
	mux.HandleFunc("GET /api/deliveries/{id}/owner", i.owner)
	mux.HandleFunc("DELETE /api/deliveries/{id}", i.remove)

	i.forwards(mux)
	mux.Handle("/v1/", i.api)
	mux.Handle("/console/", http.StripPrefix("/console", console))
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /livez", i.livez)
	if i.config.Pages != nil {
		mux.Handle("/", i.config.Pages)
	}
	return mux
}

// livez answers 200 while deliveries are taken.
func (i *Ingestion) livez(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := i.config.Broker.Probe(ctx); err != nil {
		i.unavailable(w, r, err, "the broker cannot be written to now")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}
