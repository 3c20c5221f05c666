package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/skaldhq/skald/webhook"
)

// Telling is a client whose starts let endpoints be told of their sagas. They must be registered, and of the definition's namespace.
func (c *Client) Telling(webhooks ...string) *Client {
	x := *c
	x.telling = webhooks
	return &x
}

// Webhooks lists the endpoints.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	page, err := get[WebhookPage](ctx, c, "/v1/webhooks", nil)
	return page.Webhooks, err
}

// Webhook shows an endpoint.
func (c *Client) Webhook(ctx context.Context, name string) (Webhook, error) {
	return get[Webhook](ctx, c, webhookPath(name), nil)
}

// EnterWebhook registers an endpoint, whose secret the answer has this once, or changes where it is and what it is told of.
func (c *Client) EnterWebhook(ctx context.Context, name string, at WebhookAddress) (none MadeWebhook, err error) {
	body, err := encode(at)
	if err != nil {
		return none, err
	}
	return ask[MadeWebhook](ctx, c, request{method: http.MethodPut, path: webhookPath(name), body: body})
}

// RotateWebhook gives an endpoint a new secret, which the answer has this once. The one before signs as well for as long as overlap says.
func (c *Client) RotateWebhook(ctx context.Context, name string, overlap time.Duration) (MadeWebhook, error) {
	return post[MadeWebhook](ctx, c, webhookPath(name)+"/rotate", Rotation{Overlap: overlap.Seconds()})
}

// RemoveWebhook takes an endpoint out. What it has not been told yet is given up.
func (c *Client) RemoveWebhook(ctx context.Context, name string) error {
	w, err := c.send(ctx, request{method: http.MethodDelete, path: webhookPath(name)})
	if err != nil {
		return err
	}
	return w.Body.Close()
}

// Deliveries lists deliveries, newest first, a page at a time. The namespace is the client's own.
func (c *Client) Deliveries(ctx context.Context, f webhook.DeliveryFilter) (DeliveryPage, error) {
	query := valuesOf(map[string]string{"webhook": f.Endpoint, "saga": string(f.Saga), "state": string(f.State), "cursor": f.Cursor})
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(f.Limit, maxPage)))
	}
	return get[DeliveryPage](ctx, c, "/v1/deliveries", query)
}

// Delivery shows a delivery.
func (c *Client) Delivery(ctx context.Context, id string) (Delivery, error) {
	return get[Delivery](ctx, c, "/v1/deliveries/"+url.PathEscape(id), nil)
}

// RetryDelivery makes a delivery once more, from its first attempt on, whatever became of it.
func (c *Client) RetryDelivery(ctx context.Context, id string) (Delivery, error) {
	return ask[Delivery](ctx, c, request{method: http.MethodPost, path: "/v1/deliveries/" + url.PathEscape(id) + "/retry"})
}

// RetryDeliveries makes every delivery to an endpoint that waits or was given up once more, from its first attempt on, and says how many these are.
func (c *Client) RetryDeliveries(ctx context.Context, name string) (int, error) {
	done, err := ask[RetriedDeliveries](ctx, c, request{method: http.MethodPost, path: webhookPath(name) + "/retry"})
	return done.Deliveries, err
}

func webhookPath(name string) string { return "/v1/webhooks/" + url.PathEscape(name) }
