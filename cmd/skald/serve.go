package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/console"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/embedded"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/metrics"
)

// serveCommand is "skald serve".
type serveCommand struct {
	guardFlags
	Listen         string        `help:"Address of the API. Without --access and TLS a loopback one." default:"127.0.0.1:7433" env:"SKALD_LISTEN"`
	Data           string        `help:"Folder of journals and broker. It must outlive the process." default:"skald-data" env:"SKALD_DATA" type:"path"`
	Definitions    []string      `help:"Files with definitions, or folders of them, that are registered, if they are not yet, before anything starts. Old versions stand before new ones." env:"SKALD_DEFINITIONS" placeholder:"PATH" type:"path"`
	Participants   string        `help:"File that says where participants are called and what they promise." env:"SKALD_PARTICIPANTS" placeholder:"FILE" type:"path"`
	Mode           skald.Mode    `help:"Who drives sagas whose start does not say it." enum:"orchestrated,choreographed" default:"orchestrated" env:"SKALD_MODE"`
	Retention      time.Duration `help:"How long ended sagas are kept." default:"720h" env:"SKALD_RETENTION"`
	Restored       bool          `help:"Go on from journals that were restored from an older backup; for one start."`
	BrokerListen   string        `help:"Loopback address of a broker inside this process, at which sidecars take part: for choreographed sagas. Without a broker there are orchestrated ones only." env:"SKALD_BROKER_LISTEN" placeholder:"HOST:PORT"`
	Broker         string        `help:"NATS servers elsewhere, separated by commas, instead of the broker inside this process." env:"SKALD_BROKER" placeholder:"nats://HOST:PORT"`
	BrokerUser     string        `help:"User at the broker; the password comes from SKALD_BROKER_PASSWORD." env:"SKALD_BROKER_USER" placeholder:"USER"`
	Credentials    string        `help:"File with credentials for the broker (.creds)." env:"SKALD_BROKER_CREDENTIALS" placeholder:"FILE" type:"path"`
	WebhookPrivate bool          `help:"Let webhooks go to loopback and private addresses, too. Without, they go to public ones only." env:"SKALD_WEBHOOK_PRIVATE"`
	BrokerCA       string        `name:"broker-ca" help:"CA of the broker's certificate, if it is none of the system's." env:"SKALD_BROKER_CA" placeholder:"FILE" type:"path"`

	ClientCert     string `name:"client-cert" help:"Certificate that participants, sidecars and the broker are shown (PEM)." env:"SKALD_CLIENT_CERT" placeholder:"FILE" type:"path"`
	ClientKey      string `name:"client-key" help:"That certificate's private key." env:"SKALD_CLIENT_KEY" placeholder:"FILE" type:"path"`
	ParticipantsCA string `name:"participants-ca" help:"CA of the certificates of participants and sidecars, if it is none of the system's." env:"SKALD_PARTICIPANTS_CA" placeholder:"FILE" type:"path"`

	Redact   []string `help:"What of payloads is not kept: visit:/card/cvv in the input of visit, visit:card.charge:result:/pan in a result of its step card.charge, visit:card.charge:input:/card in an operator's new input of it, visit:card.charge:words for what it says when it refuses or fails. A star stands for any member or element." env:"SKALD_REDACT" placeholder:"DEFINITION:/PLACE"`
	Traces   string   `help:"Where spans are sent, over OTLP/HTTP: http://127.0.0.1:4318/v1/traces. OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and OTEL_SERVICE_NAME count, too." env:"SKALD_TRACES" placeholder:"URL"`
	TraceURL string   `help:"Where the console shows traces, with {trace} for a trace's id." env:"SKALD_TRACE_URL" placeholder:"URL"`
	Debug    bool     `help:"Log more." env:"SKALD_DEBUG"`
	LogJSON  bool     `name:"log-json" help:"Log JSON, a line each." env:"SKALD_LOG_JSON"`
}

// Help implements kong.HelpProvider.
func (serveCommand) Help() string {
	return `Everything is in one folder: journals in SQLite, what was registered, and, if it has one, the broker, which syncs before it acknowledges. It prints one line when it is up, logs to stderr, and stops on SIGTERM or Ctrl-C: what is under way is waited for, and every saga goes on after the next start. Killing it loses nothing either.

Definitions and participants may also be given while it runs: "skald definitions register" and "skald participants enter".

The console for operators is at the same address. GET /livez, /readyz and /metrics are for those who watch it.`
}

// stopTime is how long what is under way may take after the program was told to stop.
const stopTime = 10 * time.Second

// Run runs the command.
func (c *serveCommand) Run(w *world) (err error) {
	if c.Mode == skald.Choreographed && !c.reached() {
		return usage(errors.New("choreographed sagas need a broker over which participants take part: add --broker-listen=127.0.0.1:4222, or --broker"))
	}
	if err := c.near(); err != nil {
		return usage(err)
	}
	s := &server{serveCommand: c, world: w, log: c.logger(w), collected: prometheus.NewRegistry()}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.prepare(); err != nil {
		return err
	}
	listener, encrypts, err := c.listen(w.ctx, c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := s.run(); err != nil {
		return err
	}
	api, handler, err := s.handler()
	if err != nil {
		return err
	}
	scheme := "http"
	if encrypts != nil {
		scheme, listener = "https", tls.NewListener(listener, encrypts)
	}
	up := fmt.Sprintf("skald serves %s://%s (data in %s)", scheme, listener.Addr(), c.Data)
	if url := s.engine.BrokerURL(); url != "" {
		up += ", broker at " + url
	}
	fmt.Fprintln(w.stdout, up)
	return s.serve(listener, handler, api)
}

// server is what is served, and what has to be closed afterwards.
type server struct {
	*serveCommand
	*world
	log       *slog.Logger
	tracing   *tracing
	registry  *declarative.Registry
	engine    *embedded.Engine
	collected *prometheus.Registry
	activity  *httpapi.Activity
	closing   []func() error // last to be opened first
}

func (s *server) close() error {
	var faults []error
	for _, one := range slices.Backward(s.closing) {
		faults = append(faults, one())
	}
	return errors.Join(faults...)
}

// closes says what is closed at the end.
func (s *server) closes(one func() error) { s.closing = append(s.closing, one) }

// prepare opens what may be wrong with flags and files.
func (s *server) prepare() (err error) {
	if s.tracing, err = s.traced(s.ctx, s.log); err != nil {
		return err
	}
	s.closes(s.tracing.stop)
	if s.registry, err = s.openRegistry(s.world, s.tracing); err != nil {
		return err
	}
	s.closes(s.registry.Close)
	return nil
}

// run opens the engine, and lets what is registered from now on reach it.
func (s *server) run() error {
	measured, err := metrics.New(metrics.Config{Registerer: s.collected, Sagas: s.registry.Sagas(), Modes: []skald.Mode{skald.Orchestrated, skald.Choreographed}})
	if err != nil {
		return err
	}
	s.activity = httpapi.NewActivity(s.registry.Sagas())
	parts, err := s.parts(s.world, s.registry, skald.Observers{measured, s.activity}, s.log)
	if err != nil {
		return err
	}
	parts.Around = s.tracing.broker
	s.engine, err = embedded.Open(s.ctx, parts)
	var faults *skald.Faults
	switch {
	case errors.As(err, &faults): // definitions, participants and what is not to be kept do not fit each other
		return usage(err)
	case err != nil:
		return err
	}
	s.closes(func() error {
		soft, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), stopTime)
		defer cancel()
		return s.engine.Stop(soft)
	})
	s.registry.Attach(func(ctx context.Context, sagas []skald.Registered, participants map[string]skald.Participant) error {
		err := s.engine.Register(ctx, sagas, participants)
		if err == nil {
			measured.Register(sagas...)
		}
		return err
	})
	measured.Watch(s.engine)
	return nil
}

// handler is all that is served: the API, the console, and figures for those who may read.
func (s *server) handler() (*httpapi.Handler, http.Handler, error) {
	door, keys, err := s.guardFlags.open(s.ctx, s.Data, s.log)
	if err != nil {
		return nil, nil, err
	}
	served := httpapi.Config{Engine: s.engine.Engine, Start: s.tracing.start(s.engine), Sagas: s.registry.Sagas(), Registry: s.registry, Remediation: s.engine.Remediation, Activity: s.activity,
		Logger: s.log, Door: door, BehindProxy: s.BehindTLSProxy, Mends: httpapi.Mends{
			Choreography: "Start skald serve with --broker-listen=127.0.0.1:4222, or with --broker where there are NATS servers.",
			Access:       "Start skald serve with --access.",
		}}
	figures := promhttp.HandlerFor(s.collected, promhttp.HandlerOpts{})
	if keys != nil {
		s.closes(keys.Close)
		served.Keys, served.Audit = keys, keys
		figures = door.Require(access.Reader, figures)
	}
	teller, err := s.teller(s.ctx, s.engine, s.log)
	if err != nil {
		return nil, nil, err
	}
	s.closes(teller.Stop)
	served.Webhooks = teller
	if err := metrics.RegisterWebhooks(s.collected, teller); err != nil {
		return nil, nil, err
	}
	api, err := httpapi.New(served)
	if err != nil {
		return nil, nil, err
	}
	pages, err := console.New(console.Config{TraceURL: s.TraceURL})
	if err != nil {
		return nil, nil, usage(fmt.Errorf("--trace-url: %w", err))
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/v1/", "/livez", "/readyz"} {
		mux.Handle(path, api)
	}
	mux.Handle("GET /metrics", figures)
	mux.Handle("/", pages) // without what they show, which they ask the API for
	return api, s.around(mux), nil
}

// serve answers requests until the process is told to stop, or the engine fails.
func (s *server) serve(l net.Listener, h http.Handler, api *httpapi.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	server.RegisterOnShutdown(api.Drain)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var failed error
	select {
	case <-s.ctx.Done():
	case <-s.engine.Failed():
		failed = fmt.Errorf("the engine had to stop: %w; start it again", s.engine.Err())
	case failed = <-served:
		return failed
	}
	soft, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), stopTime)
	defer cancel()
	if err := server.Shutdown(soft); err != nil {
		_ = server.Close() // what is still open then has had its time
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		failed = errors.Join(failed, err)
	}
	return failed
}
