package orchestrator

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/orchestrator/eventlog"
	"github.com/skaldhq/skald/examples/commande/placeorder"
	"github.com/skaldhq/skald/journal"
)

func named(t *testing.T) contracts {
	t.Helper()
	saga, err := placeorder.Definition()
	if err != nil {
		t.Fatal(err)
	}
	c, err := contractsOf(saga.Canonical())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func on(kind journal.Kind, step string) skald.Event { return skald.Event{Kind: kind, Step: step} }

func done(steps ...string) []skald.Event {
	events := []skald.Event{on(journal.SagaStarted, "")}
	for _, s := range steps {
		events = append(events, on(journal.StepAsked, s), on(journal.StepDone, s))
	}
	return events
}

func undone(steps ...string) []skald.Event {
	events := []skald.Event{on(journal.SagaCompensating, "")}
	for _, s := range steps {
		events = append(events, on(journal.CompensationAsked, s), on(journal.CompensationDone, s))
	}
	return append(events, on(journal.SagaCompensated, ""))
}

// TestStoryOfAnOrder covers what no test of the whole system reaches by will: results that were lost in a crash, late answers, work by hand.
func TestStoryOfAnOrder(t *testing.T) {
	c := named(t)
	late := on(journal.StepAnsweredLate, "inventaire.reserve")
	late.Payload = []byte(`{}`)
	byHand := on(journal.CompensationDone, "paiement.charge")
	byHand.By = "Grace"
	charged := eventlog.Event{Name: "PaiementConfirm", Source: "paiement", Step: "paiement.charge"}
	for name, s := range map[string]struct {
		events  []skald.Event
		arrived []eventlog.Event
		want    []string
	}{
		"just accepted": {done(), nil, []string{"CommandeCreate"}},
		"confirmed and not sent": {
			done("commande.create", "produit.check", "inventaire.reserve", "paiement.charge", "transaction.issue", "commande.confirm"), nil,
			[]string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementConfirm", "TransactionConfirm", "CommandeConfirm"},
		},
		"an undoing that a tracker heard of before its cause": {
			append(append(done("commande.create", "produit.check"), undone("commande.create")[:3]...), on(journal.StepRefused, "inventaire.reserve"), on(journal.SagaCompensated, "")), nil,
			[]string{"CommandeCreate", "ProduitExist", "InventaireFail", "CommandeCancel"},
		},
		"given up, and nobody knows of an effect": {
			append(append(done("commande.create", "produit.check"), on(journal.StepAsked, "inventaire.reserve"), on(journal.StepFailed, "inventaire.reserve")),
				undone("inventaire.reserve", "commande.create")...), nil,
			[]string{"CommandeCreate", "ProduitExist", "InventaireFail", "CommandeCancel"},
		},
		"answered after it was given up": {
			append(append(done("commande.create", "produit.check"), on(journal.StepFailed, "inventaire.reserve"), late), undone("inventaire.reserve", "commande.create")...), nil,
			[]string{"CommandeCreate", "ProduitExist", "InventaireFail", "InventaireReserve", "CommandeCancel"},
		},
		"lost in a crash, and the service took effect": {
			append(done("commande.create", "produit.check", "inventaire.reserve"), undone("paiement.charge", "inventaire.reserve", "commande.create")...),
			[]eventlog.Event{charged},
			[]string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementConfirm", "PaiementCancel", "CommandeCancel"},
		},
		"lost in a crash, and the service was never asked": {
			append(done("commande.create", "produit.check", "inventaire.reserve"), undone("paiement.charge", "inventaire.reserve", "commande.create")...), nil,
			[]string{"CommandeCreate", "ProduitExist", "InventaireReserve", "CommandeCancel"},
		},
		"another's word does not count": {
			append(done("commande.create"), undone("paiement.charge", "commande.create")...),
			[]eventlog.Event{{Name: "PaiementConfirm", Source: "somebody", Step: "paiement.charge"}},
			[]string{"CommandeCreate", "CommandeCancel"},
		},
		"refunded by hand": {
			append(done("commande.create", "produit.check", "inventaire.reserve", "paiement.charge"), on(journal.StepRefused, "transaction.issue"), byHand), nil,
			[]string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementConfirm", "TransactionFail"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(s.want, c.tell(s.events, s.arrived).names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStateIsTheLastReachedOnTheWayForward(t *testing.T) {
	forward := []string{"commande.create", "produit.check", "inventaire.reserve", "paiement.charge", "transaction.issue", "commande.confirm", "transaction.send"}
	want := []SagaOrchesState{CommandeCreate, CommandeCreate, CommandeCreate, InventaireReserve, PaiementConfirm, TransactionGenerate, TransactionGenerate, TransactionGenerate}
	for n := range want {
		if got := stateAfter(done(forward[:n]...)); got != want[n] {
			t.Errorf("after %d steps: %s, want %s", n, got, want[n])
		}
	}
	if got := stateAfter(append(done(forward...), on(journal.SagaCompleted, ""))); got != CommandeConfirm {
		t.Errorf("completed: %s", got)
	}
	back := undone("paiement.charge", "inventaire.reserve")
	if got := stateAfter(append(done(forward[:4]...), back[:len(back)-1]...)); got != PaiementConfirm {
		t.Errorf("on the way back: %s", got)
	}
	if got := stateAfter(append(done(forward[:4]...), back...)); got != CommandeCancel {
		t.Errorf("compensated: %s", got)
	}
}

func TestStoryIsCompleteWhenEverythingHasArrived(t *testing.T) {
	c := named(t)
	events := append(done("commande.create"), on(journal.StepFailed, "produit.check"))
	arrived := []eventlog.Event{
		{Name: "CommandeCreate", Source: "orchestrator"}, {Name: "CommandeCreate", Source: "commande", Step: "commande.create"},
		{Name: "ProduitNotFound", Source: "orchestrator", Step: "produit.check"},
	}
	for n := range arrived {
		if c.tell(events, arrived[:n]).complete() {
			t.Errorf("complete with %d of %d events", n, len(arrived))
		}
	}
	if !c.tell(events, arrived).complete() {
		t.Error("not complete with all events")
	}
}
