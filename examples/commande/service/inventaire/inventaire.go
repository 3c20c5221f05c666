// Package inventaire is InventaireService: it owns the stock and sets articles aside for orders. Whatever comes at the same time, no product
// is promised more often than it is there. It does not know prices.
package inventaire

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
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/commande/contract/inventaire"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/participant"
)

// Name is the service's name, unless its Config has another.
const Name = "inventaire"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs.
type Config struct {
	part.Config
}

// Start starts the service; see part.Start. The first start with a folder fills the warehouse.
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
		Handlers: []participant.Handler{skald.HandleCompensatable(contract.Reserve, s.reserve, s.release)},
		Sagas:    sagas,
		Reason:   contract.ReasonSwitched,
		Routes:   func(mux *http.ServeMux) { mux.HandleFunc("GET /stock", s.list) },
	}, nil
}

type service struct {
	db  *sql.DB
	log *slog.Logger
}

// reserve sets all items aside, or none.
func (s service) reserve(ctx context.Context, tx participant.Tx, in contract.ReserveRequest) (contract.Reservation, error) {
	items, err := wanted(in)
	if err != nil {
		return contract.Reservation{}, err
	}
	if err := missing(ctx, tx, items); err != nil {
		return contract.Reservation{}, err
	}
	out := contract.Reservation{Reservation: "res_" + in.Order, Items: items}
	now := time.Now().UnixMicro()
	const hold = `INSERT INTO reservations (id, order_id, state, created_us, changed_us) VALUES (?, ?, 'held', ?, ?)`
	if _, err := tx.ExecContext(ctx, hold, out.Reservation, in.Order, now, now); err != nil {
		return contract.Reservation{}, fmt.Errorf("reserving for order %s: %w", in.Order, err)
	}
	for _, item := range items {
		// The transaction holds the write lock since it began, so what was there is there; the table's check stands behind it.
		if _, err := tx.ExecContext(ctx, `UPDATE stock SET quantity = quantity - ? WHERE sku = ?`, item.Quantity, item.SKU); err != nil {
			return contract.Reservation{}, fmt.Errorf("taking %s from the stock: %w", item.SKU, err)
		}
		const put = `INSERT INTO reservation_items (reservation_id, sku, quantity) VALUES (?, ?, ?)`
		if _, err := tx.ExecContext(ctx, put, out.Reservation, item.SKU, item.Quantity); err != nil {
			return contract.Reservation{}, fmt.Errorf("setting %s aside: %w", item.SKU, err)
		}
	}
	return out, nil
}

// Bounds of a reservation.
const (
	maxItems    = 500
	maxQuantity = 100_000
)

// wanted adds up the items of each product, sorted.
func wanted(in contract.ReserveRequest) ([]contract.Item, error) {
	if in.Order == "" || len(in.Items) == 0 || len(in.Items) > maxItems {
		return nil, skald.Refuse(contract.ReasonQuantity, "%d items for order %q; 1 to %d can be reserved for an order", len(in.Items), in.Order, maxItems)
	}
	items := slices.Clone(in.Items)
	slices.SortStableFunc(items, func(a, b contract.Item) int { return cmp.Compare(a.SKU, b.SKU) })
	sum := items[:0]
	for _, item := range items {
		if item.Quantity < 1 || item.Quantity > maxQuantity {
			return nil, skald.Refuse(contract.ReasonQuantity, "%s: a quantity of %d cannot be reserved", item.SKU, item.Quantity)
		}
		if last := len(sum) - 1; last >= 0 && sum[last].SKU == item.SKU {
			sum[last].Quantity += item.Quantity
			continue
		}
		sum = append(sum, item)
	}
	return sum, nil
}

// missing refuses with all that is not there, in one refusal.
func missing(ctx context.Context, tx participant.Tx, items []contract.Item) error {
	var unknown, short []string
	for _, item := range items {
		var left int
		err := tx.QueryRowContext(ctx, `SELECT quantity FROM stock WHERE sku = ?`, item.SKU).Scan(&left)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			unknown = append(unknown, item.SKU)
		case err != nil:
			return fmt.Errorf("looking %s up: %w", item.SKU, err)
		case left < item.Quantity:
			short = append(short, fmt.Sprintf("%s: %d left, %d wanted", item.SKU, left, item.Quantity))
		}
	}
	if len(unknown) > 0 {
		return skald.Refuse(contract.ReasonUnknown, "not in the warehouse: %s", strings.Join(unknown, ", "))
	}
	if len(short) > 0 {
		return skald.Refuse(contract.ReasonOutOfStock, "%s", strings.Join(short, "; "))
	}
	return nil
}

// release gives back what the reservation holds.
func (s service) release(ctx context.Context, tx participant.Tx, _ contract.ReserveRequest, done contract.Reservation) error {
	const release = `UPDATE reservations SET state = 'released', changed_us = max(changed_us, ?) WHERE id = ? AND state = 'held'`
	res, err := tx.ExecContext(ctx, release, time.Now().UnixMicro(), done.Reservation)
	if err != nil {
		return fmt.Errorf("releasing %s: %w", done.Reservation, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("releasing %s: it is not held", done.Reservation))
	}
	const giveBack = `UPDATE stock SET quantity = stock.quantity + i.quantity FROM reservation_items AS i WHERE i.sku = stock.sku AND i.reservation_id = ?`
	if _, err := tx.ExecContext(ctx, giveBack, done.Reservation); err != nil {
		return fmt.Errorf("giving back what %s holds: %w", done.Reservation, err)
	}
	return nil
}

// Stock is an element of what GET /stock answers.
type Stock struct {
	SKU   string `json:"sku"`
	Stock int    `json:"stock"` // what can still be reserved
}

func (s service) list(w http.ResponseWriter, r *http.Request) {
	all, err := s.stock(r.Context())
	if err != nil {
		s.log.ErrorContext(r.Context(), "reading the stock", "error", err)
		problem.New(http.StatusInternalServerError, "the stock cannot be read").Write(w)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

func (s service) stock(ctx context.Context) ([]Stock, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT sku, quantity FROM stock ORDER BY sku`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Stock{}
	for rows.Next() {
		var one Stock
		if err := rows.Scan(&one.SKU, &one.Stock); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
