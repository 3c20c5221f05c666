package theatre_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/webhook"
)

// tried waits until the newspaper was told of a visit, and the agency did not take it twice: between the second try and the next one are minutes, so that nothing goes on by itself.
func tried(t *testing.T, client *httpapi.Client, id skald.SagaID) {
	t.Helper()
	deadline := time.Now().Add(browsertest.Patience)
	for {
		page, err := client.Deliveries(t.Context(), webhook.DeliveryFilter{Saga: id})
		if err != nil {
			t.Fatal(err)
		}
		is := func(name string, state webhook.State, attempts int) bool {
			return slices.ContainsFunc(page.Deliveries, func(d httpapi.Delivery) bool { return d.Webhook == name && d.State == state && d.Attempts >= attempts })
		}
		if is(theatre.Newspaper, webhook.Delivered, 1) && is(theatre.Agency, webhook.Waiting, 2) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time: %+v", id, page.Deliveries)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

// An endpoint that was away is seen, with what it was not told and why, from its page and from the saga's; and when it is back, an operator lets it be told: one delivery, or all of them. Its secret is an admin's.
func TestOperatorLetsAnEndpointBeToldThatWasAway(t *testing.T) {
	t.Parallel()
	x := openWith(t, theatre.Config{Guarded: true, Outsiders: true})
	client := as(t, x, "Ada", access.Admin)
	for i, mode := range bothModes {
		id := skald.SagaID(fmt.Sprintf("well-%d", i))
		begin(t, x, id, mode, "")
		until(t, x, id, "it has ended", ended)
	}
	for i := range bothModes {
		tried(t, client, skald.SagaID(fmt.Sprintf("well-%d", i)))
	}
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/sagas/well-0")
	signIn(t, b, x, "Grace", access.Operator)
	b.Click("tab-deliveries")
	b.Shows(within("delivery", `[data-state="waiting"]`), "tried 2 times: it answered 503")
	b.Shows(within("delivery", `[data-state="delivered"]`), "newspaper")
	b.Shoot("saga")
	b.Run("to the endpoint", chromedp.Click(within("delivery", `[data-state="waiting"] a`), chromedp.NodeVisible))
	b.Shows(within("endpoint"), "admins see the whole URL")
	sees(t, b, `document.querySelectorAll('[data-testid="delivery"]').length === 2`)
	b.Shoot("endpoint")
	b.Click("rotate")
	b.Shows(within("may-not"), "It takes the role admin")
	sees(t, b, `document.querySelector("[data-testid=confirm]").disabled`)
	b.Run("leave it", chromedp.KeyEvent("\x1b"))
	sees(t, b, `!document.querySelector("dialog")`)

	x.Mend(theatre.Closed)
	b.Run("the one about well-0", chromedp.Click(within("delivery", `:has(a[href="#/sagas/well-0"]) [data-testid="redeliver"]`), chromedp.NodeVisible))
	b.Shows(within("dialog"), "the message about well-0 once more")
	b.Click("confirm")
	b.Shows(within("delivery", `[data-state="delivered"]`), "well-0")
	if page, err := client.Deliveries(t.Context(), webhook.DeliveryFilter{Saga: "well-1", State: webhook.Waiting}); err != nil || len(page.Deliveries) != 1 {
		t.Errorf("the other one does not wait any more: %+v, %v", page, err)
	}
	b.Click("retry-all")
	b.Shows(within("dialog"), "1 delivery that waits, 0 deliveries given up")
	b.Click("confirm")
	sees(t, b, `document.querySelectorAll('[data-testid="delivery"][data-state="delivered"]').length === 2`)
	sees(t, b, `document.querySelector("[data-testid=retry-all]").disabled`)
	b.Click("nav-audit")
	b.Shows(within("change", `[data-what="retryDeliveries"]`), "1 deliveries")
}

// An admin registers an endpoint, rotates its secret and takes it out; each secret is shown once and then nowhere.
func TestAdminRegistersAndRotatesAnEndpoint(t *testing.T) {
	t.Parallel()
	x := openWith(t, theatre.Config{Guarded: true, Outsiders: true})
	b := chromium.Open(t, 400, 900, browsertest.Prefers("color-scheme", "dark"))
	b.Visit(x.URL() + "/#/webhooks")
	signIn(t, b, x, "Ada", access.Admin)
	b.Shows(within("webhooks"), "agency")
	b.Click("register")
	b.Fill("webhook-name", "crm")
	b.Fill("webhook-url", "ftp://crm.example.org")
	b.Click("confirm")
	b.Shows(within("fault"), "give a url such as https://example.org/hooks")
	browsertest.Says[bool](b, `(() => { const url = document.querySelector("[data-testid=webhook-url]"); url.value = ""; return url.dispatchEvent(new Event("input", { bubbles: true })); })()`)
	b.Fill("webhook-url", x.URL()+"/outside/nobody?token=t0ken")
	b.Run("of all visits", chromedp.Click(chromedp.CSS(`dialog input[value="visit"]`), chromedp.NodeVisible))
	b.Shoot("register")
	b.Click("confirm")
	first := b.Shows(within("secret"), "whsec_")
	b.Shoot("secret")
	b.Click("secret-kept")
	sees(t, b, `!document.querySelector("dialog")`)
	b.Run("open it", chromedp.Click(chromedp.CSS(`a[href="#/webhooks/crm"]`), chromedp.NodeVisible))
	b.Shows(within("endpoint"), "token=t0ken")
	b.Click("rotate")
	b.Click("confirm")
	second := b.Shows(within("secret"), "whsec_")
	if first == second {
		t.Error("the secret is the old one")
	}
	b.Click("secret-kept")
	b.Shows(within("secret-state"), "the one before signs, too, until")
	if found := browsertest.Says[string](b, `document.documentElement.outerHTML + JSON.stringify({...localStorage, ...sessionStorage})`); strings.Contains(found, "whsec_") {
		t.Error("the page still has a secret")
	}
	if b.ScrollsSideways() {
		t.Error("the endpoint scrolls sideways at 400 pixels")
	}
	begin(t, x, "untold", skald.Orchestrated, "")
	until(t, x, "untold", "it has ended", ended)
	b.Shows(within("delivery"), "it answered 404") // it moves nothing: nothing was there
	b.Shoot("endpoint")
	b.Click("remove")
	b.Shows(within("dialog"), "1 message that it was not told yet is given up")
	b.Click("confirm")
	sees(t, b, `location.hash === "#/webhooks" && !document.querySelector('a[href="#/webhooks/crm"]')`)
	b.Click("state-given-up")
	b.Shows(within("delivery", `[data-state="given-up"]`), "the endpoint was taken out")
	b.Shoot("given-up")
}
