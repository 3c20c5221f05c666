package drone

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/bus"
	contract "github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/participant"
)

// maxBody bounds a request's document, in bytes.
const maxBody = 16 << 10

// Drone is what GET /api/fleet says of one.
type Drone struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	State    string    `json:"state"` // "idle" or "assigned"
	At       geo.Point `json:"at"`    // where it stands, or stood when it was assigned
	Battery  float64   `json:"battery"`
	Capacity float64   `json:"capacity_kg"`
	Range    float64   `json:"range_m"`
	Delivery string    `json:"delivery,omitempty"`
}

func (s service) fleet(w http.ResponseWriter, r *http.Request) {
	all, err := s.crafts(r.Context(), s.db)
	if err != nil {
		web.Fail(w, r, s.log, err)
		return
	}
	fleet := make([]Drone, len(all))
	for i, c := range all {
		fleet[i] = Drone{ID: c.id, Name: c.name, State: "idle", At: c.at, Battery: c.battery, Capacity: c.capacity, Range: c.reach, Delivery: c.delivery.String}
		if c.delivery.Valid {
			fleet[i].State = assigned
		}
	}
	problem.JSON(w, http.StatusOK, "application/json", fleet)
}

// Assigned is what the pages say of a delivery's drone.
type Assigned struct {
	Delivery  string    `json:"deliveryId"`
	Drone     string    `json:"droneId"`
	State     string    `json:"state"` // "assigned", "freed" or "released"
	Base      geo.Point `json:"base"`
	Cancelled bool      `json:"cancelled,omitempty"`
	bus.Schedule
}

// put answers PUT /api/dronedeliveries/{id}: 201 with the drone if one was assigned, 204 if the delivery has one.
func (s service) put(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Pickup      string `json:"pickup"`
		Dropoff     string `json:"dropoff"`
		Expedited   bool   `json:"expedited"`
		PackageInfo struct {
			Weight float64 `json:"weight"`
		} `json:"packageInfo"`
	}
	if !problem.Read(w, r, maxBody, &body) {
		return
	}
	id := r.PathValue("id")
	a, created, err := s.save(r.Context(), contract.AssignRequest{Delivery: id, Pickup: body.Pickup, Dropoff: body.Dropoff, Weight: body.PackageInfo.Weight, Expedited: body.Expedited})
	var later *participant.Postponement
	switch {
	case errors.As(err, &later):
		w.Header().Set("Retry-After", "1")
		web.Refuse(w, http.StatusServiceUnavailable, later.Reason, later.Detail)
	case err != nil:
		web.Fail(w, r, s.log, err)
	case created:
		w.Header().Set("Location", "/api/dronedeliveries/"+id)
		problem.JSON(w, http.StatusCreated, "application/json", Assigned{Delivery: id, Drone: a.Drone, State: assigned, Base: a.Base})
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s service) save(ctx context.Context, in contract.AssignRequest) (a contract.Assignment, created bool, err error) {
	o, err := orderOf(in)
	if err != nil {
		return a, false, err
	}
	o.byClient = true
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return a, false, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if a, created, err = s.give(ctx, tx, o); err != nil {
		return a, false, err
	}
	return a, created, tx.Commit()
}

func (s service) get(w http.ResponseWriter, r *http.Request) {
	all, err := s.assignments(r.Context(), r.PathValue("id"))
	if err == nil && len(all) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		web.Fail(w, r, s.log, err)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", all[0])
}

// list answers GET /api/dronedeliveries: at most 10,000, the newest first.
func (s service) list(w http.ResponseWriter, r *http.Request) {
	all, err := s.assignments(r.Context(), "")
	if err != nil {
		web.Fail(w, r, s.log, err)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

func (s service) assignments(ctx context.Context, delivery string) ([]Assigned, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT a.delivery, a.drone, a.state, a.lat, a.lon, coalesce(n.cancelled, 0), n.pickup_us, n.deadline_us
		FROM assignments a LEFT JOIN notes n ON n.delivery = a.delivery WHERE a.delivery = ?1 OR ?1 = '' ORDER BY a.changed_us DESC LIMIT 10000`, delivery)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []Assigned{}
	for rows.Next() {
		var a Assigned
		if err := rows.Scan(&a.Delivery, &a.Drone, &a.State, &a.Base.Lat, &a.Base.Lon, &a.Cancelled, &a.Pickup, &a.Limit); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// reasonSaga refuses to take a drone from a delivery that a saga makes.
const reasonSaga = "DroneFail.UnderWay"

// remove answers DELETE /api/dronedeliveries/{id}: it frees a drone that a client's PUT assigned.
func (s service) remove(w http.ResponseWriter, r *http.Request) {
	err := s.takeBack(r.Context(), r.PathValue("id"))
	var refusal *participant.Refusal
	switch {
	case errors.As(err, &refusal):
		web.Refuse(w, http.StatusConflict, refusal.Reason, refusal.Detail)
	case err != nil:
		web.Fail(w, r, s.log, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s service) takeBack(ctx context.Context, id string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	a, state, err := assignmentOf(ctx, tx, id)
	if err != nil || state != assigned {
		return err
	}
	var byClient bool
	if err := tx.QueryRowContext(ctx, `SELECT by_client FROM assignments WHERE delivery = ?`, id).Scan(&byClient); err != nil {
		return fmt.Errorf("looking for the drone of delivery %s: %w", id, err)
	}
	if !byClient {
		return skald.Refuse(reasonSaga, "delivery %s is under way with drone %s: cancel its request instead", id, a.Drone)
	}
	if err := s.end(ctx, tx, id, freed, a.Drone, a.Base, a.Battery); err != nil {
		return err
	}
	return tx.Commit()
}
