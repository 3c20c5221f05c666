package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

func TestBrowserBuysAndOpensTheReceipt(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		b := l.open(t, 1280, 900)
		b.visit("/")
		b.run("see the services", chromedp.WaitVisible(chromedp.CSS(`#services[aria-busy="false"] table`)))
		b.shoot("front")
		b.visit("/shop/")
		b.click("product-CAF-001-add")
		b.click("product-TAS-001-add")
		b.shows("basket-total", "36,90")
		b.shoot("basket")
		bought := b.order(accepted, "ada@example.com", "CAF-002")
		b.shows("saga-state", "CommandeConfirm")
		b.steps("commande.create done", "produit.check done", "inventaire.reserve done", "paiement.charge done", "transaction.issue done", "commande.confirm done", "transaction.send done")
		for _, name := range []string{"receipt-html", "receipt-pdf"} {
			a := l.do(t, http.MethodGet, b.attribute(name, "href"), nil)
			if a.status != http.StatusOK {
				t.Errorf("%s: %d", name, a.status)
			}
		}
		b.run("see the published events", chromedp.WaitVisible(id("published-events")+` [data-event="CommandeConfirm"]`))
		b.shoot("confirmed")
		o := l.order(t, bought)
		if o.State != "CommandeConfirm" || o.TotalCents != 1290+2400+1390 {
			t.Errorf("%+v", o)
		}
		b.visit(b.attribute("receipt-html", "href"))
		text := read(b, "read the receipt", chromedp.Text(chromedp.CSS("body")))
		if !strings.Contains(text, o.Receipt.Number) || !strings.Contains(text, "Ada Lovelace") {
			t.Errorf("the receipt says %.300q", text)
		}
		b.shoot("receipt")
		b.visit("/mailbox/")
		text = read(b, "read the mailbox", chromedp.Text(chromedp.CSS("body")))
		if !strings.Contains(text, o.Receipt.Number) {
			t.Errorf("the mailbox shows %.300q", text)
		}
		b.shoot("mailbox")
	})
}

func TestBrowserSeesTheRollback(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		b := l.open(t, 1280, 900)
		l.set(t, "inventaire.release", setting{Mode: "slow", Count: 1, DelayMS: 6000}) // long enough to be seen on a busy machine
		b.order(declined, "ada@example.com", "CAF-001")
		b.steps("paiement.charge refused", "inventaire.reserve undoing")
		b.shoot("undoing")
		b.shows("saga-state", "CommandeCancel")
		b.steps("commande.create undone", "produit.check done", "inventaire.reserve undone", "paiement.charge refused", "transaction.issue skipped", "transaction.send skipped")
		if code := b.attribute("order-reason", "data-reason"); code != "PaiementCancel.CardDeclined" {
			t.Errorf("reason %q", code)
		}
		b.shows("order-reason", "declined")
		b.shoot("undone")
		b.run("reload", chromedp.Reload())
		b.shows("saga-state", "CommandeCancel")
		b.steps("inventaire.reserve undone", "paiement.charge refused")
		b.run("see the published events", chromedp.WaitVisible(id("published-events")+` [data-event="PaiementCancel"]`))
		b.click("buy-again")
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
	b.run("reload", chromedp.Reload())
	b.steps("paiement.charge running", "transaction.issue waiting")
	b.shoot("running")
	b.shows("saga-state", "CommandeConfirm")
}

func TestBrowserMendsAnIncident(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	bought := b.order(accepted, "refuse@example.com", "CAF-001")
	b.sees(id("incident-transaction.send"))
	b.steps("transaction.send incident", "commande.confirm done")
	b.shoot("incident")
	b.fill("incident-transaction.send-email", "grace@example.com")
	b.click("incident-transaction.send-replace")
	b.shows("saga-state", "CommandeConfirm")
	b.run("see the incident go", chromedp.WaitNotPresent(id("incident-transaction.send")))
	b.shoot("mended")
	if o := l.order(t, bought); o.State != "CommandeConfirm" || len(o.Incidents) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestBrowserSwitchesAFailureOn(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	b.visit("/shop/")
	b.click("switches-open")
	b.run("choose", chromedp.WaitVisible(id("switch-transaction.issue")), chromedp.SetValue(id("switch-transaction.issue"), "refuse"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector('`+string(id("switch-transaction.issue"))+`').dispatchEvent(new Event("change", {bubbles: true}))`))
	eventually(t, "the switch is set", func() bool { return !l.used(t, "transaction.issue") })
	b.shoot("switches")
	b.click("switches-close")
	b.order(accepted, "ada@example.com", "CAF-001")
	b.shows("saga-state", "CommandeCancel")
	b.steps("paiement.charge undone", "transaction.issue refused")
	b.shoot("refused")
}

func TestBrowserShowsWhatIsWrongWithAnOrder(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	b.visit("/shop/")
	b.click("product-CAF-001-add")
	b.fill("field-client", "Ada")
	b.fill("field-email", "nobody")
	b.fill("field-card", "1234")
	b.click("order-submit")
	b.sees(id("field-email") + `[aria-invalid="true"]`)
	b.sees(id("field-card") + `[aria-invalid="true"]`)
	b.shoot("faults")
	b.visit("/shop/orders/unknown")
	b.sees(id("order-unknown"))
}

func TestBrowserOnAPhone(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 400, 800)
	for _, path := range []string{"/", "/shop/", "/mailbox/"} {
		b.visit(path)
		if b.scrollsSideways() {
			t.Errorf("%s scrolls sideways at 400 px", path)
		}
		b.shoot("phone-" + strings.Trim(path, "/"))
	}
	b.order(insufficient, "ada@example.com", "CAF-001", "TAS-001", "CAR-001")
	b.shows("saga-state", "CommandeCancel")
	if b.scrollsSideways() {
		t.Error("the order scrolls sideways at 400 px")
	}
	b.shoot("phone-order")
}

// TestBrowserChoosesTheMode chooses who drives new orders, and reads the same history of one in each mode.
func TestBrowserChoosesTheMode(t *testing.T) {
	t.Parallel()
	l := begin(t)
	for _, width := range []int64{1280, 400} {
		b := l.open(t, width, 900)
		b.dark(width < 500)
		for _, mode := range []string{"choreographed", "orchestrated"} {
			b.visit("/shop/")
			b.click("mode-" + mode)
			b.shows("mode-chooser", "From now on, new orders are "+mode+".")
			b.shoot(fmt.Sprint("shop-", mode, width))
			placed := b.order(accepted, "ada@example.com", "CAF-001")
			b.shows("saga-state", "CommandeConfirm")
			if words := b.shows("order-mode", "OrchestratorService"); !strings.HasPrefix(strings.ToLower(words), mode) {
				t.Errorf("the page says %q", words)
			}
			b.shoot(fmt.Sprint("order-", mode, width))
			if o := l.untilEnded(t, placed); o.Mode != mode || o.History != "/shop/orders/"+placed || !cmp.Equal(o.Events, happy) {
				t.Errorf("%+v, want %s", o, mode)
			}
			if b.scrollsSideways() {
				t.Errorf("at %d pixels the page scrolls sideways", width)
			}
			b.visit("/")
			b.shows("mode", mode)
			b.shoot(fmt.Sprint("front-", mode, width))
		}
	}
}
