package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/examples/problem"
)

// startTime bounds what it takes to make an order durable.
const startTime = 10 * time.Second

// fullPause is how long customers are asked to wait when something cannot be written: disks do not empty within a second.
const fullPause = 5 * time.Second

// create takes an order: POST /api/commandes.
func (o *Orchestrator) create(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, exampleOrder)
	if !ok {
		return
	}
	p, faults := readPurchase(body)
	if faults.answer(w, orders()) {
		return
	}
	id, err := orderID(r.Header)
	if err != nil {
		problem.New(http.StatusBadRequest, "The header Idempotency-Key cannot be used: "+err.Error()).Write(w)
		return
	}
	if o.stopping() {
		busy(w, stoppingDetail, time.Second)
		return
	}
	run, ok := o.start(w, r, id, p)
	if !ok {
		return
	}
	if wait := preferredWait(r.Header); wait > 0 {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		o.answerEnd(w, r, run, wait)
		return
	}
	o.answerAccepted(w, r, id)
}

const stoppingDetail = "The shop is stopping. Nothing was kept; try again in a moment, with the same Idempotency-Key."

// start hands the card to PaiementService and makes the order durable. If it cannot, it answers and returns false. It goes on when
// the client hangs up: whether there is an order must not depend on that.
func (o *Orchestrator) start(w http.ResponseWriter, r *http.Request, id skald.SagaID, p purchase) (skald.Run, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), startTime)
	defer cancel()
	token, err := o.services.handCard(ctx, id, p.card)
	if err != nil {
		o.answerCard(w, err)
		return skald.Run{}, false
	}
	if err := o.events.Follow(ctx, id); err != nil {
		o.log.Warn("no order is taken: its events cannot be followed", "order", id, "error", err)
		busy(w, "The shop cannot write at the moment. Nothing was kept; try again in a moment, with the same Idempotency-Key.", fullPause)
		return skald.Run{}, false
	}
	run, err := o.saga.Start(ctx, o.engine, placeorder.Order{Client: p.client, Email: p.email, CardToken: token, Items: p.items},
		skald.WithID(id), skald.WithKey(p.email), skald.WithTrace(traceOf(r.Header)), skald.InMode(o.modeNow()))
	o.announcer.follow(id) // also after an error, which may leave it open whether the order exists
	var overload *skald.OverloadError
	switch {
	case err == nil:
		return run, true
	case errors.As(err, &overload):
		busy(w, fmt.Sprintf("No order is taken now: %s. Nothing was kept; try again later.", overload.Why), overload.RetryAfter)
	case errors.Is(err, skald.ErrStopped):
		busy(w, stoppingDetail, time.Second)
	case errors.Is(err, skald.ErrConflict):
		problem.New(http.StatusConflict, "This Idempotency-Key stands for another order. Use a new key for a new order.").Write(w)
	case errors.Is(err, context.DeadlineExceeded), o.engine.Err() != nil:
		o.log.Warn("whether an order is taken is not known", "order", id, "error", err)
		busy(w, "It is not known yet whether the order was taken. Try again in a moment, with the same Idempotency-Key: it is placed once.", fullPause)
	default:
		o.answerFailure(w, err)
	}
	return skald.Run{}, false
}

// answerCard says why PaiementService did not take the card.
func (o *Orchestrator) answerCard(w http.ResponseWriter, err error) {
	var said *serviceError
	errors.As(err, &said)
	switch {
	case said != nil && (said.status == http.StatusUnprocessableEntity || said.status == http.StatusBadRequest):
		var f faults
		f.add("card", "This is not a card number that can be charged: check its digits.")
		f.answer(w, orders())
	case said != nil && said.status == http.StatusConflict:
		problem.New(http.StatusConflict, "This Idempotency-Key stands for an order with another card. Use a new key for a new order.").Write(w)
	default:
		o.log.Warn("no order is taken: the card cannot be handed over", "error", err)
		busy(w, "PaiementService does not answer, and without it no card can be taken. Nothing was kept; try again in a moment.", time.Second)
	}
}

// answerEnd waits for the outcome. When the time runs out, or the engine stops, the order goes on and the answer is the one without waiting.
func (o *Orchestrator) answerEnd(w http.ResponseWriter, r *http.Request, run skald.Run, wait time.Duration) {
	longLived(w)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	if _, err := run.Wait(ctx); err != nil {
		if r.Context().Err() == nil { // otherwise nobody is there to be answered
			o.answerAccepted(w, r, run.ID)
		}
		return
	}
	v, err := o.look(r.Context(), run.ID)
	if err != nil {
		o.answerFailure(w, err)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", v.order)
}

// answerAccepted answers 202: the order is durable, and this is where to follow it.
func (o *Orchestrator) answerAccepted(w http.ResponseWriter, r *http.Request, id skald.SagaID) {
	w.Header().Set("Location", "/api/commandes/"+string(id))
	w.Header().Set("Link", "<"+historyOf(id)+`>; rel="history"; type="text/html"`)
	v, err := o.look(r.Context(), id)
	if err != nil {
		o.answerFailure(w, err)
		return
	}
	problem.JSON(w, http.StatusAccepted, "application/json", v.order)
}

// show answers GET /api/commandes/{id}.
func (o *Orchestrator) show(w http.ResponseWriter, r *http.Request) {
	v, err := o.look(r.Context(), skald.SagaID(r.PathValue("id")))
	if err != nil {
		o.answerFailure(w, err)
		return
	}
	problem.JSON(w, http.StatusOK, "application/json", v.order)
}

// answerFailure answers what went wrong without anybody's fault.
func (o *Orchestrator) answerFailure(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, skald.ErrNotFound):
		problem.New(http.StatusNotFound, "There is no such order: its id is mistyped, or it ended longer ago than orders are kept.").Write(w)
	case errors.Is(err, skald.ErrStopped):
		busy(w, "The shop is stopping. Orders that were taken go on after its next start.", time.Second)
	case errors.Is(err, context.Canceled):
		busy(w, "The request was given up.", time.Second)
	default:
		o.log.Error("a request failed", "error", err)
		problem.New(http.StatusInternalServerError, "Something went wrong here, and it is in the log. Orders that were taken are safe.").Write(w)
	}
}

// busy answers 503: nothing took effect, try again.
func busy(w http.ResponseWriter, detail string, after time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int((after+time.Second-1)/time.Second))))
	problem.New(http.StatusServiceUnavailable, detail).Write(w)
}
