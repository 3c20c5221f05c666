// Package embedded is all of Skald inside one program: journals in SQLite, a JetStream broker that opens no port, an engine of both modes and the handling of dead letters, from one
// folder and one call.
//
// It chooses the parts and their order of stopping, and nothing else: whoever needs other parts puts them together with skald.Open. What it serves over HTTP is nothing; see package httpapi.
package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// Config says where everything is kept and what is run.
type Config struct {
	// Data is the folder of journals and broker. It is made, for its owner alone, if it is not there, and belongs to one process at a time. Required.
	Data string
	// Sagas are the definitions, as in skald.Config.
	Sagas []skald.Registered
	// Participants are where calls go, as in skald.Config. Where one of them has no Invoker, only choreographed sagas can be run.
	Participants map[string]skald.Participant
	// Redact names what of payloads is not kept, as in skald.Config.
	Redact skald.Redactions

	// Mode is that of sagas whose start does not say it; Orchestrated.
	Mode skald.Mode
	// NoBroker does without a broker: only orchestrated sagas are run, and there are no dead letters. It is for programs in which no participant is a participant.Desk and that others do not reach
	// over a broker: choreographed sagas would wait for ever.
	NoBroker bool
	// Restored says that the journals were restored from a backup, which is otherwise an error (store.ErrRestored) when it is found out. Give it for one start only; see sqlitestore.Config.
	Restored bool
	// Broker is a broker elsewhere: its URL and what goes with it. Without a URL there is one inside the process.
	Broker natsbroker.Config
	// BrokerListen, a loopback address such as "127.0.0.1:4222", lets other processes on this machine take part over the broker inside this one; others are refused. Default: no port.
	BrokerListen string
	// BrokerUser and BrokerPassword are asked for on that port. Default: nothing is asked for.
	BrokerUser, BrokerPassword string

	// Around is put around the broker, such as traces.Tracer.Broker; nothing.
	Around func(broker.Broker) broker.Broker

	Retention time.Duration  // ended sagas are pruned after this; 30 days; negative: never
	Observer  skald.Observer // metrics; none
	Logger    *slog.Logger   // never gets payloads; none
}

// Engine is an engine with everything that it needs. It is used like the skald.Engine in it, and does more in Register and Stop.
type Engine struct {
	*skald.Engine
	// Remediation handles the dead letters of choreographed sagas; nil without a broker.
	Remediation *skald.Remediation

	brokerURL string
	closing   []func(ctx context.Context) error // last to be opened first
}

// Open opens everything and goes on with every unended saga in the folder. The context bounds the opening only. Another process that has the folder is an error.
func Open(ctx context.Context, c Config) (*Engine, error) {
	e := &Engine{}
	if err := e.open(ctx, c); err != nil {
		return nil, errors.Join(err, e.Stop(ctx))
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context, c Config) error {
	if c.Data == "" {
		return errors.New("embedded: Data is missing; give the folder that everything is kept in")
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("embedded: the folder cannot be made: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	st, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(c.Data, "journals.db"), Restored: c.Restored, Logger: c.Logger})
	if err != nil {
		return err
	}
	e.close(st.Close)
	config := skald.Config{Store: st, Sagas: c.Sagas, Participants: c.Participants, Redact: c.Redact, Mode: c.Mode, Retention: c.Retention, Observer: c.Observer, Logger: c.Logger}
	if !c.NoBroker {
		b, err := e.broker(ctx, c)
		if err != nil {
			return err
		}
		config.Broker = b
		if c.Around != nil {
			config.Broker = c.Around(b)
		}
		if e.Remediation, err = skald.Remediate(ctx, skald.RemediationConfig{Broker: config.Broker, Sagas: c.Sagas, Redact: c.Redact, Logger: c.Logger}); err != nil {
			return err
		}
		e.closing = append(e.closing, e.Remediation.Stop)
	}
	if e.Engine, err = skald.Open(ctx, config); err == nil {
		e.closing = append(e.closing, e.Engine.Stop)
	}
	return err
}

// broker opens the broker: the one elsewhere, or one in this process.
func (e *Engine) broker(ctx context.Context, c Config) (*natsbroker.Broker, error) {
	at := c.Broker
	at.Log = cmp.Or(at.Log, c.Logger)
	if at.URL == "" {
		s, err := natsbroker.Start(natsbroker.ServerConfig{
			Dir: filepath.Join(c.Data, "broker"), Listen: c.BrokerListen, User: c.BrokerUser, Password: c.BrokerPassword, Log: c.Logger,
		})
		if err != nil {
			return nil, err
		}
		e.close(s.Close)
		at.Server, e.brokerURL = s, s.URL()
	}
	b, err := natsbroker.Open(ctx, at)
	if err != nil {
		return nil, err
	}
	e.close(b.Close)
	return b, nil
}

// Register adds definitions and participants while the engine runs: skald.Engine.Register, and their remedies.
func (e *Engine) Register(ctx context.Context, sagas []skald.Registered, participants map[string]skald.Participant) error {
	if e.Remediation != nil {
		if err := e.Remediation.Register(sagas...); err != nil {
			return err
		}
	}
	return e.Engine.Register(ctx, sagas, participants)
}

func (e *Engine) close(part func() error) {
	e.closing = append(e.closing, func(context.Context) error { return part() })
}

// BrokerURL is where other processes find the broker inside this one; empty unless BrokerListen opened a port.
func (e *Engine) BrokerURL() string { return e.brokerURL }

// Stop ends everything: no new start and no new call, what is under way is waited for until ctx ends, and then what it needs is closed. Sagas go on from where they are after
// the next Open. It is called once.
func (e *Engine) Stop(ctx context.Context) error {
	var faults []error
	for i := len(e.closing) - 1; i >= 0; i-- {
		faults = append(faults, e.closing[i](ctx))
	}
	e.closing = nil
	return errors.Join(faults...)
}
