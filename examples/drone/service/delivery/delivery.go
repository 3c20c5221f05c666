// Package delivery is the Delivery service: it joins a package and a drone into a delivery, checks the goods, follows the flight until the parcel is shipped and then delivered, and tells those
// concerned. It handles the commands for a delivery one at a time and in their order, and publishes how deliveries are: it knows the names of subscriptions, and nothing of who reads them.
//
// The flight is simulated; see package flight. Telling people is kept in a table and published, no letter leaves the machine.
package delivery

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Name is the service's name, unless its Config has another.
const Name = "delivery"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs.
type Config struct {
	part.Config
	// Saga is the definition that the service takes part in. With a broker it is required.
	Saga skald.Registered
	// Factor is how much faster than on the clock time runs in the air: flight.MinFactor to flight.MaxFactor; flight.DefaultFactor. A flight that has begun keeps its own.
	Factor float64
	// Listeners are the subscriptions of the status events that are made before the first one is published, so that whoever reads them misses nothing however late it starts. Each holds
	// events until they are taken. Default: bus.Listeners().
	Listeners []string
}

// Start starts the service; see part.Start. With a broker it takes part in sagas, takes commands and publishes how deliveries are; without one it carries operations out that are called over HTTP.
func Start(ctx context.Context, c Config) (*part.Part, error) {
	c.Name = cmp.Or(c.Name, Name)
	c.Factor = cmp.Or(c.Factor, flight.DefaultFactor)
	if c.Factor < flight.MinFactor || c.Factor > flight.MaxFactor {
		return nil, fmt.Errorf("time in the air cannot run at this factor: give %d to %d, or none for %d", flight.MinFactor, flight.MaxFactor, flight.DefaultFactor)
	}
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	if c.Broker != nil {
		if c.Listeners == nil {
			c.Listeners = bus.Listeners()
		}
		if err := errors.Join(bus.Declare(ctx, c.Broker), bus.Subscribe(ctx, c.Broker, c.Listeners...)); err != nil {
			return nil, err
		}
	}
	return part.Start(ctx, c.Config, migrations, func(db *sql.DB, log *slog.Logger) (part.Service, error) { return build(c, db, log) })
}

func build(c Config, db *sql.DB, log *slog.Logger) (part.Service, error) {
	s := &service{db: db, log: log, factor: c.Factor}
	var err error
	// The part's operations and the desk's are one participant's, with one outbox: so its events are sent in the order of their commits.
	s.desk, err = sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: c.Name, Poll: outboxPoll, Log: log},
		skald.Handle(command.DeliveryCancel, s.cancel), skald.Handle(command.DeliveryReschedule, s.reschedule),
		skald.Handle(putOperation, s.take), skald.Handle(moveOperation, s.move))
	if err != nil {
		return part.Service{}, err
	}
	out := part.Service{
		Handlers: []participant.Handler{
			skald.HandleCompensatable(contract.Start, s.start, s.withdraw),
			skald.Handle(contract.Ship, s.ship), skald.Handle(contract.Complete, s.complete), skald.Handle(contract.Notify, s.notify),
		},
		Reason:     contract.ReasonSwitched,
		Routes:     s.routes,
		Background: func(ctx context.Context) { s.work(ctx, c) },
	}
	if c.Saga != nil {
		out.Sagas = []skald.Registered{c.Saga}
	}
	return out, nil
}

// routes adds the service's pages.
func (s *service) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/deliveries", s.list)
	mux.HandleFunc("PUT /api/deliveries/{id}", s.put)
	mux.HandleFunc("GET /api/deliveries/{id}", s.get)
	mux.HandleFunc("DELETE /api/deliveries/{id}", s.remove)
	mux.HandleFunc("GET /api/deliveries/{id}/status", s.status)
	mux.HandleFunc("GET /api/deliveries/{id}/owner", s.owner)
	mux.HandleFunc("POST /api/deliveries/{id}/confirmations", s.confirm)
	mux.HandleFunc("POST /api/deliveries/{id}/notifymerequests", s.subscribe)
	mux.HandleFunc("GET /api/flights", s.flights)
}

// service carries the operations out. Those of the saga are the part's; commands, and what the service does by itself, are the desk's: each has the barrier, so each takes effect once, and what it
// publishes goes through the outbox of the same transaction.
type service struct {
	db     *sql.DB
	log    *slog.Logger
	factor float64
	desk   *sqlparticipant.Participant
}

// outboxPoll is how soon the desk sends what the saga's operations publish.
const outboxPoll = 100 * time.Millisecond

// work is what the service does beside calls, until the context ends.
func (s *service) work(ctx context.Context, c Config) {
	var working sync.WaitGroup
	working.Go(func() { s.follow(ctx) })
	if c.Broker != nil {
		working.Go(func() { _ = s.desk.Relay(ctx, bus.Publisher{Broker: c.Broker, Source: c.Name}) }) // returns when the context ends, and says so
		working.Go(func() {
			bus.Serve(ctx, bus.Serving{Broker: c.Broker, Topic: bus.DeliveryCommands, Subscription: bus.ToDelivery, Invoker: s.desk, Log: s.log, Routes: []bus.Route{
				bus.On(command.TypeCancel, command.DeliveryCancel), bus.On(command.TypeReschedule, command.DeliveryReschedule),
			}})
		})
	}
	working.Wait()
}
