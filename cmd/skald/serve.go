package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/embedded"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sidecar"
)

// serveCommand is "skald serve".
type serveCommand struct {
	guardFlags
	Listen       string            `help:"Address of the API. Without --access and TLS a loopback one." default:"127.0.0.1:7433" env:"SKALD_LISTEN"`
	Data         string            `help:"Folder of journals and broker. It must outlive the process." default:"skald-data" env:"SKALD_DATA" type:"path"`
	Definitions  []string          `help:"Files with definitions, or folders of them. Old versions may stand before new ones." env:"SKALD_DEFINITIONS" placeholder:"PATH" type:"path"`
	Participant  map[string]string `help:"Where a participant answers over HTTP: depot=http://127.0.0.1:9000." mapsep:"," env:"SKALD_PARTICIPANT" placeholder:"NAME=URL"`
	Level        map[string]string `help:"What a participant promises when a call reaches it twice: depot=L2. Without: L0." mapsep:"," env:"SKALD_LEVEL" placeholder:"NAME=LEVEL"`
	Mode         skald.Mode        `help:"Who drives sagas whose start does not say it." enum:"orchestrated,choreographed" default:"orchestrated" env:"SKALD_MODE"`
	Retention    time.Duration     `help:"How long ended sagas are kept." default:"720h" env:"SKALD_RETENTION"`
	BrokerListen string            `help:"Loopback address at which sidecars find the broker inside this process. Without, it opens no port." env:"SKALD_BROKER_LISTEN" placeholder:"HOST:PORT"`
	Broker       string            `help:"NATS servers elsewhere, separated by commas, instead of the broker inside this process." env:"SKALD_BROKER" placeholder:"nats://HOST:PORT"`
	BrokerUser   string            `help:"User at the broker; the password comes from SKALD_BROKER_PASSWORD." env:"SKALD_BROKER_USER" placeholder:"USER"`
	Credentials  string            `help:"File with credentials for the broker (.creds)." env:"SKALD_BROKER_CREDENTIALS" placeholder:"FILE" type:"path"`
	Debug        bool              `help:"Log more." env:"SKALD_DEBUG"`
	LogJSON      bool              `name:"log-json" help:"Log JSON, a line each." env:"SKALD_LOG_JSON"`
}

// Help implements kong.HelpProvider.
func (serveCommand) Help() string {
	return `Everything is in one folder and opens no port but that of the API: journals in SQLite, and a broker that syncs before it acknowledges. It prints one line when it is up, logs to stderr, and stops on SIGTERM or Ctrl-C: what is under way is waited for, and every saga goes on after the next start. Killing it loses nothing either.

GET /livez, /readyz and /metrics are for those who watch it.`
}

// stopTime is how long what is under way may take after the program was told to stop.
const stopTime = 10 * time.Second

// Run runs the command.
func (c *serveCommand) Run(w *world) (err error) {
	log := c.logger(w)
	sagas, err := c.sagas()
	if err != nil {
		return err
	}
	participants, err := c.participants()
	if err != nil {
		return err
	}
	listener, encrypts, err := c.listen(w.ctx, c.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	registry := prometheus.NewRegistry()
	measured, err := metrics.New(metrics.Config{Registerer: registry, Sagas: sagas, Modes: []skald.Mode{skald.Orchestrated, skald.Choreographed}})
	if err != nil {
		return err
	}
	engine, err := embedded.Open(w.ctx, embedded.Config{
		Data: c.Data, Sagas: sagas, Participants: participants, Mode: c.Mode, Retention: c.Retention, Observer: measured, Logger: log, BrokerListen: c.BrokerListen,
		Broker:     natsbroker.Config{URL: c.Broker, User: c.BrokerUser, Password: w.getenv(sidecar.PasswordVariable), Credentials: c.Credentials},
		BrokerUser: c.BrokerUser, BrokerPassword: w.getenv(sidecar.PasswordVariable),
	})
	if err != nil {
		return err
	}
	defer func() {
		soft, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), stopTime)
		defer cancel()
		err = errors.Join(err, engine.Stop(soft))
	}()
	measured.Watch(engine)
	door, keys, err := c.guardFlags.open(w.ctx, c.Data, log)
	if err != nil {
		return err
	}
	served := httpapi.Config{Engine: engine.Engine, Sagas: sagas, Participants: participants, Remediation: engine.Remediation, Logger: log, Door: door, BehindProxy: c.BehindTLSProxy}
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	if door != nil {
		defer func() { err = errors.Join(err, keys.Close()) }()
		served.Keys, served.Audit = keys, keys
		figures = door.Require(access.Reader, figures)
	}
	api, err := httpapi.New(served)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.Handle("GET /metrics", figures)
	scheme := "http"
	if encrypts != nil {
		scheme, listener = "https", tls.NewListener(listener, encrypts)
	}
	up := fmt.Sprintf("skald serves %s://%s (data in %s)", scheme, listener.Addr(), c.Data)
	if url := engine.BrokerURL(); url != "" {
		up += ", broker at " + url
	}
	fmt.Fprintln(w.stdout, up)
	return c.serve(w, listener, c.around(mux), api, engine)
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

func (c *serveCommand) logger(w *world) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.Debug {
		options.Level = slog.LevelDebug
	}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(w.stderr, options))
	}
	return slog.New(slog.NewTextHandler(w.stderr, options))
}

// sagas reads the definitions.
func (c *serveCommand) sagas() ([]skald.Registered, error) {
	if len(c.Definitions) == 0 {
		return nil, usage(errors.New("say what to run: --definitions=FILE or a folder of them (docs/participants.md has the form)"))
	}
	read, err := readDefinitions(c.Definitions)
	sagas := make([]skald.Registered, len(read))
	for i := range read {
		sagas[i] = read[i]
	}
	return sagas, err
}

// participants says where calls go.
func (c *serveCommand) participants() (map[string]skald.Participant, error) {
	all := map[string]skald.Participant{}
	var faults []error
	egress := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	for name, address := range c.Participant {
		level, err := levelOf(c.Level[name])
		if err != nil {
			faults = append(faults, fmt.Errorf("--level=%s=%s: %w", name, c.Level[name], err))
			continue
		}
		caller, err := httpparticipant.New(httpparticipant.Config{BaseURL: address, Level: level, Egress: egress})
		if err != nil {
			faults = append(faults, fmt.Errorf("--participant=%s=%s: %w", name, address, err))
			continue
		}
		all[name] = skald.Participant{Invoker: caller, Level: level}
	}
	for name := range c.Level {
		if _, known := c.Participant[name]; !known {
			faults = append(faults, fmt.Errorf("--level=%s=%s: there is no --participant=%s=URL", name, c.Level[name], name))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, usage(err)
	}
	return all, nil
}

func levelOf(text string) (participant.Level, error) {
	for _, level := range []participant.Level{participant.L0, participant.L1, participant.L2} {
		if level.String() == text || text == "" && level == participant.L0 {
			return level, nil
		}
	}
	return 0, errors.New("a level is L0, L1 or L2")
}
