package ingestion

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/problem"
)

const (
	// maxBody bounds a request's document, in bytes.
	maxBody = 16 << 10
	// maxText bounds a text in it, in bytes.
	maxText = 256
	// startTime bounds the waiting for a delivery to be durable.
	startTime = 5 * time.Second
)

// DeliveryRequest is the document of POST /api/deliveryrequests. What is wrong with places, sizes and weights is not looked for here: the services that know refuse it, with a reason code.
type DeliveryRequest struct {
	Owner        string `json:"ownerId"`
	Pickup       string `json:"pickupLocation"`  // "lat,lon" in degrees
	Dropoff      string `json:"dropOffLocation"` // the same
	PickupTime   string `json:"pickupTime"`      // RFC 3339; empty is now
	Deadline     string `json:"deadline"`        // RFC 3339; empty is none
	Expedited    bool   `json:"expedited"`
	Confirmation string `json:"confirmationRequired"` // None, FingerPrint, Picture or Voice; empty is None
	PackageInfo  struct {
		ID     string  `json:"packageId"` // empty: the delivery's
		Size   string  `json:"size"`      // Small, Medium or Large
		Weight float64 `json:"weight"`    // kg
		Tag    string  `json:"tag"`
	} `json:"packageInfo"`
}

// read makes a saga's input of the document, or lists what is wrong with it.
func (q *DeliveryRequest) read(id string) (deliver.Request, []problem.Fault) {
	var faults []problem.Fault
	text := func(field, value string, required bool) {
		switch {
		case required && strings.TrimSpace(value) == "":
			faults = append(faults, problem.Fault{Field: field, Detail: "it is missing"})
		case len(value) > maxText:
			faults = append(faults, problem.Fault{Field: field, Detail: fmt.Sprintf("it has %d bytes, and %d are allowed", len(value), maxText)})
		}
	}
	moment := func(field, value string) time.Time {
		t, err := web.Time(value)
		if err != nil {
			faults = append(faults, problem.Fault{Field: field, Detail: err.Error()})
		}
		return t
	}
	text("ownerId", q.Owner, true)
	if strings.ContainsFunc(q.Owner, unicode.IsControl) { // it is the delivery's business key
		faults = append(faults, problem.Fault{Field: "ownerId", Detail: "it has characters that are no text"})
	}
	text("pickupLocation", q.Pickup, true)
	text("dropOffLocation", q.Dropoff, true)
	text("packageInfo.packageId", q.PackageInfo.ID, false)
	text("packageInfo.size", q.PackageInfo.Size, true)
	text("packageInfo.tag", q.PackageInfo.Tag, false)
	if q.Confirmation == "" {
		q.Confirmation = delivery.NoConfirmation
	}
	if ways := delivery.Confirmations(); !slices.Contains(ways, q.Confirmation) {
		faults = append(faults, problem.Fault{Field: "confirmationRequired", Detail: "give one of " + strings.Join(ways, ", ")})
	}
	out := deliver.Request{
		Delivery: id, Owner: q.Owner, Pickup: q.Pickup, Dropoff: q.Dropoff, PickupTime: moment("pickupTime", q.PickupTime), Deadline: moment("deadline", q.Deadline),
		Expedited: q.Expedited, Confirmation: q.Confirmation,
		Package: deliver.Package{ID: q.PackageInfo.ID, Size: q.PackageInfo.Size, Weight: q.PackageInfo.Weight, Tag: q.PackageInfo.Tag},
	}
	if out.Package.ID == "" {
		out.Package.ID = id
	}
	return out, faults
}

// space tells the ids that are made of clients' keys apart from others.
func space() uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://skald.example/drone")) }

// idOf is the delivery's id: the Idempotency-Key if it is a GUID, made of it if it is anything else, and otherwise a new one.
func idOf(key string) (string, error) {
	if key == "" {
		id, err := uuid.NewV7()
		return id.String(), err
	}
	if id, err := uuid.Parse(key); err == nil {
		return id.String(), nil
	}
	return uuid.NewSHA1(space(), []byte(key)).String(), nil
}

// request answers POST /api/deliveryrequests: 202 and where the delivery is found, once it is durable.
func (i *Ingestion) request(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxText {
		problem.New(http.StatusBadRequest, fmt.Sprintf("the Idempotency-Key has %d bytes: send at most %d, best a GUID", len(key), maxText)).Write(w)
		return
	}
	var body DeliveryRequest
	if !problem.Read(w, r, maxBody, &body) {
		return
	}
	id, err := idOf(key)
	if err != nil {
		web.Fail(w, r, i.log, err)
		return
	}
	input, faults := body.read(id)
	if len(faults) > 0 {
		problem.New(http.StatusUnprocessableEntity, "the request cannot be taken: see errors", faults...).Write(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), startTime)
	defer cancel()
	_, err = i.config.Saga.Start(ctx, i.engine, input, skald.WithID(skald.SagaID(id)), skald.WithKey(input.Owner))
	if err != nil {
		i.notStarted(w, r, id, err)
		return
	}
	i.view.changed()
	accepted(w, id)
}

// accepted answers 202.
func accepted(w http.ResponseWriter, id string) {
	w.Header().Set("Location", "/api/deliveries/"+id)
	problem.JSON(w, http.StatusAccepted, "application/json", struct {
		ID      string `json:"id"`
		Status  string `json:"status"`
		History string `json:"history"`
	}{id, "/api/deliveries/" + id + "/status", "/api/deliveryrequests/" + id + "/history"})
}

// notStarted answers for a delivery that may not have been started.
func (i *Ingestion) notStarted(w http.ResponseWriter, r *http.Request, id string, err error) {
	switch {
	case errors.Is(err, skald.ErrConflict):
		problem.New(http.StatusConflict, "this Idempotency-Key was used for another request: use a new one").Write(w)
	case errors.Is(err, skald.ErrText), errors.Is(err, skald.ErrTooLarge):
		problem.New(http.StatusUnprocessableEntity, err.Error()).Write(w)
	default:
		i.unavailable(w, r, err, "it is not known whether the request was stored: send it again, with the header Idempotency-Key: "+id)
	}
}

// unavailable answers 503, and says when to ask again.
func (i *Ingestion) unavailable(w http.ResponseWriter, r *http.Request, err error, detail string) {
	after := time.Second
	var full *skald.OverloadError
	if errors.As(err, &full) {
		after, detail = full.RetryAfter, "nothing was stored: "+full.Error()
	}
	i.log.WarnContext(r.Context(), "a request was not taken", "path", r.URL.Path, "error", err)
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(after.Seconds()))))
	problem.New(http.StatusServiceUnavailable, detail).Write(w)
}
