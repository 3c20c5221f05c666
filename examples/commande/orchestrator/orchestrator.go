// Package orchestrator is OrchestratorService of the order system: it owns the saga that places an order, runs it over the five
// services, and serves the shop's API, and the shop's pages if it is given them. Choreographed orders it only starts and watches: it tells the services over the broker
// that there is an order, says how it ended, and keeps its history.
//
// What it acknowledged survives kill -9: journals are in <Data>/orchestrator.db, published events in <Data>/events.db. It keeps no card numbers. It
// asks for no password and encrypts nothing, so it listens on this machine's loopback only.
package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/commande/orchestrator/eventlog"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// retention is how long ended orders and their events are kept.
const retention = 30 * 24 * time.Hour

// Config says what the orchestrator works with.
type Config struct {
	Listen   string       // loopback address to serve on, such as "127.0.0.1:8080"; port 0 means any. Required without Listener
	Listener net.Listener // served instead of Listen if it is given; the orchestrator closes it, also when Start fails
	Data     string       // folder of its databases, which must exist; required
	Services Services     // where the services are; all required

	Broker broker.Broker // carries choreographed orders; the orchestrator does not close it. None: every order is orchestrated
	Mode   skald.Mode    // of new orders, until PUT /api/mode says otherwise; orchestrated

	Pages   http.Handler // the shop, served at "/"; none
	Mailbox http.Handler // the demonstration's mailbox, served at "/mailbox/"; none
	SMTP    string       // the mail server that receipts leave this machine through, for the pages; none
	Shown   []Shown      // what runs where, for the front page; default: this service and the five

	MaxInFlight int          // orders under way until new ones are refused with 503; default as in skald.Config
	Logger      *slog.Logger // default: none. It never gets card numbers or names
}

// Orchestrator is a running OrchestratorService. Its methods may be called concurrently.
type Orchestrator struct {
	config    Config
	log       *slog.Logger
	saga      *skald.Saga[placeorder.Order]
	contracts contracts
	store     *sqlitestore.Store
	events    *eventlog.Log
	egress    *httpparticipant.Egress
	services  *asker
	engine    *skald.Engine
	operators *httpapi.Handler // the API that the console works over
	announcer *announcer
	metrics   http.Handler
	mode      atomic.Pointer[skald.Mode] // of new orders

	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
	requests sync.RWMutex // held for reading by each request, for writing once they are no longer answered
	failed   chan error
	closing  chan struct{} // closed when no order is taken any more
	drain    sync.Once
	drainErr error
	left     int // orders without an outcome when it drained
	stop     sync.Once
	stopErr  error
}

// Start opens the databases, goes on with every order that has no outcome yet, and serves. ctx bounds the start only. The caller stops what was started.
func Start(ctx context.Context, c Config) (*Orchestrator, error) {
	if c.Listener == nil {
		l, err := local.Listen(ctx, c.Listen)
		if err != nil {
			return nil, err
		}
		c.Listener = l
	}
	o := &Orchestrator{config: c, log: c.Logger, listener: c.Listener, failed: make(chan error, 1), closing: make(chan struct{})}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if err := o.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start OrchestratorService: %w", err), o.abandon(ctx))
	}
	o.serve()
	return o, nil
}

// open makes everything that is served.
func (o *Orchestrator) open(ctx context.Context) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	if o.saga, err = placeorder.Definition(); err != nil {
		return err
	}
	if o.contracts, err = contractsOf(o.saga.Canonical()); err != nil {
		return err
	}
	if o.store, err = sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(o.config.Data, "orchestrator.db")}); err != nil {
		return err
	}
	if o.events, err = eventlog.Open(filepath.Join(o.config.Data, "events.db"), retention); err != nil {
		return err
	}
	o.services = newAsker(o.config.Services)
	if err := o.openEngine(ctx); err != nil {
		return err
	}
	o.announcer = newAnnouncer(o.engine, o.contracts, o.events, o.events, o.log)
	if err := o.announcer.resume(ctx); err != nil {
		return err
	}
	routes, err := o.routes()
	if err != nil {
		return err
	}
	o.server = &http.Server{
		Handler: o.counted(routes), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(o.log.Handler(), slog.LevelDebug),
	}
	o.server.RegisterOnShutdown(o.operators.Drain)
	return nil
}

// check finds what is missing, all at once.
func (o *Orchestrator) check() error {
	var faults []error
	if o.config.Data == "" {
		faults = append(faults, errors.New("Data is empty: name the folder for its databases"))
	}
	for _, s := range o.config.Services.all() {
		if s.url == "" {
			faults = append(faults, fmt.Errorf("the address of %s is missing: give it, such as http://127.0.0.1:8081", s.name))
		}
	}
	mode := cmp.Or(o.config.Mode, skald.Orchestrated)
	if o.mode.Store(&mode); !slices.Contains(o.modes(), mode) {
		faults = append(faults, fmt.Errorf("orders cannot be placed in mode %q: there is %v; choreographed needs a broker, such as BROKER=nats://127.0.0.1:4222", mode, o.modes()))
	}
	if a, ok := o.listener.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		faults = append(faults, fmt.Errorf("other machines can reach %s, and nothing here asks for a password: listen on 127.0.0.1", o.listener.Addr()))
	}
	return errors.Join(faults...)
}

// openEngine opens the engine with its metrics. All participants share one way out.
func (o *Orchestrator) openEngine(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	sagas := []skald.Registered{o.saga}
	observer, err := metrics.New(metrics.Config{Registerer: registry, Sagas: sagas})
	if err != nil {
		return err
	}
	activity := httpapi.NewActivity(sagas)
	o.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 8, Timeout: 10 * time.Second})
	o.egress = httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	participants := make(map[string]skald.Participant)
	for _, s := range o.config.Services.all() {
		client, err := httpparticipant.New(httpparticipant.Config{BaseURL: s.url, Egress: o.egress})
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		participants[s.name] = skald.Participant{Invoker: client, Level: participant.L2}
	}
	o.engine, err = skald.Open(ctx, skald.Config{
		Store: o.store, Sagas: sagas, Participants: participants, Broker: o.config.Broker, Service: source,
		MaxInFlight: o.config.MaxInFlight, Retention: retention, Observer: skald.Observers{observer, activity}, Logger: o.log,
	})
	if err != nil {
		return err
	}
	observer.Watch(o.engine)
	o.operators, err = httpapi.New(httpapi.Config{Engine: o.engine, Sagas: sagas, Participants: participants, Activity: activity, Logger: o.log})
	return err
}

// serve begins to serve, and watches the engine.
func (o *Orchestrator) serve() {
	o.serving.Go(func() {
		if err := o.server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) {
			o.fail(fmt.Errorf("OrchestratorService cannot be reached any more: %w", err))
		}
	})
	o.serving.Go(func() {
		select {
		case <-o.engine.Failed():
			o.fail(fmt.Errorf("OrchestratorService had to stop: %w; start it again, it goes on from its journal", o.engine.Err()))
		case <-o.events.Failed():
			o.fail(errors.New("OrchestratorService had to stop: the disk did not sync its events; start it again, it goes on from what is durable"))
		case <-o.closing:
		}
	})
}

func (o *Orchestrator) fail(err error) {
	select {
	case o.failed <- err:
	default: // one reason is enough
	}
}

// Addr is the address that it serves on.
func (o *Orchestrator) Addr() string { return o.listener.Addr().String() }

// URL is where it is reached, without a slash at the end.
func (o *Orchestrator) URL() string { return "http://" + o.Addr() }

// Failed has an error once it had to stop by itself; the caller still stops it.
func (o *Orchestrator) Failed() <-chan error { return o.failed }

func (o *Orchestrator) stopping() bool {
	select {
	case <-o.closing:
		return true
	default:
		return false
	}
}

// Drain takes no more orders and stops the engine: softly, so that calls under way are answered, then hard when ctx ends. Questions are still
// answered and events still taken in. Orders go on after the next Start.
func (o *Orchestrator) Drain(ctx context.Context) error {
	o.drain.Do(func() {
		close(o.closing)
		o.drainErr = o.engine.Stop(ctx)
		o.left = o.unended(ctx)
		o.announcer.stop()
		o.egress.Close() // so that no service waits for connections that nobody uses
		o.services.close()
	})
	return o.drainErr
}

// Left is how many orders had no outcome when Drain returned: they go on after the next Start. It is 0 before.
func (o *Orchestrator) Left() int { return o.left }

// unended counts the orders without an outcome. It is told to people only, so a store that cannot be read is worth no more than the log.
func (o *Orchestrator) unended(ctx context.Context) int {
	n := 0
	for filter := (skald.Filter{Definition: placeorder.Name, Unended: true, Limit: 1000}); ; {
		page, err := o.store.List(ctx, filter)
		if err != nil {
			o.log.Warn("the orders that go on after the next start cannot be counted", "error", err)
			return n
		}
		n += len(page.Sagas)
		if filter.Cursor = page.Next; filter.Cursor == "" {
			return n
		}
	}
}

// Stop drains, and then ends everything. Requests under way are waited for until ctx ends.
func (o *Orchestrator) Stop(ctx context.Context) error {
	o.stop.Do(func() {
		faults := []error{o.Drain(ctx)}
		o.shutDown(ctx)
		o.serving.Wait()
		o.stopErr = errors.Join(append(faults, o.release())...)
	})
	return o.stopErr
}

// shutDown ends the server when no request is being answered, or when ctx ends. The server's own way of waiting would wait for connections on
// which browsers never asked anything, for 5 s each time.
func (o *Orchestrator) shutDown(ctx context.Context) {
	o.serving.Go(func() { _ = o.server.Shutdown(ctx) }) // closes the listener and idle connections at once
	answered := make(chan struct{})
	go func() {
		o.requests.Lock() // once it is held, requests are refused
		close(answered)
	}()
	select {
	case <-answered:
	case <-ctx.Done():
	}
	_ = o.server.Close() // nobody is left to tell
	<-answered           // cut off, the rest ends by itself
}

// counted lets a stop wait for requests.
func (o *Orchestrator) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.requests.TryRLock() {
			busy(w, stoppingDetail, time.Second)
			return
		}
		defer o.requests.RUnlock()
		next.ServeHTTP(w, r)
	})
}

// abandon ends what a failed start has begun.
func (o *Orchestrator) abandon(ctx context.Context) error {
	faults := []error{o.listener.Close()}
	if o.announcer != nil {
		o.announcer.stop()
	}
	if o.engine != nil {
		faults = append(faults, o.engine.Stop(ctx))
	}
	return errors.Join(append(faults, o.release())...)
}

// release closes what is open when nothing runs any more.
func (o *Orchestrator) release() error {
	var faults []error
	if o.services != nil {
		o.services.close()
	}
	if o.egress != nil {
		o.egress.Close()
	}
	if o.events != nil {
		faults = append(faults, o.events.Close())
	}
	if o.store != nil {
		faults = append(faults, o.store.Close())
	}
	return errors.Join(faults...)
}

// takeEvent keeps an event that a service published. It returns when the event is durable.
func (o *Orchestrator) takeEvent(ctx context.Context, m participant.Message) error {
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	return o.events.Publish(ctx, []participant.Message{m})
}
