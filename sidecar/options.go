package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sealed"
	"github.com/skaldhq/skald/traces/otlptraces"
)

// Options are the flags of a sidecar's program, as kong reads them.
type Options struct {
	Name    string `help:"The participant: what the names of its operations begin with, as package in package.upsert." required:"" placeholder:"NAME" env:"SKALD_NAME"`
	Service string `help:"Where the service answers: http://127.0.0.1:9000 or unix:///run/package.sock." required:"" placeholder:"URL" env:"SKALD_SERVICE"`
	Data    string `help:"Folder of the sidecar's own database. It must outlive the process." required:"" placeholder:"DIR" env:"SKALD_DATA"`
	Listen  string `help:"Address for calls of an orchestrator, health and metrics. Without --client-ca a loopback one." default:"127.0.0.1:0" placeholder:"HOST:PORT" env:"SKALD_LISTEN"`

	Cert       string   `help:"The sidecar's certificate, for those who call it, the service and the broker." placeholder:"FILE" type:"path" env:"SKALD_CERT"`
	Key        string   `help:"The certificate's private key." placeholder:"FILE" type:"path" env:"SKALD_KEY"`
	ClientCA   string   `name:"client-ca" help:"CA of the certificates that callers have to show." placeholder:"FILE" type:"path" env:"SKALD_CLIENT_CA"`
	ClientName []string `help:"Names of which a caller's certificate must have one; without, any of the CA's will do." placeholder:"NAME" env:"SKALD_CLIENT_NAME"`
	ServiceCA  string   `name:"service-ca" help:"CA of the service's certificate, if it is none of the system's." placeholder:"FILE" type:"path" env:"SKALD_SERVICE_CA"`
	BrokerCA   string   `name:"broker-ca" help:"CA of the broker's certificate, if it is none of the system's." placeholder:"FILE" type:"path" env:"SKALD_BROKER_CA"`

	Broker      string        `help:"NATS servers that carry choreographed sagas, separated by commas. Without it only an orchestrator is answered." placeholder:"nats://HOST:PORT" env:"SKALD_BROKER"`
	BrokerWait  time.Duration `help:"How long to wait for a broker that is not there yet." default:"1m" placeholder:"TIME" env:"SKALD_BROKER_WAIT"`
	User        string        `help:"User at the broker; the password comes from the environment." placeholder:"USER" env:"SKALD_BROKER_USER"`
	Password    string        `kong:"-"`
	Credentials string        `help:"File with credentials for the broker (.creds)." placeholder:"FILE" type:"path" env:"SKALD_BROKER_CREDENTIALS"`
	NKey        string        `name:"nkey" help:"File with an NKey seed for the broker." placeholder:"FILE" type:"path" env:"SKALD_BROKER_NKEY"`
	Namespace   string        `help:"Namespace of Skald's streams at the broker." default:"skald" placeholder:"NAME" env:"SKALD_NAMESPACE"`

	SealKeys string `help:"Key file with which the service's payloads are opened and sealed (docs/security.md). Without it they pass as they are." placeholder:"FILE" type:"path" env:"SKALD_SEAL_KEYS"`

	Redact []string `help:"What of payloads does not leave the service in choreographed sagas: visit:card.charge:result:/pan in the result of its step card.charge in visit, visit:card.charge:words for the words of its refusals and errors." placeholder:"DEFINITION:STEP:…" env:"SKALD_REDACT"`

	Events  string        `help:"URL that takes the events which the operations announce, as CloudEvents. Without it there are none." placeholder:"URL" env:"SKALD_EVENTS"`
	Traces  string        `help:"Where spans are sent, over OTLP/HTTP: http://127.0.0.1:4318/v1/traces. OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and OTEL_SERVICE_NAME count, too." placeholder:"URL" env:"SKALD_TRACES"`
	Timeout time.Duration `help:"Longest time that one call of the service may take." default:"30s" placeholder:"TIME" env:"SKALD_TIMEOUT"`
	Debug   bool          `help:"Log more." env:"SKALD_DEBUG"`
}

// PasswordVariable is the environment variable with the password at the broker: on a command line everybody on the machine could read it.
const PasswordVariable = "SKALD_BROKER_PASSWORD"

// patience is how long calls under way may take after the program was told to stop.
const patience = 10 * time.Second

// ErrUsage is wrapped by errors that are the caller's to mend before the program is started again.
var ErrUsage = errors.New("it cannot be started like this")

// Run runs a sidecar until the process is told to stop (SIGINT or SIGTERM) or the sidecar fails. It prints one line when it is up, with the address that it listens on, and logs to
// stderr. A second signal ends the process at once.
func (o *Options) Run(ctx context.Context, stdout, stderr io.Writer, sagas ...skald.Registered) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	level := slog.LevelInfo
	if o.Debug {
		level = slog.LevelDebug
	}
	cfg := Config{Name: o.Name, Service: o.Service, Data: o.Data, Listen: o.Listen, Sagas: sagas, Timeout: o.Timeout,
		Log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))}
	if err := o.secure(&cfg); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if cfg.Redact, err = skald.ReadRedactions(o.Redact...); err != nil {
		return fmt.Errorf("%w: --redact=%w", ErrUsage, err)
	}
	if o.Events != "" {
		if cfg.Events, err = httpparticipant.NewPublisher(httpparticipant.PublisherConfig{URL: o.Events}); err != nil {
			return fmt.Errorf("%w: --events: %w", ErrUsage, err)
		}
	}
	if o.Traces != "" {
		sender, err := otlptraces.Open(ctx, otlptraces.Config{URL: o.Traces, Service: o.Name, Logger: cfg.Log})
		if err != nil {
			return fmt.Errorf("%w: --traces: %w", ErrUsage, err)
		}
		defer sender.Close() // after everything else
		cfg.Tracer = sender.Tracer
	}
	if o.Broker != "" {
		b, err := o.connect(ctx, cfg.Log)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		if cfg.Broker = b; cfg.Tracer != nil {
			cfg.Broker = cfg.Tracer.Broker(b)
		}
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stdout, "%s listens on %s://%s (level %s)\n", o.Name, map[bool]string{false: "http", true: "https"}[cfg.TLS != nil], s.Address(), s.inbox.Level())
	select {
	case <-ctx.Done():
		stop() // from now on a signal ends the process
	case <-s.Failed():
	}
	soft, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return errors.Join(s.Err(), s.Stop(soft))
}

// secure says with which certificates the sidecar is reached and reaches the service, and who sees payloads.
func (o *Options) secure(cfg *Config) (err error) {
	if o.ClientCA != "" || len(o.ClientName) > 0 {
		if cfg.TLS, err = (access.Certificates{Cert: o.Cert, Key: o.Key, CA: o.ClientCA, From: o.ClientName}).Server(); err != nil {
			return err
		}
	}
	if o.SealKeys != "" {
		if cfg.Sealed, err = sealed.Read(o.SealKeys); err != nil {
			return err
		}
	}
	cfg.ServiceTLS, err = access.Certificates{Cert: o.Cert, Key: o.Key, CA: o.ServiceCA}.Client()
	return err
}

// connect opens the broker. One that is not there yet is waited for: programs may be started in any order.
func (o *Options) connect(ctx context.Context, log *slog.Logger) (broker.Broker, error) {
	ctx, cancel := context.WithTimeout(ctx, o.BrokerWait)
	defer cancel()
	cfg := natsbroker.Config{URL: o.Broker, User: o.User, Password: o.Password, Credentials: o.Credentials, NKey: o.NKey, Namespace: o.Namespace, Log: log}
	var err error
	if o.BrokerCA != "" || o.Cert != "" {
		if cfg.TLS, err = (access.Certificates{Cert: o.Cert, Key: o.Key, CA: o.BrokerCA}).Client(); err != nil {
			return nil, fmt.Errorf("%w: --broker-ca: %w", ErrUsage, err)
		}
	}
	b, err := natsbroker.Await(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("--broker: %w", err)
	}
	return b, nil
}
