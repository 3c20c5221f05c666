package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/embedded"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/sidecar"
	"github.com/skaldhq/skald/webhook/sqlitewebhook"
)

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

// parts are what the engine is made of.
func (c *serveCommand) parts(w *world, registry *declarative.Registry, observer skald.Observer, log *slog.Logger) (embedded.Config, error) {
	password := w.getenv(sidecar.PasswordVariable)
	redact, err := c.redactions(registry.Sagas(), log)
	if err != nil {
		return embedded.Config{}, err
	}
	config := embedded.Config{
		Data: c.Data, Sagas: registry.Sagas(), Participants: registry.Participants(), Redact: redact, Mode: c.Mode, Retention: c.retention(), Observer: observer, Logger: log,
		Broker:   natsbroker.Config{URL: c.Broker, User: c.BrokerUser, Password: password, Credentials: c.Credentials},
		NoBroker: !c.reached(), Restored: c.Restored,
		BrokerListen: c.BrokerListen, BrokerUser: c.BrokerUser, BrokerPassword: password,
	}
	if c.Broker == "" || c.BrokerCA == "" && c.ClientCert == "" {
		return config, nil
	}
	if config.Broker.TLS, err = (access.Certificates{Cert: c.ClientCert, Key: c.ClientKey, CA: c.BrokerCA}).Client(); err != nil {
		return config, usage(fmt.Errorf("--broker-ca, --client-cert: %w", err))
	}
	return config, nil
}

// retention is how long ended sagas are kept, as the engine takes it, for which zero is as long as usual.
func (c *serveCommand) retention() time.Duration {
	if c.Retention == 0 {
		return -1
	}
	return time.Duration(c.Retention)
}

// reached says whether participants are reached over a broker. Otherwise choreographed sagas would wait for ever, and are refused.
func (c *serveCommand) reached() bool { return c.Broker != "" || c.BrokerListen != "" }

// near refuses a broker inside this process that other machines reach: it encrypts nothing.
func (c *serveCommand) near() error {
	if c.BrokerListen == "" || (access.Listening{Address: c.BrokerListen}).Check() == nil {
		return nil
	}
	return fmt.Errorf("--broker-listen=%s: the broker inside this process does not encrypt, so it listens for this machine only: write host and port as 127.0.0.1:4222, or name NATS servers elsewhere with --broker", c.BrokerListen)
}

// openRegistry opens what was registered, and registers what the flags name.
func (c *serveCommand) openRegistry(w *world, t *tracing) (_ *declarative.Registry, err error) {
	shown, err := access.Certificates{Cert: c.ClientCert, Key: c.ClientKey, CA: c.ParticipantsCA}.Client()
	if err != nil {
		return nil, usage(fmt.Errorf("--client-cert, --client-key, --participants-ca: %w", err))
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, usage(fmt.Errorf("--data: %w", err))
	}
	way := httpparticipant.NewEgress(httpparticipant.EgressConfig{TLS: shown})
	r, err := declarative.OpenRegistry(declarative.RegistryConfig{Folder: filepath.Join(c.Data, "registry"), Broker: c.Mode == skald.Choreographed, Egress: way, Around: t.invoker})
	if err != nil {
		return nil, fmt.Errorf("--data=%s: %w", c.Data, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if c.Participants != "" {
		text, err := os.ReadFile(c.Participants)
		if err != nil {
			return nil, usage(err)
		}
		addresses, err := declarative.ReadParticipants(c.Participants, text)
		if err != nil {
			return nil, usage(err)
		}
		for name, at := range addresses {
			if _, err := r.Enter(w.ctx, name, at); err != nil {
				return nil, usage(fmt.Errorf("%s: %w", c.Participants, err))
			}
		}
	}
	files, err := definitionFiles(c.Definitions)
	if err != nil {
		return nil, usage(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usage(err)
		}
		if _, _, err := r.Define(w.ctx, file, text); err != nil {
			return nil, usage(err)
		}
	}
	return r, nil
}

// webhooksFile is where endpoints, their secrets and deliveries are, in the folder of the data.
const webhooksFile = "webhooks.db"

// teller tells outsiders how sagas ended. What is not said to be private goes to public addresses only: whoever registers an endpoint must not reach what stands beside this program.
func (c *serveCommand) teller(ctx context.Context, engine *embedded.Engine, log *slog.Logger) (*sqlitewebhook.Sender, error) {
	way := httpparticipant.NewEgress(httpparticipant.EgressConfig{NoLoopback: !c.WebhookPrivate, NoPrivate: !c.WebhookPrivate, Idle: 4})
	return sqlitewebhook.Open(ctx, sqlitewebhook.Config{Path: filepath.Join(c.Data, webhooksFile), Source: engine.Engine, HTTP: way.Client(30 * time.Second), Allows: c.reaches(way), Logger: log})
}

// reaches refuses URLs of webhooks that are known to lead to where none may go.
func (c *serveCommand) reaches(way *httpparticipant.Egress) func(url string) error {
	return func(url string) error {
		err := way.Allows(url)
		if err != nil && !c.WebhookPrivate {
			return fmt.Errorf("%w: webhooks go to public addresses, unless skald serve is started with --webhook-private", err)
		}
		return err
	}
}

// redactions are what of payloads is not kept, by definition.
func (c *serveCommand) redactions(sagas []skald.Registered, log *slog.Logger) (skald.Redactions, error) {
	all, err := skald.ReadRedactions(c.Redact...)
	if err != nil {
		return nil, usage(fmt.Errorf("--redact=%w", err))
	}
	for definition := range all {
		if !slices.ContainsFunc(sagas, func(s skald.Registered) bool { return s.Name() == definition }) {
			log.Warn("--redact names a definition that is not registered yet; see that it is no typing mistake", "definition", definition)
		}
	}
	return all, nil
}
