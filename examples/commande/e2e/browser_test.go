package e2e_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald/examples/browsertest"
)

// browser is a Chromium in which somebody uses the shop.
type browser struct {
	*browsertest.Browser
	t   *testing.T
	url string
}

// open starts a Chromium.
func (l *live) open(t *testing.T, width, height int64, wishes ...*emulation.MediaFeature) browser {
	t.Helper()
	return browser{chromium.Open(t, width, height, wishes...), t, l.url}
}

// visit goes to a path of the shop's server.
func (b browser) visit(path string) {
	b.t.Helper()
	b.Visit(b.url + path)
}

// shows waits until the text of an element, by its data-testid, contains something, and returns it.
func (b browser) shows(name, text string) string {
	b.t.Helper()
	return b.Shows(browsertest.ID(name), text)
}

// steps waits until the steps have these data-states.
func (b browser) steps(want ...string) {
	b.t.Helper()
	for _, pair := range want {
		name, state, _ := strings.Cut(pair, " ")
		b.Sees(browsertest.ID("step-"+name) + chromedp.CSS(`[data-state="`+state+`"]`))
	}
}

func (b browser) attribute(name, attribute string) string {
	b.t.Helper()
	return browsertest.Read(b.Browser, "read "+attribute+" of "+name, chromedp.AttributeValue(browsertest.ID(name), attribute)).Value
}

// order fills the basket and the form, presses the button, and returns the order's id when its page is shown.
func (b browser) order(card, email string, skus ...string) string {
	b.t.Helper()
	b.visit("/shop/")
	for _, sku := range skus {
		b.Click("product-" + sku + "-add")
	}
	b.Fill("field-client", "Ada Lovelace")
	b.Fill("field-email", email)
	b.Click("testcard-" + card)
	b.Click("order-submit")
	b.Sees(browsertest.ID("saga-state"))
	return strings.TrimPrefix(browsertest.Says[string](b.Browser, `location.pathname`), "/shop/orders/")
}
