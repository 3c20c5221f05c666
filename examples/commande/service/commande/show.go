package commande

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"time"

	contract "github.com/skaldhq/skald/examples/commande/contract/commande"
	"github.com/skaldhq/skald/examples/problem"
)

// Order is what GET /orders/{id} answers.
type Order struct {
	ID         string          `json:"id"`
	Client     string          `json:"client"`
	Email      string          `json:"email"`
	State      string          `json:"state"` // "created", "confirmed" or "cancelled"
	Lines      []contract.Item `json:"lines"`
	TotalCents *int64          `json:"total_cents,omitempty"` // of a confirmed order
	Created    time.Time       `json:"created"`
	Changed    time.Time       `json:"changed"` // when it was created, confirmed or cancelled
}

func (s service) show(w http.ResponseWriter, r *http.Request) {
	o, err := s.order(r.Context(), r.PathValue("id"))
	if errors.Is(err, sql.ErrNoRows) {
		problem.New(http.StatusNotFound, "there is no order of this id").Write(w)
		return
	}
	if err != nil {
		s.log.ErrorContext(r.Context(), "reading an order", "order", r.PathValue("id"), "error", err)
		problem.New(http.StatusInternalServerError, "the order cannot be read").Write(w)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", o)
}

// order returns sql.ErrNoRows if there is none.
func (s service) order(ctx context.Context, id string) (Order, error) {
	o := Order{ID: id, Lines: []contract.Item{}}
	var total sql.NullInt64
	var created, changed int64
	err := s.db.QueryRowContext(ctx, `SELECT client, email, state, total_cents, created_us, changed_us FROM orders WHERE id = ?`, id).
		Scan(&o.Client, &o.Email, &o.State, &total, &created, &changed)
	if err != nil {
		return Order{}, err
	}
	if total.Valid {
		o.TotalCents = &total.Int64
	}
	o.Created, o.Changed = time.UnixMicro(created).UTC(), time.UnixMicro(changed).UTC()
	rows, err := s.db.QueryContext(ctx, `SELECT sku, quantity FROM order_lines WHERE order_id = ? ORDER BY position`, id)
	if err != nil {
		return Order{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var item contract.Item
		if err := rows.Scan(&item.SKU, &item.Quantity); err != nil {
			return Order{}, err
		}
		o.Lines = append(o.Lines, item)
	}
	return o, rows.Err()
}
