package delivery

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/problem"
)

// Delivery is what the pages say of one.
type Delivery struct {
	ID           string         `json:"id"`
	Owner        string         `json:"ownerId"`
	Pickup       geo.Point      `json:"pickupLocation"`
	Dropoff      geo.Point      `json:"dropOffLocation"`
	Package      string         `json:"packageId"`
	Drone        string         `json:"droneId"`
	Expedited    bool           `json:"expedited"`
	Confirmation string         `json:"confirmationRequired"`
	Stage        contract.Stage `json:"stage"`
	At           geo.Point      `json:"lastKnownLocation"`
	PickupTime   time.Time      `json:"pickupTime,omitzero"`
	Deadline     time.Time      `json:"deadline,omitzero"`
	PickupETA    *time.Time     `json:"pickupETA"` // null once it is cancelled
	DeliveryETA  *time.Time     `json:"deliveryETA"`
	Reason       string         `json:"reason,omitempty"` // a reason code
	Detail       string         `json:"detail,omitempty"`
}

func (r *row) document(now time.Time) Delivery {
	e := r.event(now)
	return Delivery{
		ID: r.id, Owner: r.owner, Pickup: r.plan.Pickup, Dropoff: r.plan.Dropoff, Package: r.pack, Drone: r.drone, Expedited: r.expedited, Confirmation: r.confirmation,
		Stage: e.Stage, At: *e.LastKnownLocation, PickupTime: r.pickupTime.Time, Deadline: r.deadline.Time, PickupETA: e.PickupETA, DeliveryETA: e.DeliveryETA, Reason: e.Reason, Detail: e.Detail,
	}
}

// found reads the delivery that a request is about, or answers that there is none.
func (s *service) found(w http.ResponseWriter, r *http.Request) (row, bool) {
	d, err := find(r.Context(), s.db, r.PathValue("id"))
	if err != nil {
		web.Fail(w, r, s.log, err)
	}
	return d, err == nil
}

func (s *service) get(w http.ResponseWriter, r *http.Request) {
	if d, ok := s.found(w, r); ok {
		problem.JSON(w, http.StatusOK, "application/json", d.document(time.Now()))
	}
}

// Status is what GET /api/deliveries/{id}/status answers.
type Status struct {
	Stage       contract.Stage `json:"stage"`
	At          geo.Point      `json:"lastKnownLocation"`
	PickupETA   *time.Time     `json:"pickupETA"` // null once it is cancelled
	DeliveryETA *time.Time     `json:"deliveryETA"`
	Reason      string         `json:"reason,omitempty"` // a reason code
}

func (s *service) status(w http.ResponseWriter, r *http.Request) {
	if d, ok := s.found(w, r); ok {
		x := d.document(time.Now())
		problem.JSON(w, http.StatusOK, "application/json", Status{x.Stage, x.At, x.PickupETA, x.DeliveryETA, x.Reason})
	}
}

// Owner is what GET /api/deliveries/{id}/owner answers.
type Owner struct {
	ID string `json:"ownerId"`
}

func (s *service) owner(w http.ResponseWriter, r *http.Request) {
	if d, ok := s.found(w, r); ok {
		problem.JSON(w, http.StatusOK, "application/json", Owner{d.owner})
	}
}

// confirm answers POST /api/deliveries/{id}/confirmations: 201, 204 if the same was confirmed before, or 409 if it was confirmed otherwise.
func (s *service) confirm(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Type string `json:"type"` // FingerPrint, Picture or Voice
		Data string `json:"data"`
	}
	if !problem.Read(w, r, maxBody, &body) {
		return
	}
	d, ok := s.found(w, r)
	switch {
	case !ok:
		return
	case body.Type != d.confirmation || body.Type == contract.NoConfirmation:
		problem.New(http.StatusUnprocessableEntity, "this is not how the delivery is confirmed",
			problem.Fault{Field: "type", Detail: fmt.Sprintf("the delivery asks for %s", d.confirmation)}).Write(w)
		return
	case !d.gone():
		web.Refuse(w, http.StatusConflict, "DeliveryFail.NotThere", "the drone has not left the pickup point: confirm when the parcel is there")
		return
	}
	const (
		confirm = `INSERT INTO confirmations (delivery, type, data, at_us) VALUES (?1, ?2, ?3, CAST(unixepoch('subsec') * 1000000 AS INTEGER)) ON CONFLICT DO NOTHING`
		same    = `SELECT count(*) FROM confirmations WHERE delivery = ?1 AND type = ?2 AND data = ?3`
	)
	s.insert(w, r, confirm, same, contract.ReasonDoubled, "the delivery was confirmed otherwise: what was said first stands", d.id, body.Type, body.Data)
}

// subscribe answers POST /api/deliveries/{id}/notifymerequests: 201, 204 if the same was asked before, or 409 once there is nothing more to tell.
func (s *service) subscribe(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Email string `json:"emailAddress"`
		SMS   string `json:"sms"`
	}
	if !problem.Read(w, r, maxBody, &body) {
		return
	}
	if (body.Email == "") == (body.SMS == "") || len(body.Email)+len(body.SMS) > 256 {
		problem.New(http.StatusUnprocessableEntity, "it is not known whom to tell", problem.Fault{Field: "emailAddress", Detail: "give one of emailAddress and sms, of at most 256 bytes"}).Write(w)
		return
	}
	d, ok := s.found(w, r)
	if !ok {
		return
	}
	const (
		subscribe = `INSERT INTO interested (delivery, contact) SELECT id, ?2 FROM deliveries WHERE id = ?1 AND state IN ('started', 'shipped') ON CONFLICT DO NOTHING`
		same      = `SELECT count(*) FROM interested WHERE delivery = ?1 AND contact = ?2`
	)
	s.insert(w, r, subscribe, same, contract.ReasonEnded, "the delivery has ended: its status says what came of it", d.id, body.Email+body.SMS)
}

// insert writes a row and answers 201, or 204 if the same is there; if it is not, whatever was in the way is said with 409.
func (s *service) insert(w http.ResponseWriter, r *http.Request, insert, same, reason, otherwise string, args ...any) {
	res, err := s.db.ExecContext(r.Context(), insert, args...)
	var written, there int64
	if err == nil {
		written, err = res.RowsAffected()
	}
	if err == nil && written == 0 {
		err = s.db.QueryRowContext(r.Context(), same, args...).Scan(&there)
	}
	switch {
	case err != nil:
		web.Fail(w, r, s.log, err)
	case written == 1:
		w.WriteHeader(http.StatusCreated)
	case there == 1:
		w.WriteHeader(http.StatusNoContent)
	default:
		web.Refuse(w, http.StatusConflict, reason, otherwise)
	}
}

// maxList bounds a list.
const maxList = 1000

// list answers GET /api/deliveries?limit=: the newest first.
func (s *service) list(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil || limit < 1 || limit > maxList {
		limit = maxList
	}
	rows, err := s.rows(r.Context(), `SELECT `+columns+` FROM deliveries ORDER BY created_us DESC, id LIMIT ?`, limit)
	if err != nil {
		web.Fail(w, r, s.log, err)
		return
	}
	now := time.Now()
	all := make([]Delivery, len(rows))
	for i := range rows {
		all[i] = rows[i].document(now)
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

// Flight is what GET /api/flights says of a drone that is under way.
type Flight struct {
	Delivery string     `json:"delivery"`
	Drone    string     `json:"drone"`
	Leg      flight.Leg `json:"leg"`
	At       geo.Point  `json:"at"`
	Heading  float64    `json:"heading"`
	Used     float64    `json:"used"` // of a full battery, so far
}

// flights answers GET /api/flights: where the drones of deliveries under way are.
func (s *service) flights(w http.ResponseWriter, r *http.Request) {
	rows, err := s.rows(r.Context(), `SELECT `+columns+` FROM deliveries WHERE state IN ('started', 'shipped') ORDER BY depart_us LIMIT ?`, maxList)
	if err != nil {
		web.Fail(w, r, s.log, err)
		return
	}
	now := time.Now()
	all := make([]Flight, len(rows))
	for i := range rows {
		d := &rows[i]
		p := d.position(now)
		whole := geo.Distance(d.plan.Base, d.plan.Pickup) + geo.Distance(d.plan.Pickup, d.plan.Dropoff)
		all[i] = Flight{Delivery: d.id, Drone: d.drone, Leg: p.Leg, At: p.At, Heading: p.Heading, Used: d.used * p.Flown / max(1, whole)}
	}
	problem.JSON(w, http.StatusOK, "application/json", all)
}

func (s *service) rows(ctx context.Context, query string, args ...any) ([]row, error) {
	found, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []row
	for found.Next() {
		r, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, found.Err()
}
