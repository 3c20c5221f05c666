package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/webhook"
)

// webhooksCommand is "skald webhooks".
type webhooksCommand struct {
	List       webhooksListCommand    `cmd:"" default:"withargs" help:"List who is told how sagas ended."`
	Enter      webhookEnterCommand    `cmd:"" help:"Register an endpoint and print its secret, once; or change where it is and what it is told of."`
	Rotate     webhookRotateCommand   `cmd:"" help:"Give an endpoint a new secret, and print it."`
	Remove     webhookRemoveCommand   `cmd:"" help:"Take an endpoint out. What it has not been told yet is given up."`
	Deliveries deliveriesListCommand  `cmd:"" help:"List deliveries, newest first."`
	Retry      webhookDeliveryCommand `cmd:"" help:"Make a delivery again at once, whatever became of it; or all of an endpoint that is back."`
}

// webhooksListCommand is "skald webhooks list".
type webhooksListCommand struct{ Remote }

// Run runs the command.
func (c *webhooksListCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	all, err := client.Webhooks(w.ctx)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printLines(w, all)
	case len(all) == 0:
		w.note("Nobody is told how sagas ended: skald webhooks enter registers an endpoint.")
		return nil
	}
	draw.Webhooks(w.out, all)
	return nil
}

// webhookEnterCommand is "skald webhooks enter".
type webhookEnterCommand struct {
	Name       string   `arg:"" help:"Its name. It belongs to the namespace before the first dot, as definitions do."`
	URL        string   `arg:"" name:"url" help:"Where messages go, such as https://example.org/hooks."`
	Definition []string `help:"A definition of whose sagas it is told; may be given several times. Without, it is told of sagas that are started with it only (skald start --webhook)." placeholder:"NAME"`
	Remote
}

// Run runs the command.
func (c *webhookEnterCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	made, err := client.EnterWebhook(w.ctx, c.Name, httpapi.WebhookAddress{URL: c.URL, Definitions: c.Definition})
	if err != nil {
		return err
	}
	if made.Secret == "" {
		w.note("%s is changed, and keeps its secret", c.Name)
	}
	return c.printSecret(w, &made)
}

// printSecret prints a secret that is new, alone on its line: receivers need it, and it is shown this once.
func (r *Remote) printSecret(w *world, made *httpapi.MadeWebhook) error {
	if r.JSON {
		return printJSON(w, made)
	}
	if made.Secret != "" {
		fmt.Fprintln(w.stdout, made.Secret)
	}
	return nil
}

// webhookRotateCommand is "skald webhooks rotate".
type webhookRotateCommand struct {
	Name    string        `arg:"" help:"The endpoint's name."`
	Overlap time.Duration `help:"How long messages are signed with the old secret as well, so that the receiver can be changed meanwhile." default:"0s" placeholder:"TIME"`
	Remote
}

// Run runs the command.
func (c *webhookRotateCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	made, err := client.RotateWebhook(w.ctx, c.Name, c.Overlap)
	if err != nil {
		return err
	}
	return c.printSecret(w, &made)
}

// webhookRemoveCommand is "skald webhooks remove".
type webhookRemoveCommand struct {
	Name string `arg:"" help:"The endpoint's name."`
	Remote
}

// Run runs the command.
func (c *webhookRemoveCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	return client.RemoveWebhook(w.ctx, c.Name)
}

// deliveriesListCommand is "skald webhooks deliveries".
type deliveriesListCommand struct {
	Webhook string       `help:"To this endpoint." placeholder:"NAME"`
	Saga    skald.SagaID `help:"About this saga." placeholder:"ID"`
	State   string       `help:"In this state: waiting, delivered or given-up." enum:",waiting,delivered,given-up" default:"" placeholder:"STATE"`
	Limit   int          `short:"n" help:"How many at most." default:"50"`
	Cursor  string       `help:"Go on from where a list ended." placeholder:"CURSOR"`
	Remote
}

// Run runs the command.
func (c *deliveriesListCommand) Run(w *world) error {
	client, err := c.client(w)
	if err != nil {
		return err
	}
	page, err := client.Deliveries(w.ctx, webhook.DeliveryFilter{Endpoint: c.Webhook, Saga: c.Saga, State: webhook.State(c.State), Limit: max(1, min(c.Limit, pageSize)), Cursor: c.Cursor})
	if err != nil {
		return err
	}
	if c.JSON {
		err = printLines(w, page.Deliveries)
	} else if len(page.Deliveries) > 0 {
		draw.Deliveries(w.out, page.Deliveries, time.Now())
	}
	if len(page.Deliveries) == 0 {
		w.note("No delivery matches.")
	}
	if page.Next != "" {
		w.note("There are more: add --cursor=%s", page.Next)
	}
	return err
}

// webhookDeliveryCommand is "skald webhooks retry".
type webhookDeliveryCommand struct {
	ID      string `arg:"" name:"delivery" optional:"" help:"The delivery's id."`
	Webhook string `help:"Instead of one delivery: all to this endpoint that wait or were given up." placeholder:"NAME"`
	Remote
}

// Run runs the command.
func (c *webhookDeliveryCommand) Run(w *world) error {
	if (c.ID == "") == (c.Webhook == "") {
		return usage(errors.New("name one delivery (skald webhooks deliveries lists them), or with --webhook an endpoint for all that it was not told"))
	}
	client, err := c.client(w)
	if err != nil {
		return err
	}
	if c.Webhook != "" {
		return c.retryAll(w, client)
	}
	d, err := client.RetryDelivery(w.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(w, d)
	}
	draw.Deliveries(w.out, []httpapi.Delivery{d}, time.Now())
	return nil
}

func (c *webhookDeliveryCommand) retryAll(w *world, client *httpapi.Client) error {
	n, err := client.RetryDeliveries(w.ctx, c.Webhook)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return printJSON(w, httpapi.RetriedDeliveries{Deliveries: n})
	case n == 0:
		w.note("%s has been told of everything", c.Webhook)
		return nil
	}
	w.note("deliveries to %s that are made again at once: %d", c.Webhook, n)
	return nil
}
