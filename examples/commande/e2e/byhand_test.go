package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/commande/system"
	"github.com/skaldhq/skald/journal"
)

// TestCompensationThatIsGivenUpIsNotShownAsUndone has an operator leave a reservation as it is: the order says so, with who and why.
func TestCompensationThatIsGivenUpIsNotShownAsUndone(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "inventaire.release", setting{Mode: "refuse"})
		b := l.open(t, 1280, 900)
		id := b.order(declined, "ada@example.com", "CAF-001")
		if text := b.shows("incident-inventaire.reserve", "Release articles (undoing Reserve articles)"); !strings.Contains(text, "Retry now") {
			t.Errorf("the incident says %q", text)
		}
		b.Shoot("incident")
		a := l.act(t, id, "inventaire.reserve", "skip", "reason", "sold at the counter", "by", "Grace")
		if a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		o := l.untilEnded(t, id)
		if s := o.step("inventaire.reserve"); s.State != "left" || s.Reason != "sold at the counter" || s.By != "Grace" || o.State != "CommandeCancel" {
			t.Errorf("%+v", o)
		}
		b.steps("inventaire.reserve left", "commande.create undone", "paiement.charge refused")
		title := browsertest.Read(b.Browser, "read the verdict", chromedp.PollFunction[string](`() => {
			const title = document.querySelector(".verdict[data-outcome=left] h2")?.innerText ?? "";
			return title.includes("was cancelled") ? title : "";
		}`))
		if want := "The order was cancelled. One thing was left as it is: Release articles (reason: sold at the counter)."; title != want {
			t.Errorf("%q, want %q", title, want)
		}
		b.Shoot("left")
		l.stock["CAF-001"]-- // it stays reserved, as the operator said
	})
}

// TestBrowserTellsThatAMendedAddressIsRefusedToo mends an incident with an address that is refused as well: the same banner answers, and keeps what was typed.
func TestBrowserTellsThatAMendedAddressIsRefusedToo(t *testing.T) {
	t.Parallel()
	l := begin(t)
	b := l.open(t, 1280, 900)
	b.order(accepted, "refuse@example.org", "CAF-001")
	b.Fill("incident-transaction.send-email", "refuse.two@example.org")
	b.Click("incident-transaction.send-replace")
	b.shows("incident-transaction.send-status", "with refuse.two@example.org: refused again.")
	b.shows("incident-transaction.send", "The mail server refuses the receipt to refuse.two@example.org: 550")
	typed := browsertest.Read(b.Browser, "read the field", chromedp.Evaluate[string](`document.querySelector('`+string(browsertest.ID("incident-transaction.send-email"))+`').value`))
	if focus := browsertest.Read(b.Browser, "find the focus", chromedp.Evaluate[string](`document.activeElement.dataset.testid ?? ""`)); typed != "refuse.two@example.org" || focus != "incident-transaction.send-replace" {
		t.Errorf("typed %q, focus at %q", typed, focus)
	}
	b.Shoot("refused-again")
	b.visit("/")
	b.shows("stuck-orders", "1 order needs help")
	b.Shoot("front")
	b.Run("follow its link", chromedp.Click(browsertest.ID("stuck-orders")+" a", chromedp.NodeVisible))
	b.Click("incident-transaction.send-by-hand")
	b.Fill("incident-transaction.send-reason", "told by telephone")
	b.Click("incident-transaction.send-skip")
	b.shows("saga-state", "CommandeConfirm")
	verdict := browsertest.Read(b.Browser, "see the focus on the verdict", chromedp.PollFunction[string](`() => {
		const at = document.activeElement;
		return at?.matches(".verdict h2") && at.innerText.includes("not sent") ? at.parentElement.innerText : "";
	}`))
	if !strings.Contains(verdict, "Confirmed. The receipt was not sent: told by telephone.") || !strings.Contains(verdict, "skipped by the shop page") {
		t.Errorf("%q", verdict)
	}
	b.Shoot("skipped")
}

// PaiementService says of an order that has ended that it never charged: the order's page says so, and takes from a person that it was seen, and why. The order stays as it is.
func TestF03_BrowserSaysThatAContradictionWasSeen(t *testing.T) {
	t.Parallel()
	b := membroker.New(membroker.Config{})
	l := begin(t, choreographed, func(c *system.Config) { c.Broker = b })
	id := l.buy(t, purchaseOf(accepted, item{SKU: "CAF-001", Quantity: 1})).ID
	l.untilEnded(t, id)
	saga := get[struct {
		Definition string `json:"definition"`
		Version    string `json:"version"`
	}](t, l.world, "/v1/sagas/"+id)
	// As the service itself reports it when it has lost its database and hears of the order again.
	err := b.Publish(t.Context(), "skald-notes", broker.Message{
		ID: "twice", Type: "skald.note.contradiction", Source: "paiement", Saga: journal.SagaID(id), Step: "paiement.charge", Key: broker.NewKey(id), Data: []byte("null"),
		Headers: map[string]string{"ce-skalddefinition": saga.Definition, "ce-skaldversion": saga.Version, "ce-skaldreason": "PaiementCancel.CardDeclined", "ce-skaldrefused": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.until(t, id, "a contradiction", func(o order) bool { return len(o.Incidents) == 1 })

	page := l.open(t, 1280, 900)
	page.visit("/shop/orders/" + id)
	page.shows("contradiction-paiement.charge", "Take payment was answered in two ways")
	page.shows("contradiction-paiement.charge", "an effect may be missing")
	if verdict := page.Shows(".verdict", "confirmed"); strings.Contains(verdict, "waits") {
		t.Errorf("nothing waits, and the verdict is %q", verdict)
	}
	page.Shoot("contradiction")
	page.Click("incident-paiement.charge-seen")
	page.shows("contradiction-paiement.charge", "Write what you found first")
	page.Fill("incident-paiement.charge-found", "the card company has it")
	page.Run("say so", chromedp.KeyEvent("\r"))
	page.Run("see it go", chromedp.WaitNotPresent(browsertest.ID("contradiction-paiement.charge")))
	events := get[struct {
		Events []struct {
			Kind   string `json:"kind"`
			Verb   string `json:"verb"`
			Detail string `json:"detail"`
		} `json:"events"`
	}](t, l.world, "/v1/sagas/"+id+"/events").Events
	if last := events[len(events)-1]; last.Kind != "incident_resolved" || last.Verb != "seen" || last.Detail != "the card company has it" {
		t.Errorf("the journal ends with %+v", last)
	}
	if o := l.order(t, id); o.Outcome != "completed" || len(o.Incidents) != 0 {
		t.Errorf("%+v", o)
	}
}
