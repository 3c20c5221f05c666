// Package drone is the drone scheduler: it owns a finite fleet, gives each delivery the drone that suits it, and takes it back. No drone is ever assigned to two deliveries at a time. It does not
// follow flights: where a drone is between assignment and release, Delivery knows.
package drone

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	contract "github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Name is the service's name, unless its Config has another.
const Name = "drone"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs.
type Config struct {
	part.Config
	// Saga is the definition that the service takes part in. With a broker it is required.
	Saga skald.Registered
	// Factor is how much faster than on the clock time runs for what charges; flight.DefaultFactor.
	Factor float64
	// Fleet are the drones that join when they are not known yet; area.Fleet.
	Fleet []area.Drone
}

// Start starts the service; see part.Start. With a broker it takes part in sagas and hears what is decided about deliveries.
func Start(ctx context.Context, c Config) (*part.Part, error) {
	c.Name = cmp.Or(c.Name, Name)
	c.Factor = cmp.Or(c.Factor, flight.DefaultFactor)
	if c.Fleet == nil {
		c.Fleet = area.Fleet()
	}
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	if c.Broker != nil {
		if err := bus.Declare(ctx, c.Broker); err != nil {
			return nil, err
		}
	}
	return part.Start(ctx, c.Config, migrations, func(db *sql.DB, log *slog.Logger) (part.Service, error) { return build(ctx, c, db, log) })
}

func build(ctx context.Context, c Config, db *sql.DB, log *slog.Logger) (part.Service, error) {
	s := service{db: db, log: log, factor: c.Factor}
	if err := join(ctx, db, c.Fleet); err != nil {
		return part.Service{}, fmt.Errorf("the fleet cannot join: %w", err)
	}
	out := part.Service{
		Handlers: []participant.Handler{skald.HandleCompensatable(contract.Assign, s.assign, s.free), skald.Handle(contract.Release, s.release)},
		Reason:   contract.ReasonSwitched,
		Routes: func(mux *http.ServeMux) {
			mux.HandleFunc("GET /api/fleet", s.fleet)
			mux.HandleFunc("GET /api/dronedeliveries", s.list)
			mux.HandleFunc("PUT /api/dronedeliveries/{id}", s.put)
			mux.HandleFunc("GET /api/dronedeliveries/{id}", s.get)
			mux.HandleFunc("DELETE /api/dronedeliveries/{id}", s.remove)
		},
	}
	if c.Broker == nil {
		return out, nil
	}
	notes, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: c.Name + "-notes", Log: log},
		skald.Handle(command.DroneCancel, s.cancelled), skald.Handle(command.DroneReschedule, s.rescheduled))
	if err != nil {
		return part.Service{}, err
	}
	out.Sagas = []skald.Registered{c.Saga}
	out.Background = func(ctx context.Context) {
		bus.Serve(ctx, bus.Serving{Broker: c.Broker, Topic: bus.DroneCommands, Subscription: bus.ToDrone, Invoker: notes, Log: log, Routes: []bus.Route{
			bus.On(command.TypeCancelled, command.DroneCancel), bus.On(command.TypeRescheduled, command.DroneReschedule),
		}})
	}
	return out, nil
}

// join adds the drones that are not known yet, with full batteries.
func join(ctx context.Context, db *sql.DB, fleet []area.Drone) error {
	for _, d := range fleet {
		const add = `INSERT INTO drones (id, name, capacity_kg, speed_mps, range_m, lat, lon, battery, battery_us) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?) ON CONFLICT (id) DO NOTHING`
		if _, err := db.ExecContext(ctx, add, d.ID, d.Name, d.Capacity, d.Speed, d.Range, d.At.Lat, d.At.Lon, time.Now().UnixMicro()); err != nil {
			return fmt.Errorf("%s: %w", d.ID, err)
		}
	}
	return nil
}

type service struct {
	db     *sql.DB
	log    *slog.Logger
	factor float64
}

// cancelled notes that a delivery was cancelled: it gets no drone any more. What it has is freed by the saga.
func (s service) cancelled(ctx context.Context, tx participant.Tx, in command.Cancel) (command.Noted, error) {
	const note = `INSERT INTO notes (delivery, cancelled, noted_us) VALUES (?, 1, ?) ON CONFLICT (delivery) DO UPDATE SET cancelled = 1, noted_us = excluded.noted_us`
	if _, err := tx.ExecContext(ctx, note, in.Delivery, time.Now().UnixMicro()); err != nil {
		return command.Noted{}, fmt.Errorf("noting that delivery %s was cancelled: %w", in.Delivery, err)
	}
	return command.Noted{}, nil
}

// rescheduled notes when the drone is wanted.
func (s service) rescheduled(ctx context.Context, tx participant.Tx, in command.Reschedule) (command.Noted, error) {
	const note = `INSERT INTO notes (delivery, pickup_us, deadline_us, noted_us) VALUES (?, ?, ?, ?)
		ON CONFLICT (delivery) DO UPDATE SET pickup_us = excluded.pickup_us, deadline_us = excluded.deadline_us, noted_us = excluded.noted_us`
	if _, err := tx.ExecContext(ctx, note, in.Delivery, bus.Micros(in.PickupTime), bus.Micros(in.Deadline), time.Now().UnixMicro()); err != nil {
		return command.Noted{}, fmt.Errorf("noting that delivery %s was rescheduled: %w", in.Delivery, err)
	}
	return command.Noted{}, nil
}
