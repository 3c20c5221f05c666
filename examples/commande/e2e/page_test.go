package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/browsertest"
)

func TestBrowserBuysAndOpensTheReceipt(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		b := l.open(t, 1280, 900)
		b.visit("/")
		b.Run("see the services", chromedp.WaitVisible(chromedp.CSS(`#services[aria-busy="false"] table`)))
		b.Shoot("front")
		b.visit("/shop/")
		b.Click("product-CAF-001-add")
		b.Click("product-TAS-001-add")
		b.shows("basket-total", "36,90")
		b.Shoot("basket")
		bought := b.order(accepted, "ada@example.com", "CAF-002")
		b.shows("saga-state", "CommandeConfirm")
		b.steps("commande.create done", "produit.check done", "inventaire.reserve done", "paiement.charge done", "transaction.issue done", "commande.confirm done", "transaction.send done")
		for _, name := range []string{"receipt-html", "receipt-pdf"} {
			a := l.do(t, http.MethodGet, b.attribute(name, "href"), nil)
			if a.status != http.StatusOK {
				t.Errorf("%s: %d", name, a.status)
			}
		}
		b.Run("see the published events", chromedp.WaitVisible(browsertest.ID("published-events")+` [data-event="CommandeConfirm"]`))
		b.Shoot("confirmed")
		o := l.order(t, bought)
		if o.State != "CommandeConfirm" || o.TotalCents != 1290+2400+1390 {
			t.Errorf("%+v", o)
		}
		b.visit(b.attribute("receipt-html", "href"))
		text := browsertest.Read(b.Browser, "read the receipt", chromedp.Text(chromedp.CSS("body")))
		if !strings.Contains(text, o.Receipt.Number) || !strings.Contains(text, "Ada Lovelace") {
			t.Errorf("the receipt says %.300q", text)
		}
		b.Shoot("receipt")
		b.visit("/mailbox/")
		text = browsertest.Read(b.Browser, "read the mailbox", chromedp.Text(chromedp.CSS("body")))
		if !strings.Contains(text, o.Receipt.Number) {
			t.Errorf("the mailbox shows %.300q", text)
		}
		b.Shoot("mailbox")
	})
}

func TestBrowserSeesTheRollback(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		b := l.open(t, 1280, 900)
		l.set(t, "inventaire.release", setting{Mode: "slow", Count: 1, DelayMS: 6000}) // long enough to be seen on a busy machine
		b.order(declined, "ada@example.com", "CAF-001")
		b.steps("paiement.charge refused", "inventaire.reserve undoing")
		b.Shoot("undoing")
		b.shows("saga-state", "CommandeCancel")
		b.steps("commande.create undone", "produit.check done", "inventaire.reserve undone", "paiement.charge refused", "transaction.issue skipped", "transaction.send skipped")
		if code := b.attribute("order-reason", "data-reason"); code != "PaiementCancel.CardDeclined" {
			t.Errorf("reason %q", code)
		}
		b.shows("order-reason", "declined")
		b.Shoot("undone")
		b.Run("reload", chromedp.Reload())
		b.shows("saga-state", "CommandeCancel")
		b.steps("inventaire.reserve undone", "paiement.charge refused")
		b.Run("see the published events", chromedp.WaitVisible(browsertest.ID("published-events")+` [data-event="PaiementCancel"]`))
		b.Click("buy-again")
		b.shows("basket-total", "12,90")
	})
}

func TestBrowserReloadsInTheMiddle(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	// Long enough for a page to load twice on a busy machine; a call may take 10 s.
	l.set(t, "paiement.charge", setting{Mode: "slow", Count: 1, DelayMS: 9000})
	b.order(accepted, "ada@example.com", "CAF-001")
	b.steps("inventaire.reserve done", "paiement.charge running")
	b.Run("reload", chromedp.Reload())
	b.steps("paiement.charge running", "transaction.issue waiting")
	b.Shoot("running")
	b.shows("saga-state", "CommandeConfirm")
}

func TestBrowserMendsAnIncident(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	bought := b.order(accepted, "refuse@example.com", "CAF-001")
	b.Sees(browsertest.ID("incident-transaction.send"))
	b.steps("transaction.send incident", "commande.confirm done")
	b.Shoot("incident")
	b.Fill("incident-transaction.send-email", "grace@example.com")
	b.Click("incident-transaction.send-replace")
	b.shows("saga-state", "CommandeConfirm")
	b.Run("see the incident go", chromedp.WaitNotPresent(browsertest.ID("incident-transaction.send")))
	b.Shoot("mended")
	if o := l.order(t, bought); o.State != "CommandeConfirm" || len(o.Incidents) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestBrowserSwitchesAFailureOn(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	b.visit("/shop/")
	b.Click("switches-open")
	b.Run("choose", chromedp.WaitVisible(browsertest.ID("switch-transaction.issue")), chromedp.SetValue(browsertest.ID("switch-transaction.issue"), "refuse"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector('`+string(browsertest.ID("switch-transaction.issue"))+`').dispatchEvent(new Event("change", {bubbles: true}))`))
	eventually(t, "the switch is set", func() bool { return !l.used(t, "transaction.issue") })
	b.Shoot("switches")
	b.Click("switches-close")
	b.order(accepted, "ada@example.com", "CAF-001")
	b.shows("saga-state", "CommandeCancel")
	b.steps("paiement.charge undone", "transaction.issue refused")
	b.Shoot("refused")
}

func TestBrowserShowsWhatIsWrongWithAnOrder(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	b.visit("/shop/")
	b.Click("product-CAF-001-add")
	b.Fill("field-client", "Ada")
	b.Fill("field-email", "nobody")
	b.Fill("field-card", "1234")
	b.Click("order-submit")
	b.Sees(browsertest.ID("field-email") + `[aria-invalid="true"]`)
	b.Sees(browsertest.ID("field-card") + `[aria-invalid="true"]`)
	b.Shoot("faults")
	b.visit("/shop/orders/unknown")
	b.Sees(browsertest.ID("order-unknown"))
}

func TestBrowserOnAPhone(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 400, 800)
	for _, path := range []string{"/", "/shop/", "/mailbox/"} {
		b.visit(path)
		if b.ScrollsSideways() {
			t.Errorf("%s scrolls sideways at 400 px", path)
		}
		b.Shoot("phone-" + strings.Trim(path, "/"))
	}
	b.order(insufficient, "ada@example.com", "CAF-001", "TAS-001", "CAR-001")
	b.shows("saga-state", "CommandeCancel")
	if b.ScrollsSideways() {
		t.Error("the order scrolls sideways at 400 px")
	}
	b.Shoot("phone-order")
}

// TestBrowserChoosesTheMode chooses who drives new orders, and reads the same history of one in each mode.
func TestBrowserChoosesTheMode(t *testing.T) {
	t.Parallel()
	l := begin(t)
	for width, light := range map[int64]string{1280: "light", 400: "dark"} {
		b := l.open(t, width, 900, browsertest.Prefers("color-scheme", light))
		for _, mode := range []string{"choreographed", "orchestrated"} {
			b.visit("/shop/")
			b.Click("mode-" + mode)
			b.shows("mode-chooser", "From now on, new orders are "+mode+".")
			b.Shoot(fmt.Sprint("shop-", mode, width))
			placed := b.order(accepted, "ada@example.com", "CAF-001")
			b.shows("saga-state", "CommandeConfirm")
			if words := b.shows("order-mode", "OrchestratorService"); !strings.HasPrefix(strings.ToLower(words), mode) {
				t.Errorf("the page says %q", words)
			}
			b.Shoot(fmt.Sprint("order-", mode, width))
			if o := l.untilEnded(t, placed); o.Mode != mode || o.History != "/shop/orders/"+placed || !cmp.Equal(o.Events, happy) {
				t.Errorf("%+v, want %s", o, mode)
			}
			if b.ScrollsSideways() {
				t.Errorf("at %d pixels the page scrolls sideways", width)
			}
			b.visit("/")
			b.shows("mode", mode)
			b.Shoot(fmt.Sprint("front-", mode, width))
		}
	}
}
