package ingestion

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/examples/drone/contract/command"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/journal"
)

// cancel answers DELETE /api/deliveryrequests/{id}: 202 if the delivery is turned back or asked to, 204 if it was before, 409 once the drone has left the pickup point.
//
// Before the point of no return is next, the cancel is decided among the saga's own tokens. When it is, only Delivery can decide, who knows whether the drone has left: it is sent the command.
func (i *Ingestion) cancel(w http.ResponseWriter, r *http.Request) {
	id := skald.SagaID(r.PathValue("id"))
	reason := r.FormValue("reason")
	if len(reason) > maxText {
		problem.New(http.StatusUnprocessableEntity, "the reason is too long").Write(w)
		return
	}
	s, err := i.engine.Status(r.Context(), id)
	if err != nil {
		i.fail(w, r, err)
		return
	}
	if s.State == skald.Compensated {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	err = i.engine.Cancel(r.Context(), id, "client", reason)
	switch {
	case err == nil:
		i.view.changed()
		accepted(w, string(id))
	case errors.Is(err, skald.ErrEnded):
		web.Refuse(w, http.StatusConflict, delivery.ReasonEnded, "the delivery has ended")
	case errors.Is(err, skald.ErrPassed) && isDone(&s, delivery.Ship.Name()):
		web.Refuse(w, http.StatusConflict, delivery.ReasonShipped, "the drone has left the pickup point")
	case errors.Is(err, skald.ErrPassed):
		askFor(i, w, r, command.TypeCancel, command.Cancel{Delivery: string(id), By: "client", Reason: reason})
	default:
		i.fail(w, r, err)
	}
}

func isDone(s *skald.Status, step string) bool {
	x := s.Step(step)
	return x != nil && x.State == journal.StepStateDone
}

// reschedule answers PATCH /api/deliveryrequests/{id}: 200 with what was agreed, 202 if Delivery has not decided within a few seconds, 409 if it is too late, 422 if the times cannot be kept.
func (i *Ingestion) reschedule(w http.ResponseWriter, r *http.Request) {
	var body struct {
		PickupTime *string `json:"pickupTime"` // empty is now
		Deadline   *string `json:"deadline"`   // empty is none
	}
	if !problem.Read(w, r, maxBody, &body) {
		return
	}
	id := skald.SagaID(r.PathValue("id"))
	ask := command.Reschedule{Delivery: string(id), By: "client"}
	var faults []problem.Fault
	for _, x := range []struct {
		field string
		text  *string
		into  **time.Time
	}{{"pickupTime", body.PickupTime, &ask.PickupTime}, {"deadline", body.Deadline, &ask.Deadline}} {
		if x.text == nil {
			continue
		}
		t, err := web.Time(*x.text)
		if err != nil {
			faults = append(faults, problem.Fault{Field: x.field, Detail: err.Error()})
		}
		*x.into = &t
	}
	if ask.PickupTime == nil && ask.Deadline == nil {
		faults = append(faults, problem.Fault{Detail: "give pickupTime, deadline or both"})
	}
	if len(faults) > 0 {
		problem.New(http.StatusUnprocessableEntity, "the delivery cannot be rescheduled so: see errors", faults...).Write(w)
		return
	}
	s, err := i.engine.Status(r.Context(), id)
	switch {
	case err != nil:
		i.fail(w, r, err)
	case s.State != skald.Running:
		web.Refuse(w, http.StatusConflict, delivery.ReasonEnded, "the delivery has ended, or is turned back")
	case isDone(&s, delivery.Ship.Name()):
		web.Refuse(w, http.StatusConflict, delivery.ReasonShipped, "the drone has left the pickup point")
	default:
		askFor(i, w, r, command.TypeReschedule, ask)
	}
}

// askFor sends Delivery a command and answers with its decision, or with 202 if it has not come in time: then the command is durable and the delivery shows what became of it.
func askFor[T any](i *Ingestion, w http.ResponseWriter, r *http.Request, messageType string, what T) {
	id := r.PathValue("id")
	step, err := bus.NewStep()
	if err != nil {
		web.Fail(w, r, i.log, err)
		return
	}
	decided, forget := i.answers.await(step)
	defer forget()
	sending, cancel := context.WithTimeout(r.Context(), startTime)
	defer cancel()
	if err := bus.Ask(sending, i.config.Broker, Name, messageType, id, step, what); err != nil {
		i.unavailable(w, r, err, "it is not known whether this was sent: ask again, which is harmless")
		return
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	select {
	case a := <-decided:
		i.view.changed()
		a.write(w, id)
	case <-timer.C:
		accepted(w, id)
	case <-r.Context().Done():
	}
}

// write answers with a decision.
func (a answer) write(w http.ResponseWriter, id string) {
	switch a.eventType {
	case delivery.EventRescheduled:
		problem.JSON(w, http.StatusOK, "application/json", a.event)
	case delivery.EventCancelTaken:
		accepted(w, id)
	default:
		status := http.StatusUnprocessableEntity
		if a.refusal.Reason == delivery.ReasonShipped || a.refusal.Reason == delivery.ReasonEnded {
			status = http.StatusConflict
		}
		web.Refuse(w, status, a.refusal.Reason, a.refusal.Detail)
	}
}

// fail answers for an error of the engine.
func (i *Ingestion) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, skald.ErrNotFound) || errors.Is(err, skald.ErrID) {
		problem.New(http.StatusNotFound, "there is no delivery of this id").Write(w)
		return
	}
	i.unavailable(w, r, err, "this cannot be said or done now: ask again, which is harmless")
}
