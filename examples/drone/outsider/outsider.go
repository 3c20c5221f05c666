// Package outsider tells strangers what happens: it takes status events from the broker and delivers them over HTTP to whoever subscribed and agreed to
// get them. The publisher knows neither this package nor its subscribers; a subscriber knows neither the broker nor Skald.
//
// Events go out as CloudEvents 1.0 in binary mode, to subscribers that answered the handshake of "HTTP 1.1 Web Hooks for Event Delivery", signed as
// the Standard Webhooks specification says. Every subscription has a queue of its own in SQLite, so an outsider that is slow or dead holds up no other,
// and a restart loses nothing.
//
// An event is delivered at least once and in no promised order: the receiver dedupes by webhook-id. What could not be delivered within the budget is a dead letter
// of the subscription, to be replayed or discarded. A subscription gets the events that are taken in after it was validated, none before. Who may subscribe is not
// asked: the server listens on loopback, and Config says which addresses may be called.
package outsider

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed" // the tables
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/outsider/loopback"
)

// Subscription is this service's own on the topic bus.Events: a durable name.
const Subscription = bus.ToOutsiders

// DefaultOrigin is what the service calls itself in the handshake. An outsider decides by it whether it wants the events.
const DefaultOrigin = "drone.skald.example"

// Config says where the service runs and how patient it is.
type Config struct {
	// Listen is the loopback address of the HTTP server. Default: "127.0.0.1:0", a free port.
	Listen string
	// Data is the folder of the database outsiders.db. Required.
	Data string
	// Broker carries the topic drone-events. It stays the caller's. Required.
	Broker broker.Broker
	// AllowLoopback lets outsiders live on this machine and speak plain HTTP, as in a demonstration. Otherwise only https to public addresses is called.
	AllowLoopback bool
	// Origin is the WebHook-Request-Origin. Default: DefaultOrigin.
	Origin string
	// Timeout bounds one request to an outsider. Default: 10 s.
	Timeout time.Duration
	// Attempts is how often a delivery is tried before it is a dead letter. Default: 12.
	Attempts int
	// Patience is how long a delivery is tried at most, from when the event was taken in or replayed. Default: 24 h.
	Patience time.Duration
	// Backoff is the pause after a number of failures in a row. Default: DefaultBackoff.
	Backoff func(failures int) time.Duration
	// Keep is how long an event is remembered after it was taken in and every subscription has settled it; it must be longer than the broker may hand an event out again.
	// Default: 7 days.
	Keep time.Duration
	// Logger takes what an operator should know. Default: slog.Default().
	Logger *slog.Logger
}

// DefaultBackoff doubles from 1 s to 5 min, and takes off up to half by chance, so that a recovered outsider is not overrun.
func DefaultBackoff(failures int) time.Duration {
	d := 5 * time.Minute
	if failures <= 9 {
		d = min(d, time.Second<<max(failures-1, 0))
	}
	return d - rand.N(d/2)
}

func (c Config) withDefaults() (Config, error) {
	var faults []error
	if c.Broker == nil {
		faults = append(faults, errors.New("Config.Broker is nil: give the broker that carries drone-events"))
	}
	if c.Timeout < 0 || c.Attempts < 0 || c.Patience < 0 || c.Keep < 0 {
		faults = append(faults, errors.New("Config.Timeout, Attempts, Patience and Keep must not be negative: leave them out for their defaults"))
	}
	c.Origin = cmp.Or(c.Origin, DefaultOrigin)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Attempts = cmp.Or(c.Attempts, 12)
	c.Patience = cmp.Or(c.Patience, 24*time.Hour)
	c.Keep = cmp.Or(c.Keep, 7*24*time.Hour)
	if c.Backoff == nil {
		c.Backoff = DefaultBackoff
	}
	return c, errors.Join(faults...)
}

//go:embed schema.sql
var schema string

// Start makes the subscription on the broker if Delivery has not yet (it gets what is published from then on), and serves when it returns. ctx bounds starting only; Stop ends the service and leaves the broker open. Started again with the
// same folder it goes on where it was, in whatever way it ended. It does not retry what fails while starting.
func Start(ctx context.Context, c Config) (*loopback.Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("outsiders cannot start: %w", err)
	}
	at := loopback.Config{Name: "outsiders", Listen: c.Listen, Data: c.Data, Schema: schema, Logger: c.Logger}
	return loopback.Start(ctx, at, func(ctx context.Context, db *sql.DB, log *slog.Logger) (loopback.Program, error) {
		if err := bus.Subscribe(ctx, c.Broker, Subscription); err != nil {
			return loopback.Program{}, err
		}
		s := newService(c, log, db)
		return loopback.Program{Routes: s.routes(), Background: s.work}, nil
	})
}
