package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/access/sqliteaccess"
	"github.com/skaldhq/skald/console"
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
	BrokerListen   string        `help:"Loopback address of a broker inside this process, at which sidecars take part: for choreographed sagas. Without a broker there are orchestrated ones only." env:"SKALD_BROKER_LISTEN" placeholder:"HOST:PORT"`
	Broker         string        `help:"NATS servers elsewhere, separated by commas, instead of the broker inside this process." env:"SKALD_BROKER" placeholder:"nats://HOST:PORT"`
	BrokerUser     string        `help:"User at the broker; the password comes from SKALD_BROKER_PASSWORD." env:"SKALD_BROKER_USER" placeholder:"USER"`
	Credentials    string        `help:"File with credentials for the broker (.creds)." env:"SKALD_BROKER_CREDENTIALS" placeholder:"FILE" type:"path"`
	WebhookPrivate bool          `help:"Let webhooks go to loopback and private addresses, too. Without, they go to public ones only." env:"SKALD_WEBHOOK_PRIVATE"`
	TraceURL       string        `help:"Where the console shows traces, with {trace} for a trace's id." env:"SKALD_TRACE_URL" placeholder:"URL"`
	Debug          bool          `help:"Log more." env:"SKALD_DEBUG"`
	LogJSON        bool          `name:"log-json" help:"Log JSON, a line each." env:"SKALD_LOG_JSON"`
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
	log := c.logger(w)
	registry, err := c.registry(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, registry.Close()) }()
	listener, encrypts, err := c.listen(w.ctx, c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	collected := prometheus.NewRegistry()
	measured, err := metrics.New(metrics.Config{Registerer: collected, Sagas: registry.Sagas(), Modes: []skald.Mode{skald.Orchestrated, skald.Choreographed}})
	if err != nil {
		return err
	}
	activity := httpapi.NewActivity(registry.Sagas())
	engine, err := embedded.Open(w.ctx, c.parts(w, registry, skald.Observers{measured, activity}, log))
	if err != nil {
		return err
	}
	defer func() {
		soft, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), stopTime)
		defer cancel()
		err = errors.Join(err, engine.Stop(soft))
	}()
	registry.Attach(func(ctx context.Context, sagas []skald.Registered, participants map[string]skald.Participant) error {
		err := engine.Register(ctx, sagas, participants)
		if err == nil {
			measured.Register(sagas...)
		}
		return err
	})
	measured.Watch(engine)
	door, keys, err := c.guardFlags.open(w.ctx, c.Data, log)
	if err != nil {
		return err
	}
	if keys != nil {
		defer func() { err = errors.Join(err, keys.Close()) }()
	}
	teller, err := c.teller(w, engine, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, teller.Stop()) }()
	served := httpapi.Config{Engine: engine.Engine, Webhooks: teller, Sagas: registry.Sagas(), Registry: registry, Remediation: engine.Remediation, Activity: activity, Logger: log, Door: door, BehindProxy: c.BehindTLSProxy}
	api, handler, err := c.handler(served, keys, promhttp.HandlerFor(collected, promhttp.HandlerOpts{}))
	if err != nil {
		return err
	}
	scheme := "http"
	if encrypts != nil {
		scheme, listener = "https", tls.NewListener(listener, encrypts)
	}
	up := fmt.Sprintf("skald serves %s://%s (data in %s)", scheme, listener.Addr(), c.Data)
	if url := engine.BrokerURL(); url != "" {
		up += ", broker at " + url
	}
	fmt.Fprintln(w.stdout, up)
	return c.serve(w, listener, handler, api, engine)
}

// handler is all that is served: the API, the console, and figures for those who may read.
func (c *serveCommand) handler(served httpapi.Config, keys *sqliteaccess.Store, figures http.Handler) (*httpapi.Handler, http.Handler, error) {
	if keys != nil {
		served.Keys, served.Audit = keys, keys
		figures = served.Door.Require(access.Reader, figures)
	}
	api, err := httpapi.New(served)
	if err != nil {
		return nil, nil, err
	}
	pages, err := console.New(console.Config{TraceURL: c.TraceURL})
	if err != nil {
		return nil, nil, usage(err)
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/v1/", "/livez", "/readyz"} {
		mux.Handle(path, api)
	}
	mux.Handle("GET /metrics", figures)
	mux.Handle("/", pages) // without what they show, which they ask the API for
	return api, c.around(mux), nil
}

// serve answers requests until the process is told to stop, or the engine fails.
func (c *serveCommand) serve(w *world, l net.Listener, h http.Handler, api *httpapi.Handler, engine *embedded.Engine) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	server.RegisterOnShutdown(api.Drain)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var failed error
	select {
	case <-w.ctx.Done():
	case <-engine.Failed():
		failed = fmt.Errorf("the engine had to stop: %w; start it again", engine.Err())
	case failed = <-served:
		return failed
	}
	soft, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), stopTime)
	defer cancel()
	if err := server.Shutdown(soft); err != nil {
		_ = server.Close() // what is still open then has had its time
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		failed = errors.Join(failed, err)
	}
	return failed
}
