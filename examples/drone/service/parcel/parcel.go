// Package parcel is the Package service: it knows every package once, by its id, whoever says what it is and however often. It does not know where a package is.
package parcel

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
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	contract "github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Name is the service's name, unless its Config has another.
const Name = "package"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs.
type Config struct {
	part.Config
	// Saga is the definition that the service takes part in. With a broker it is required.
	Saga skald.Registered
}

// Start starts the service; see part.Start. With a broker it takes part in sagas and hears what is decided about deliveries.
func Start(ctx context.Context, c Config) (*part.Part, error) {
	c.Name = cmp.Or(c.Name, Name)
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	if c.Broker != nil {
		if err := bus.Declare(ctx, c.Broker); err != nil {
			return nil, err
		}
	}
	return part.Start(ctx, c.Config, migrations, func(db *sql.DB, log *slog.Logger) (part.Service, error) { return build(c, db, log) })
}

func build(c Config, db *sql.DB, log *slog.Logger) (part.Service, error) {
	s := service{db: db, log: log}
	out := part.Service{
		Handlers: []participant.Handler{skald.HandleCompensatable(contract.Upsert, s.upsert, s.withdraw)},
		Reason:   contract.ReasonSwitched,
		Routes: func(mux *http.ServeMux) {
			mux.HandleFunc("PUT /api/packages/{id}", s.put)
			mux.HandleFunc("GET /api/packages/{id}", s.get)
			mux.HandleFunc("GET /api/packages", s.list)
		},
	}
	if c.Broker == nil {
		return out, nil
	}
	notes, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: c.Name + "-notes", Log: log},
		skald.Handle(command.PackageCancel, s.cancelled), skald.Handle(command.PackageReschedule, s.rescheduled))
	if err != nil {
		return part.Service{}, err
	}
	out.Sagas = []skald.Registered{c.Saga}
	out.Background = func(ctx context.Context) {
		bus.Serve(ctx, bus.Serving{Broker: c.Broker, Topic: bus.DroneCommands, Subscription: bus.ToPackage, Invoker: notes, Log: log, Routes: []bus.Route{
			bus.On(command.TypeCancelled, command.PackageCancel), bus.On(command.TypeRescheduled, command.PackageReschedule),
		}})
	}
	return out, nil
}

type service struct {
	db  *sql.DB
	log *slog.Logger
}

// upsert makes a delivery's package known.
func (s service) upsert(ctx context.Context, tx participant.Tx, in contract.UpsertRequest) (contract.Upserted, error) {
	var cancelled bool
	err := tx.QueryRowContext(ctx, `SELECT cancelled FROM notes WHERE delivery = ?`, in.Delivery).Scan(&cancelled)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return contract.Upserted{}, fmt.Errorf("looking for notes on delivery %s: %w", in.Delivery, err)
	}
	if cancelled {
		return contract.Upserted{}, skald.Refuse(contract.ReasonCancelled, "delivery %s was cancelled", in.Delivery)
	}
	now := Package{ID: in.Package, Size: in.Size, Weight: in.Weight, Tag: in.Tag}
	before, revision, err := write(ctx, tx, now, in.Delivery)
	if err != nil {
		return contract.Upserted{}, err
	}
	var size, tag sql.NullString
	var weight sql.NullFloat64
	if before != nil {
		size, tag, weight = sql.NullString{String: before.Size, Valid: true}, sql.NullString{String: before.Tag, Valid: true}, sql.NullFloat64{Float64: before.Weight, Valid: true}
	}
	const claim = `INSERT INTO claims (delivery, package, state, revision, old_size, old_weight, old_tag, changed_us) VALUES (?, ?, 'held', ?, ?, ?, ?, ?)`
	if _, err := tx.ExecContext(ctx, claim, in.Delivery, in.Package, revision, size, weight, tag, time.Now().UnixMicro()); err != nil {
		return contract.Upserted{}, fmt.Errorf("claiming package %s: %w", in.Package, err)
	}
	return contract.Upserted{Package: in.Package, Created: before == nil, Size: in.Size, Weight: in.Weight}, nil
}

// check refuses what is no package.
func check(p Package) error {
	most := contract.MaxWeight(p.Size)
	switch {
	case p.ID == "":
		return errors.New("a package without an id")
	case most == 0:
		return skald.Refuse(contract.ReasonUnknownSize, "there is no size %.40q: use %s, %s or %s", p.Size, contract.Small, contract.Medium, contract.Large)
	case !(p.Weight > 0):
		return skald.Refuse(contract.ReasonWeight, "a weight of %g kg: give one that is positive", p.Weight)
	case p.Weight > most:
		return skald.Refuse(contract.ReasonTooHeavy, "%g kg: a package of size %s may weigh %g kg", p.Weight, p.Size, most)
	}
	return nil
}

// write makes a package known, or up to date. It returns what was known before, nil if nothing was, and the package's revision now.
func write(ctx context.Context, tx participant.Tx, p Package, by string) (before *Package, revision int64, err error) {
	if err := check(p); err != nil {
		return nil, 0, err
	}
	old, err := read(ctx, tx, p.ID)
	switch {
	case err == nil:
		before = &old
	case !errors.Is(err, sql.ErrNoRows):
		return nil, 0, fmt.Errorf("reading package %s: %w", p.ID, err)
	}
	const upsert = `INSERT INTO packages (id, size, weight_kg, tag, created_by, revision, changed_us) VALUES (?, ?, ?, ?, ?, 1, ?)
		ON CONFLICT (id) DO UPDATE SET size = excluded.size, weight_kg = excluded.weight_kg, tag = excluded.tag, revision = revision + 1,
		changed_us = max(changed_us, excluded.changed_us) RETURNING revision`
	err = tx.QueryRowContext(ctx, upsert, p.ID, p.Size, p.Weight, p.Tag, by, time.Now().UnixMicro()).Scan(&revision)
	if err != nil {
		return nil, 0, fmt.Errorf("writing package %s: %w", p.ID, err)
	}
	return before, revision, nil
}

// withdraw restores what was known of the package before, unless somebody has said something else since.
func (s service) withdraw(ctx context.Context, tx participant.Tx, in contract.UpsertRequest, _ contract.Upserted) error {
	const withdraw = `UPDATE claims SET state = 'withdrawn', changed_us = max(changed_us, ?) WHERE delivery = ? AND state = 'held' RETURNING revision, old_size, old_weight, old_tag`
	var revision int64
	var size, tag sql.NullString
	var weight sql.NullFloat64
	now := time.Now().UnixMicro()
	if err := tx.QueryRowContext(ctx, withdraw, now, in.Delivery).Scan(&revision, &size, &weight, &tag); err != nil {
		return fmt.Errorf("withdrawing the package of delivery %s: %w", in.Delivery, err)
	}
	var err error
	if size.Valid {
		const restore = `UPDATE packages SET size = ?, weight_kg = ?, tag = ?, revision = revision + 1, changed_us = max(changed_us, ?) WHERE id = ? AND revision = ?`
		_, err = tx.ExecContext(ctx, restore, size.String, weight.Float64, tag.String, now, in.Package, revision)
	} else {
		const remove = `DELETE FROM packages WHERE id = ? AND revision = ? AND NOT EXISTS (SELECT 1 FROM claims WHERE package = id AND state = 'held')`
		_, err = tx.ExecContext(ctx, remove, in.Package, revision)
	}
	if err != nil {
		return fmt.Errorf("restoring package %s: %w", in.Package, err)
	}
	return nil
}

// cancelled notes that a delivery was cancelled: its package is not taken in any more. What was taken in is withdrawn by the saga.
func (s service) cancelled(ctx context.Context, tx participant.Tx, in command.Cancel) (command.Noted, error) {
	const note = `INSERT INTO notes (delivery, cancelled, noted_us) VALUES (?, 1, ?) ON CONFLICT (delivery) DO UPDATE SET cancelled = 1, noted_us = excluded.noted_us`
	if _, err := tx.ExecContext(ctx, note, in.Delivery, time.Now().UnixMicro()); err != nil {
		return command.Noted{}, fmt.Errorf("noting that delivery %s was cancelled: %w", in.Delivery, err)
	}
	return command.Noted{}, nil
}

// rescheduled notes when the package is wanted.
func (s service) rescheduled(ctx context.Context, tx participant.Tx, in command.Reschedule) (command.Noted, error) {
	const note = `INSERT INTO notes (delivery, pickup_us, deadline_us, noted_us) VALUES (?, ?, ?, ?)
		ON CONFLICT (delivery) DO UPDATE SET pickup_us = excluded.pickup_us, deadline_us = excluded.deadline_us, noted_us = excluded.noted_us`
	if _, err := tx.ExecContext(ctx, note, in.Delivery, bus.Micros(in.PickupTime), bus.Micros(in.Deadline), time.Now().UnixMicro()); err != nil {
		return command.Noted{}, fmt.Errorf("noting that delivery %s was rescheduled: %w", in.Delivery, err)
	}
	return command.Noted{}, nil
}
