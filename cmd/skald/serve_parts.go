package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/skaldhq/skald"
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
func (c *serveCommand) parts(w *world, registry *declarative.Registry, observer skald.Observer, log *slog.Logger) embedded.Config {
	password := w.getenv(sidecar.PasswordVariable)
	return embedded.Config{
		Data: c.Data, Sagas: registry.Sagas(), Participants: registry.Participants(), Mode: c.Mode, Retention: c.Retention, Observer: observer, Logger: log,
		Broker:       natsbroker.Config{URL: c.Broker, User: c.BrokerUser, Password: password, Credentials: c.Credentials},
		NoBroker:     !c.reached(),
		BrokerListen: c.BrokerListen, BrokerUser: c.BrokerUser, BrokerPassword: password,
	}
}

// reached says whether participants are reached over a broker. Otherwise choreographed sagas would wait for ever, and are refused.
func (c *serveCommand) reached() bool { return c.Broker != "" || c.BrokerListen != "" }

// registry opens what was registered, and registers what the flags name.
func (c *serveCommand) registry(w *world) (_ *declarative.Registry, err error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, err
	}
	r, err := declarative.OpenRegistry(declarative.RegistryConfig{Folder: filepath.Join(c.Data, "registry"), Broker: c.reached()})
	if err != nil {
		return nil, err
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
func (c *serveCommand) teller(w *world, engine *embedded.Engine, log *slog.Logger) (*sqlitewebhook.Sender, error) {
	way := httpparticipant.NewEgress(httpparticipant.EgressConfig{NoLoopback: !c.WebhookPrivate, NoPrivate: !c.WebhookPrivate, Idle: 4})
	return sqlitewebhook.Open(w.ctx, sqlitewebhook.Config{Path: filepath.Join(c.Data, webhooksFile), Source: engine.Engine, HTTP: way.Client(30 * time.Second), Logger: log})
}
