// Package produit is ProduitService: it owns the catalogue, says whether the shop sells what is asked for, and at which price. It does not know
// how much there is of anything: that is the stock's.
package produit

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
	"strings"

	"github.com/skaldhq/skald"
	contract "github.com/skaldhq/skald/examples/commande/contract/produit"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/participant"
)

// Name is the service's name, unless its Config has another.
const Name = "produit"

//go:embed migrations/*.sql
var files embed.FS

// Config says where the service runs.
type Config struct {
	part.Config
}

// Start starts the service; see part.Start. The first start with a folder fills the catalogue.
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
		Handlers: []participant.Handler{skald.Handle(contract.Check, s.check)},
		Sagas:    sagas,
		Reason:   contract.ReasonSwitched,
		Routes:   func(mux *http.ServeMux) { mux.HandleFunc("GET /produits", s.list) },
	}, nil
}

type service struct {
	db  *sql.DB
	log *slog.Logger
}

// Bounds of a basket. They keep sums far from the end of int64.
const (
	maxItems    = 500
	maxQuantity = 100_000
)

// check looks the products up and says every one that is not sold.
func (s service) check(ctx context.Context, tx participant.Tx, in contract.CheckRequest) (contract.Checked, error) {
	if len(in.Items) == 0 || len(in.Items) > maxItems {
		return contract.Checked{}, skald.Refuse(contract.ReasonQuantity, "%d items; 1 to %d are sold at once", len(in.Items), maxItems)
	}
	var wrong, unknown []string
	var out contract.Checked
	for _, item := range in.Items {
		if item.Quantity < 1 || item.Quantity > maxQuantity {
			wrong = append(wrong, fmt.Sprintf("%s: a quantity of %d is not sold", item.SKU, item.Quantity))
			continue
		}
		line := contract.Line{SKU: item.SKU, Quantity: item.Quantity}
		err := tx.QueryRowContext(ctx, `SELECT name, price_cents FROM products WHERE sku = ?`, item.SKU).Scan(&line.Name, &line.UnitCents)
		if errors.Is(err, sql.ErrNoRows) {
			unknown = append(unknown, item.SKU)
			continue
		}
		if err != nil {
			return contract.Checked{}, fmt.Errorf("looking %s up: %w", item.SKU, err)
		}
		out.Lines = append(out.Lines, line)
		out.TotalCents += line.UnitCents * int64(line.Quantity)
	}
	if len(unknown) > 0 {
		return contract.Checked{}, skald.Refuse(contract.ReasonUnknown, "the shop does not sell %s", strings.Join(unknown, ", "))
	}
	if len(wrong) > 0 {
		return contract.Checked{}, skald.Refuse(contract.ReasonQuantity, "%s", strings.Join(wrong, "; "))
	}
	return out, nil
}

// Product is an element of what GET /produits answers.
type Product struct {
	SKU         string `json:"sku"`
	Name        string `json:"name"`
	Description string `json:"description"`
	PriceCents  int64  `json:"price_cents"`
}

func (s service) list(w http.ResponseWriter, r *http.Request) {
	all, err := s.products(r.Context())
	if err != nil {
		s.log.ErrorContext(r.Context(), "reading the catalogue", "error", err)
		problem.New(http.StatusInternalServerError, "the catalogue cannot be read").Write(w)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

func (s service) products(ctx context.Context) ([]Product, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT sku, name, description, price_cents FROM products ORDER BY position`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Product{}
	for rows.Next() {
		var p Product
		if err := rows.Scan(&p.SKU, &p.Name, &p.Description, &p.PriceCents); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}
