package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/webhook"
)

// Webhooks keeps endpoints and tells them how sagas ended. It is used concurrently. What its methods promise is said at those of sqlitewebhook.Sender.
type Webhooks interface {
	Endpoints(ctx context.Context) ([]webhook.Endpoint, error)
	Enter(ctx context.Context, e webhook.Endpoint) (secret webhook.Secret, existed bool, err error)
	Rotate(ctx context.Context, name string, overlap time.Duration) (webhook.Secret, error)
	Remove(ctx context.Context, name string) error
	// Subscribe lets endpoints be told of a saga that is not started yet; LookOut is for one that turned out to be.
	Subscribe(ctx context.Context, saga skald.SagaID, endpoints ...string) error
	LookOut(ctx context.Context, saga skald.SagaID) error
	Deliveries(ctx context.Context, f webhook.DeliveryFilter) (webhook.Page, error)
	Again(ctx context.Context, id string) error
	AgainAll(ctx context.Context, endpoint string) (int, error)
}

// Webhook is an endpoint that is told how sagas ended.
type Webhook struct {
	Name           string    `json:"name"`
	Host           string    `json:"host"`          // where its deliveries go
	URL            string    `json:"url,omitempty"` // shown to admins only: it may have a token in it
	Definitions    []string  `json:"definitions"`   // those whose sagas it is told of; none: only of sagas that were started with it
	Created        time.Time `json:"created"`
	CreatedBy      string    `json:"created_by,omitempty"`
	SecretSince    time.Time `json:"secret_since"`              // when the secret was made that signs
	OldSecretUntil time.Time `json:"old_secret_until,omitzero"` // until when the one before signs, too; left out if it does not
	Waiting        int       `json:"waiting"`                   // deliveries to be made
	GivenUp        int       `json:"given_up"`                  // deliveries that were given up
}

// WebhookPage is all endpoints that the one who asks may see, by name.
type WebhookPage struct {
	Webhooks []Webhook `json:"webhooks"`
}

// WebhookAddress says where an endpoint is, and what it is told of.
type WebhookAddress struct {
	URL         string   `json:"url"`
	Definitions []string `json:"definitions,omitempty"` // of its own namespace; none: only of sagas that are started with it
}

// MadeWebhook is an endpoint with its secret, if that is new: it is said once.
type MadeWebhook struct {
	Webhook Webhook `json:"webhook"`
	Secret  string  `json:"secret,omitempty"` // as the Standard Webhooks specification writes it; left out if the endpoint keeps the one that it has
}

// Delivery is one message for one endpoint.
type Delivery struct {
	ID       string        `json:"id"` // of the message, the same in every attempt (header Webhook-Id)
	Saga     skald.SagaID  `json:"saga"`
	Webhook  string        `json:"webhook"` // the endpoint's name
	State    webhook.State `json:"state"`
	Attempts int           `json:"attempts"`
	Status   int           `json:"status,omitempty"` // HTTP status of the last attempt; left out if there was no answer
	Error    string        `json:"error,omitempty"`  // what was in the way of the last attempt
	Made     time.Time     `json:"made"`             // when the saga's end was seen
	Tried    time.Time     `json:"tried,omitzero"`   // when the last attempt was, of one that does not wait
	Next     time.Time     `json:"next,omitzero"`    // when the next attempt is due, of one that waits
}

// DeliveryPage is one page of deliveries, the newest first.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`
	Next       string     `json:"next,omitempty"` // cursor of the next page; left out on the last
}

// RetriedDeliveries says how many deliveries are made again.
type RetriedDeliveries struct {
	Deliveries int `json:"deliveries"`
}

func webhookOf(e *webhook.Endpoint, who access.Identity) Webhook {
	x := Webhook{Name: e.Name, Host: e.Host(), Definitions: append([]string{}, e.Definitions...), Created: e.Created, CreatedBy: e.CreatedBy, SecretSince: e.SecretSince, OldSecretUntil: e.OldSecretUntil, Waiting: e.Waiting, GivenUp: e.GivenUp}
	if who.Role >= access.Admin {
		x.URL = e.URL
	}
	return x
}

func deliveryOf(d *webhook.Delivery) Delivery {
	x := Delivery{ID: d.ID, Saga: d.Saga, Webhook: d.Endpoint, State: d.State, Attempts: d.Attempts, Status: d.Status, Error: d.Error, Made: d.Made}
	if d.State == webhook.Waiting {
		x.Next = d.Due
	} else {
		x.Tried = d.Due
	}
	return x
}

// webhooks is what tells outsiders, or a problem that says that nothing does.
func (h *Handler) webhooks() (Webhooks, error) {
	if h.Webhooks == nil {
		return nil, problem(http.StatusNotFound, problemNoWebhooks, "There are no webhooks here", "This program tells nobody how sagas ended: its programmer gives httpapi.Config a sender (Webhooks); skald serve has one.")
	}
	return h.Webhooks, nil
}

// endpoints are those that an identity sees.
func (h *Handler) endpoints(ctx context.Context) ([]webhook.Endpoint, error) {
	hooks, err := h.webhooks()
	if err != nil {
		return nil, err
	}
	all, err := hooks.Endpoints(ctx)
	who := whoAsks(ctx)
	return slices.DeleteFunc(all, func(e webhook.Endpoint) bool { return !who.Sees(e.Name) }), err
}

// endpoint is the one of a path. One of a foreign namespace does not exist.
func (h *Handler) endpoint(r *http.Request) (webhook.Endpoint, error) {
	all, err := h.endpoints(r.Context())
	if err != nil {
		return webhook.Endpoint{}, err
	}
	i := slices.IndexFunc(all, func(e webhook.Endpoint) bool { return e.Name == r.PathValue("name") })
	if i < 0 {
		names := make([]string, len(all))
		for k := range all {
			names[k] = all[k].Name
		}
		return webhook.Endpoint{}, problem(http.StatusNotFound, problemNoWebhook, "No such webhook", "No endpoint has the name %.100q: %s.", r.PathValue("name"), among(names))
	}
	return all[i], nil
}

// listWebhooks answers GET /v1/webhooks.
func (h *Handler) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	all, err := h.endpoints(r.Context())
	if err != nil {
		return err
	}
	page := WebhookPage{Webhooks: make([]Webhook, len(all))}
	for i := range all {
		page.Webhooks[i] = webhookOf(&all[i], whoAsks(r.Context()))
	}
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}

// getWebhook answers GET /v1/webhooks/{name}.
func (h *Handler) getWebhook(w http.ResponseWriter, r *http.Request) error {
	e, err := h.endpoint(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, "application/json", webhookOf(&e, whoAsks(r.Context())))
	return nil
}

// enterWebhook answers PUT /v1/webhooks/{name}.
func (h *Handler) enterWebhook(w http.ResponseWriter, r *http.Request) error {
	hooks, err := h.webhooks()
	if err != nil {
		return err
	}
	in, err := readDocument[WebhookAddress](w, r, maxBody)
	if err != nil {
		return err
	}
	who, name := whoAsks(r.Context()), r.PathValue("name")
	if !who.Sees(name) {
		return problem(http.StatusForbidden, problemForbidden, "It is not yours to do", "An endpoint named %.100q lies outside of your namespace, %s: its name has to begin with %q.", name, who.Namespace, who.Namespace+".")
	}
	e := webhook.Endpoint{Name: name, URL: in.URL, Definitions: in.Definitions, CreatedBy: who.Name}
	if err := h.toldOf(r.Context(), &e); err != nil {
		return err
	}
	secret, existed, err := hooks.Enter(r.Context(), e)
	if err != nil {
		return err
	}
	noteOf(r.Context()).say("at %s, told of %d definitions", e.Host(), len(e.Definitions))
	if existed {
		return h.showSecret(w, r, http.StatusOK, "")
	}
	return h.showSecret(w, r, http.StatusCreated, secret.Reveal())
}

// toldOf refuses an endpoint for a definition that nobody has registered: a mistyped name would never be heard of again, and to register the definition first costs nothing. What an endpoint is told of already stays, also
// if this program does not have the definition any more.
func (h *Handler) toldOf(ctx context.Context, e *webhook.Endpoint) error {
	all, err := h.endpoints(ctx)
	if err != nil {
		return err
	}
	var already []string
	if i := slices.IndexFunc(all, func(x webhook.Endpoint) bool { return x.Name == e.Name }); i >= 0 {
		already = all[i].Definitions
	}
	var names []string
	for d := range h.visible(ctx) {
		if d.Latest {
			names = append(names, d.Name)
		}
	}
	var faults []Fault
	for i, name := range e.Definitions {
		if !slices.Contains(names, name) && !slices.Contains(already, name) {
			faults = append(faults, Fault{fmt.Sprintf("body /definitions/%d", i), fmt.Sprintf("no definition has the name %.80q: %s. Register it first, or mend the name", name, among(names))})
		}
	}
	if len(faults) > 0 {
		return badContent(faults...)
	}
	return nil
}

// showSecret answers with the endpoint of the path and its new secret, if it has one.
func (h *Handler) showSecret(w http.ResponseWriter, r *http.Request, status int, secret string) error {
	e, err := h.endpoint(r)
	if err == nil {
		writeJSON(w, status, "application/json", MadeWebhook{webhookOf(&e, whoAsks(r.Context())), secret})
	}
	return err
}

// rotateWebhook answers POST /v1/webhooks/{name}/rotate.
func (h *Handler) rotateWebhook(w http.ResponseWriter, r *http.Request) error {
	e, err := h.endpoint(r)
	if err != nil {
		return err
	}
	overlap, err := readOverlap(w, r)
	if err != nil {
		return err
	}
	secret, err := h.Webhooks.Rotate(r.Context(), e.Name, overlap)
	if err != nil {
		return err
	}
	return h.showSecret(w, r, http.StatusCreated, secret.Reveal())
}

// removeWebhook answers DELETE /v1/webhooks/{name}.
func (h *Handler) removeWebhook(w http.ResponseWriter, r *http.Request) error {
	e, err := h.endpoint(r)
	if err == nil {
		err = h.Webhooks.Remove(r.Context(), e.Name)
	}
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// listDeliveries answers GET /v1/deliveries.
func (h *Handler) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	hooks, err := h.webhooks()
	if err != nil {
		return err
	}
	q := query{values: r.URL.Query()}
	f := webhook.DeliveryFilter{Endpoint: q.text("webhook"), Saga: skald.SagaID(q.text("saga")), State: webhook.State(q.text("state")), Cursor: q.text("cursor"), Limit: q.page()}
	if !slices.Contains([]webhook.State{"", webhook.Waiting, webhook.Delivered, webhook.GivenUp}, f.State) {
		q.add("state", "%.40q is no state of a delivery: use waiting, delivered or given-up", f.State)
	}
	if err := q.err(); err != nil {
		return err
	}
	if who := whoAsks(r.Context()); who.Namespace != access.Everywhere {
		f.Namespace = who.Namespace
	}
	found, err := hooks.Deliveries(r.Context(), f)
	if err != nil {
		return err
	}
	page := DeliveryPage{Deliveries: make([]Delivery, len(found.Deliveries)), Next: found.Next}
	for i := range found.Deliveries {
		page.Deliveries[i] = deliveryOf(&found.Deliveries[i])
	}
	writeJSON(w, http.StatusOK, "application/json", page)
	return nil
}

// delivery is the one of a path. One of a foreign namespace does not exist.
func (h *Handler) delivery(r *http.Request) (Delivery, error) {
	hooks, err := h.webhooks()
	if err != nil {
		return Delivery{}, err
	}
	page, err := hooks.Deliveries(r.Context(), webhook.DeliveryFilter{ID: r.PathValue("id"), Limit: 1})
	if err != nil {
		return Delivery{}, err
	}
	if len(page.Deliveries) == 0 || !whoAsks(r.Context()).Sees(page.Deliveries[0].Endpoint) {
		return Delivery{}, fmt.Errorf("%w: %.100q", webhook.ErrNoDelivery, r.PathValue("id"))
	}
	return deliveryOf(&page.Deliveries[0]), nil
}

// getDelivery answers GET /v1/deliveries/{id}.
func (h *Handler) getDelivery(w http.ResponseWriter, r *http.Request) error {
	d, err := h.delivery(r)
	if err == nil {
		writeJSON(w, http.StatusOK, "application/json", d)
	}
	return err
}

// retryDelivery answers POST /v1/deliveries/{id}/retry.
func (h *Handler) retryDelivery(w http.ResponseWriter, r *http.Request) error {
	d, err := h.delivery(r)
	if err == nil {
		err = h.Webhooks.Again(r.Context(), d.ID)
	}
	if err != nil {
		return err
	}
	return h.getDelivery(w, r)
}

// retryDeliveries answers POST /v1/webhooks/{name}/retry.
func (h *Handler) retryDeliveries(w http.ResponseWriter, r *http.Request) error {
	e, err := h.endpoint(r)
	if err != nil {
		return err
	}
	n, err := h.Webhooks.AgainAll(r.Context(), e.Name)
	if err != nil {
		return err
	}
	noteOf(r.Context()).say("%d deliveries", n)
	writeJSON(w, http.StatusOK, "application/json", RetriedDeliveries{n})
	return nil
}

// tellers checks who a start wants to be told of its saga. Those of other namespaces than the definition's do not exist for it.
func (h *Handler) tellers(r *http.Request, definition string) ([]string, error) {
	names := r.URL.Query()["webhook"]
	if len(names) == 0 {
		return nil, nil
	}
	all, err := h.endpoints(r.Context())
	if err != nil {
		return nil, err
	}
	var q query
	for _, name := range names {
		if journal.NamespaceOf(name) != journal.NamespaceOf(definition) || !slices.ContainsFunc(all, func(e webhook.Endpoint) bool { return e.Name == name }) {
			q.add("webhook", "there is no endpoint %.100q in the namespace %s of the definition: GET /v1/webhooks says which there are", name, journal.NamespaceOf(definition))
		}
	}
	return names, q.err()
}

// subscribe writes down who is told of the saga of a start before there is one, and says its id if the start does not.
func (h *Handler) subscribe(ctx context.Context, ask *skald.StartRequest, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if ask.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("httpapi: making an id: %w", err)
		}
		ask.ID = skald.SagaID(id.String())
	}
	return h.Webhooks.Subscribe(ctx, ask.ID, names...)
}
