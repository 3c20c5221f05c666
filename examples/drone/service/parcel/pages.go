package parcel

import (
	"context"
	"fmt"
	"net/http"

	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/participant"
)

// maxBody bounds a package's document, in bytes.
const maxBody = 16 << 10

// Package is what the pages say of one.
type Package struct {
	ID         string   `json:"id"`
	Size       string   `json:"size"`
	Weight     float64  `json:"weight"`
	Tag        string   `json:"tag"`
	Deliveries []Wanted `json:"deliveries,omitempty"`
}

// Wanted is a delivery that a package belongs or belonged to.
type Wanted struct {
	Delivery  string `json:"delivery"`
	State     string `json:"state"` // "held" or "withdrawn"
	Cancelled bool   `json:"cancelled,omitempty"`
	bus.Schedule
}

func read(ctx context.Context, tx participant.Tx, id string) (Package, error) {
	p := Package{ID: id}
	err := tx.QueryRowContext(ctx, `SELECT size, weight_kg, tag FROM packages WHERE id = ?`, id).Scan(&p.Size, &p.Weight, &p.Tag)
	return p, err
}

// put answers PUT /api/packages/{id}: 201 if the package was not known, 204 if it was.
func (s service) put(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Size   string  `json:"size"`
		Weight float64 `json:"weight"`
		Tag    string  `json:"tag"`
	}
	if !problem.Read(w, r, maxBody, &body) {
		return
	}
	created, err := s.save(r.Context(), Package{ID: r.PathValue("id"), Size: body.Size, Weight: body.Weight, Tag: body.Tag})
	switch {
	case err != nil:
		web.Fail(w, r, s.log, err)
	case created:
		w.Header().Set("Location", "/api/packages/"+r.PathValue("id"))
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s service) save(ctx context.Context, p Package) (created bool, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	before, _, err := write(ctx, tx, p, "")
	if err != nil {
		return false, err
	}
	return before == nil, tx.Commit()
}

func (s service) get(w http.ResponseWriter, r *http.Request) {
	p, err := read(r.Context(), s.db, r.PathValue("id"))
	if err == nil {
		p.Deliveries, err = s.deliveries(r.Context(), p.ID)
	}
	if err != nil {
		web.Fail(w, r, s.log, err)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", p)
}

func (s service) deliveries(ctx context.Context, id string) ([]Wanted, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT c.delivery, c.state, coalesce(n.cancelled, 0), n.pickup_us, n.deadline_us
		FROM claims c LEFT JOIN notes n ON n.delivery = c.delivery WHERE c.package = ? ORDER BY c.changed_us DESC LIMIT 100`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Wanted
	for rows.Next() {
		var one Wanted
		if err := rows.Scan(&one.Delivery, &one.State, &one.Cancelled, &one.Pickup, &one.Limit); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// list answers GET /api/packages: the ids of all packages, at most 10,000.
func (s service) list(w http.ResponseWriter, r *http.Request) {
	ids, err := s.ids(r.Context())
	if err != nil {
		web.Fail(w, r, s.log, fmt.Errorf("listing packages: %w", err))
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", ids)
}

func (s service) ids(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id FROM packages ORDER BY id LIMIT 10000`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids := []string{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
