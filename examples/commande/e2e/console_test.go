package e2e_test

import (
	"testing"

	"github.com/skaldhq/skald/examples/browsertest"
)

// From the page that a customer sees of a refused order, one goes to what an operator sees of it: what was refused and why, what was undone for it and in which order, and who told whom.
func TestOperatorFollowsARefusedOrderIntoTheConsole(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		b := l.open(t, 1280, 1000)
		placed := b.order(declined, "ada@example.com", "CAF-001")
		b.shows("saga-state", "CommandeCancel")
		b.visit(b.attribute("order-console", "href"))
		b.shows("state", "Compensated")
		b.Shows("h1", placed)
		b.Shows("dl.facts", "paiement.charge")
		b.Shows("dl.facts", "PaiementCancel.CardDeclined")
		b.Sees(browsertest.ID("graph"))
		for step, state := range map[string]string{
			"commande.create": "Undone", "produit.check": "Done", "inventaire.reserve": "Undone", "paiement.charge": "Refused", "transaction.issue": "Skipped", "commande.confirm": "Skipped", "transaction.send": "Skipped",
		} {
			if said := browsertest.Says[string](b.Browser, `document.querySelector('[data-testid="node"][data-step="`+step+`"]').textContent`); said != step+state {
				t.Errorf("the graph says %q of %s, which is %s", said, step, state)
			}
		}
		if ways := browsertest.Says[int](b.Browser, `document.querySelectorAll('[data-testid="way-back"]').length`); ways < 2 {
			t.Errorf("%d ways back are drawn", ways)
		}
		b.Shoot("saga")
		b.Click("tab-journal")
		b.Sees(browsertest.ID("event") + `[data-kind="saga_compensated"]`)
		kinds := browsertest.Says[[]string](b.Browser, `[...document.querySelectorAll('[data-testid="event"]')].map((e) => e.dataset.kind + " " + (e.dataset.step ?? ""))`)
		inOrder(t, kinds, "step_done inventaire.reserve", "step_refused paiement.charge", "saga_compensating paiement.charge", "compensation_done inventaire.reserve", "compensation_done commande.create", "saga_compensated ")
		b.Click("tab-sequence")
		b.Sees(browsertest.ID("sequence"))
		if whole := browsertest.Says[bool](b.Browser, `(() => { const s = document.querySelector('[data-testid="sequence"]'), end = s.getBoundingClientRect().right; return [...s.querySelectorAll("text")].every((text) => text.getBoundingClientRect().right <= end); })()`); !whole {
			t.Error("a label of the sequence is cut")
		}
		b.Shoot("sequence")
	})
}

// inOrder checks that some lines stand in a list in this order, whatever stands between them.
func inOrder(t *testing.T, lines []string, want ...string) {
	t.Helper()
	for _, line := range lines {
		if len(want) > 0 && line == want[0] {
			want = want[1:]
		}
	}
	if len(want) > 0 {
		t.Errorf("%q does not come, or too late, in %q", want[0], lines)
	}
}
