package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refusal is an order that is turned back by what it asks for, and what must be seen of it.
type refusal struct {
	purchase purchase
	reason   string
	events   []string
	steps    []string
}

func refusals() map[string]refusal {
	const later = " skipped"
	afterPayment := []string{"transaction.issue" + later, "commande.confirm" + later, "transaction.send" + later}
	paymentRefused := append([]string{"commande.create undone", "produit.check done", "inventaire.reserve undone", "paiement.charge refused"}, afterPayment...)
	paymentEvents := []string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementCancel", "CommandeCancel"}
	gatewayFailed := append([]string{"commande.create undone", "produit.check done", "inventaire.reserve undone", "paiement.charge undone"}, afterPayment...)
	return map[string]refusal{
		"unknown product": {
			purchaseOf(accepted, item{"CAF-001", 1}, item{"NOT-SOLD", 1}), "ProduitNotFound.Unknown",
			[]string{"CommandeCreate", "ProduitNotFound", "CommandeCancel"},
			append([]string{"commande.create undone", "produit.check refused", "inventaire.reserve skipped", "paiement.charge skipped"}, afterPayment...),
		},
		"quantity above the stock": {
			purchaseOf(accepted, item{"CAF-001", 1}, item{"STY-001", 3}), "InventaireFail.OutOfStock",
			[]string{"CommandeCreate", "ProduitExist", "InventaireFail", "CommandeCancel"},
			append([]string{"commande.create undone", "produit.check done", "inventaire.reserve refused", "paiement.charge skipped"}, afterPayment...),
		},
		"nothing left": {
			purchaseOf(accepted, item{"BOU-001", 1}), "InventaireFail.OutOfStock",
			[]string{"CommandeCreate", "ProduitExist", "InventaireFail", "CommandeCancel"},
			append([]string{"commande.create undone", "produit.check done", "inventaire.reserve refused", "paiement.charge skipped"}, afterPayment...),
		},
		"card declined":                           {purchaseOf(declined), "PaiementCancel.CardDeclined", paymentEvents, paymentRefused},
		"insufficient funds":                      {purchaseOf(insufficient), "PaiementCancel.InsufficientFunds", paymentEvents, paymentRefused},
		"F08 gateway times out, payment given up": {purchaseOf(timesOut), "skald.retries_exhausted", paymentEvents, gatewayFailed},
		"F08 gateway is down, payment given up":   {purchaseOf(gatewayDown), "skald.retries_exhausted", paymentEvents, gatewayFailed},
	}
}

func TestRefusedOrderIsRolledBack(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		for name, want := range refusals() {
			t.Run(name, func(t *testing.T) {
				o := l.buy(t, want.purchase)
				if diff := cmp.Diff(want.events, o.Events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(want.steps, o.states()); diff != "" {
					t.Errorf("steps (-want +got):\n%s", diff)
				}
				if o.State != "CommandeCancel" || o.Outcome != "compensated" || o.Reason != want.reason || o.Receipt != nil {
					t.Errorf("%+v", o)
				}
				if diff := cmp.Diff(l.world.stock, l.stockNow(t)); diff != "" {
					t.Errorf("stock (-before +after):\n%s", diff)
				}
				l.checkAnnounced(t, o)
			})
		}
	})
}

// checkAnnounced checks that everything that is listed was really published, and nothing else was.
func (l *live) checkAnnounced(t *testing.T, o order) {
	t.Helper()
	listed, published := make(map[string]bool), make(map[string]bool)
	for _, name := range o.Events {
		listed[name] = true
	}
	for _, e := range l.stream(t, o.ID, "", 0) {
		if e.name == "published" {
			published[decode[struct{ Name string }](t, []byte(e.data)).Name] = true
		}
	}
	delete(published, "TransactionGenerate") // a state that no service's event says
	if diff := cmp.Diff(listed, published); diff != "" {
		t.Errorf("published (-listed +published):\n%s", diff)
	}
}
