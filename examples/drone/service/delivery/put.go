package delivery

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	contract "github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/geo"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

const (
	// maxBody bounds a request's document, in bytes.
	maxBody = 16 << 10
	// clientSpeed is that of a drone that a client brings, in m/s. It stands at the pickup point already.
	clientSpeed = 18
	// patience bounds one decision that a page waits for.
	patience = 10 * time.Second
)

// putting is a delivery that a client puts, without a saga.
type putting struct {
	Delivery     string    `json:"delivery"`
	Owner        string    `json:"ownerId"`
	Pickup       string    `json:"pickupLocation"`
	Dropoff      string    `json:"dropOffLocation"`
	PickupTime   time.Time `json:"pickupTime,omitzero"`
	Deadline     time.Time `json:"deadline,omitzero"`
	Expedited    bool      `json:"expedited"`
	Confirmation string    `json:"confirmationRequired"`
	Drone        string    `json:"droneId"`
	Package      string    `json:"packageId"`
}

// done says what came of it.
type done struct {
	Created bool `json:"created"`
}

var putOperation = skald.Pivot[putting, done]("delivery.put", skald.Reasons(contract.ReasonDoubled, contract.ReasonShipped, contract.ReasonEnded, contract.ReasonAddress, contract.ReasonDeadline, contract.ReasonPickupTime))

// take makes a client's delivery, or brings it up to date. Said again it changes nothing.
func (s *service) take(ctx context.Context, tx participant.Tx, in putting) (done, error) {
	now := time.Now()
	pickup, dropoff, err := addresses(in.Pickup, in.Dropoff)
	if err != nil {
		return done{}, err
	}
	old, err := find(ctx, tx, in.Delivery)
	if err == nil {
		return done{}, s.amend(ctx, tx, &old, in, pickup, dropoff)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return done{}, err
	}
	r := row{
		id: in.Delivery, owner: in.Owner, pack: in.Package, drone: in.Drone, expedited: in.Expedited, confirmation: in.Confirmation, state: started, byClient: true,
		pickupTime: bus.Moment{Time: in.PickupTime}, deadline: bus.Moment{Time: in.Deadline},
		plan: flight.New(pickup, pickup, dropoff, clientSpeed, s.factor, now, in.PickupTime),
	}
	if err := wished(ctx, tx, &r); err != nil {
		return done{}, err
	}
	if err := r.possible(now); err != nil {
		return done{}, err
	}
	if err := r.insert(ctx, tx, now); err != nil {
		return done{}, err
	}
	return done{Created: true}, publish(ctx, contract.EventCreated, r.event(now))
}

// amend changes what may change of a delivery that is there: of a client's everything about its owner, and its drop-off and times until the drone has left; of a saga's nothing.
func (s *service) amend(ctx context.Context, tx participant.Tx, r *row, in putting, pickup, dropoff geo.Point) error {
	now := time.Now()
	place := func(a, b geo.Point) bool { return a.String() == b.String() }
	route := place(r.plan.Pickup, pickup) && place(r.plan.Dropoff, dropoff)
	times := r.pickupTime.UnixMicro() == in.PickupTime.UnixMicro() && r.deadline.UnixMicro() == in.Deadline.UnixMicro()
	words := r.owner == in.Owner && r.expedited == in.Expedited && r.confirmation == in.Confirmation
	switch {
	case r.byClient && r.state == withdrawn:
		return skald.Refuse(contract.ReasonEnded, "delivery %s was cancelled: choose another id", r.id)
	case route && times && words:
		return nil
	case !r.byClient:
		return skald.Refuse(contract.ReasonDoubled, "delivery %s was requested otherwise: change it with PATCH /api/deliveryrequests/%s", r.id, r.id)
	case !place(r.plan.Pickup, pickup):
		return skald.Refuse(contract.ReasonDoubled, "delivery %s is picked up at %s, where its drone waits: choose another id", r.id, r.plan.Pickup)
	case r.state == completed:
		return skald.Refuse(contract.ReasonEnded, "delivery %s was made: choose another id", r.id)
	}
	r.owner, r.expedited, r.confirmation = in.Owner, in.Expedited, in.Confirmation
	if !route || !times {
		if r.state != started {
			return skald.Refuse(contract.ReasonShipped, "the drone has left with delivery %s", r.id)
		}
		r.pickupTime.Time, r.deadline.Time = in.PickupTime, in.Deadline
		r.plan.Dropoff = dropoff
		r.plan = r.plan.Postponed(now, in.PickupTime)
		if err := r.possible(now); err != nil {
			return err
		}
	}
	return r.update(ctx, tx, now)
}

// put answers PUT /api/deliveries/{id}: 201 if the delivery was not known, 204 if it was.
func (s *service) put(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Owner        string `json:"ownerId"`
		Pickup       string `json:"pickupLocation"`
		Dropoff      string `json:"dropOffLocation"`
		PickupTime   string `json:"pickupTime"`
		Deadline     string `json:"deadline"`
		Expedited    bool   `json:"expedited"`
		Confirmation string `json:"confirmationRequired"`
		Drone        string `json:"droneId"`
		Package      string `json:"packageId"`
	}
	if !problem.Read(w, r, maxBody, &body) {
		return
	}
	pickupTime, err := web.Time(body.PickupTime)
	deadline, err2 := web.Time(body.Deadline)
	if err := errors.Join(err, err2); err != nil {
		problem.New(http.StatusUnprocessableEntity, err.Error()).Write(w)
		return
	}
	if body.Owner == "" {
		problem.New(http.StatusUnprocessableEntity, "it is not known whose delivery it is", problem.Fault{Field: "ownerId", Detail: "give one"}).Write(w)
		return
	}
	if body.Confirmation == "" {
		body.Confirmation = contract.NoConfirmation
	}
	if ways := contract.Confirmations(); !slices.Contains(ways, body.Confirmation) {
		problem.New(http.StatusUnprocessableEntity, "it cannot be confirmed so",
			problem.Fault{Field: "confirmationRequired", Detail: "give one of " + strings.Join(ways, ", ")}).Write(w)
		return
	}
	in := putting{
		Delivery: r.PathValue("id"), Owner: body.Owner, Pickup: body.Pickup, Dropoff: body.Dropoff, PickupTime: pickupTime, Deadline: deadline,
		Expedited: body.Expedited, Confirmation: body.Confirmation, Drone: body.Drone, Package: body.Package,
	}
	answer, ok := decide[done](s, w, r, putOperation.Name(), in)
	switch {
	case !ok:
	case answer.Created:
		w.Header().Set("Location", "/api/deliveries/"+in.Delivery)
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// remove answers DELETE /api/deliveries/{id}: 204 if the delivery is cancelled, or will be by its saga; 409 once the drone has left the pickup point.
func (s *service) remove(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := find(r.Context(), s.db, id); err != nil {
		web.Fail(w, r, s.log, err)
		return
	}
	if _, ok := decide[contract.Event](s, w, r, command.DeliveryCancel.Name(), command.Cancel{Delivery: id, By: "client"}); ok {
		w.WriteHeader(http.StatusNoContent)
	}
}

// decide lets the desk decide about a request, in a transaction with what follows from it, or answers why it could not. It is for the caller to repeat.
func decide[Out, In any](s *service, w http.ResponseWriter, r *http.Request, operation string, in In) (out Out, ok bool) {
	if err := journal.CheckID(skald.SagaID(r.PathValue("id"))); err != nil {
		problem.New(http.StatusUnprocessableEntity, err.Error()).Write(w)
		return out, false
	}
	input, err := json.Marshal(in)
	id, err2 := uuid.NewV7()
	if err := errors.Join(err, err2); err != nil {
		web.Fail(w, r, s.log, err)
		return out, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	a := s.desk.Invoke(ctx, participant.Call{
		Saga: skald.SagaID(r.PathValue("id")), Step: "request." + id.String(), Phase: participant.Action, Operation: operation, Attempt: 1, Input: input,
	})
	switch a.Class {
	case participant.Done:
		if err := json.Unmarshal(a.Result, &out); err != nil {
			web.Fail(w, r, s.log, err)
			return out, false
		}
		return out, true
	case participant.Refused:
		status := http.StatusUnprocessableEntity
		if a.Reason == contract.ReasonShipped || a.Reason == contract.ReasonEnded || a.Reason == contract.ReasonDoubled {
			status = http.StatusConflict
		}
		web.Refuse(w, status, a.Reason, a.Detail)
	case participant.Unknown:
		w.Header().Set("Retry-After", "1")
		problem.New(http.StatusServiceUnavailable, "the database does not answer now: ask again").Write(w)
	}
	return out, false
}
