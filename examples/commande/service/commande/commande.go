// Package commande is CommandeService: it owns the orders, creates them, and confirms or cancels them at the end. It knows neither prices nor
// stock, and does not check that the shop sells what is ordered: that is the work of the saga's next steps.
package commande

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
	contract "github.com/skaldhq/skald/examples/commande/contract/commande"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/participant"
)

// Name is the service's name, unless its Config has another.
const Name = "commande"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs.
type Config struct {
	part.Config
}

// Start starts the service; see part.Start.
func Start(ctx context.Context, c Config) (*part.Part, error) {
	c.Name = cmp.Or(c.Name, Name)
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	return part.Start(ctx, c.Config, migrations, build)
}

func build(db *sql.DB, log *slog.Logger) (part.Service, error) {
	s := service{db: db, log: log}
	sagas, err := placeorder.Sagas()
	if err != nil {
		return part.Service{}, err
	}
	return part.Service{
		Handlers: []participant.Handler{
			skald.HandleCompensatable(contract.Create, s.create, s.cancel),
			skald.Handle(contract.Confirm, s.confirm),
		},
		Sagas:  sagas,
		Reason: contract.ReasonSwitched,
		Routes: func(mux *http.ServeMux) { mux.HandleFunc("GET /orders/{id}", s.show) },
	}, nil
}

// service carries the operations out.
type service struct {
	db  *sql.DB
	log *slog.Logger
}

// maxItems and maxQuantity bound an order.
const (
	maxItems    = 500
	maxQuantity = 100_000
)

// create makes the order. Its id is the saga's, so whoever started the saga knows it.
func (s service) create(ctx context.Context, tx participant.Tx, in contract.CreateRequest) (contract.Created, error) {
	call, ok := participant.CallOf(ctx)
	if !ok {
		return contract.Created{}, errors.New("there is no call, so the order has no id")
	}
	if len(in.Items) == 0 {
		return contract.Created{}, skald.Refuse(contract.ReasonEmptyBasket, "the basket is empty")
	}
	if len(in.Items) > maxItems {
		return contract.Created{}, skald.Refuse(contract.ReasonItem, "%d items, and %d are allowed", len(in.Items), maxItems)
	}
	id, now := string(call.Saga), time.Now()
	const order = `INSERT INTO orders (id, client, email, state, created_us, changed_us) VALUES (?, ?, ?, 'created', ?, ?)`
	if _, err := tx.ExecContext(ctx, order, id, in.Client, in.Email, now.UnixMicro(), now.UnixMicro()); err != nil {
		return contract.Created{}, fmt.Errorf("creating the order: %w", err)
	}
	for i, item := range in.Items {
		if item.SKU == "" || item.Quantity < 1 || item.Quantity > maxQuantity {
			return contract.Created{}, skald.Refuse(contract.ReasonItem, "item %d: %d of %q cannot be ordered", i+1, item.Quantity, item.SKU)
		}
		const line = `INSERT INTO order_lines (order_id, position, sku, quantity) VALUES (?, ?, ?, ?)`
		if _, err := tx.ExecContext(ctx, line, id, i+1, item.SKU, item.Quantity); err != nil {
			return contract.Created{}, fmt.Errorf("creating line %d of the order: %w", i+1, err)
		}
	}
	return contract.Created{Order: id, Created: now.UTC().Truncate(time.Microsecond)}, nil
}

// cancel undoes create.
func (s service) cancel(ctx context.Context, tx participant.Tx, _ contract.CreateRequest, done contract.Created) error {
	const cancel = `UPDATE orders SET state = 'cancelled', changed_us = max(changed_us, ?) WHERE id = ? AND state = 'created'`
	ended, err := end(ctx, tx, done.Order, cancel, time.Now().UnixMicro(), done.Order)
	if err != nil || ended {
		return err
	}
	return skald.Refuse(contract.ReasonNotOpen, "order %s is not open, so it cannot be cancelled", done.Order)
}

// confirm makes the order stand.
func (s service) confirm(ctx context.Context, tx participant.Tx, in contract.ConfirmRequest) (contract.Confirmed, error) {
	now := time.Now()
	const confirm = `UPDATE orders SET state = 'confirmed', total_cents = ?, changed_us = max(changed_us, ?) WHERE id = ? AND state = 'created'`
	ended, err := end(ctx, tx, in.Order, confirm, in.TotalCents, now.UnixMicro(), in.Order)
	if err != nil {
		return contract.Confirmed{}, err
	}
	if !ended {
		return contract.Confirmed{}, skald.Refuse(contract.ReasonNotOpen, "order %s is not open, so it cannot be confirmed", in.Order)
	}
	return contract.Confirmed{Order: in.Order, Confirmed: now.UTC().Truncate(time.Microsecond)}, nil
}

// end runs an update of one order and says whether it found the order open.
func end(ctx context.Context, tx participant.Tx, id, update string, args ...any) (bool, error) {
	res, err := tx.ExecContext(ctx, update, args...)
	if err != nil {
		return false, fmt.Errorf("order %s: %w", id, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}
