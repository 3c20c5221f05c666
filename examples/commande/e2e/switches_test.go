package e2e_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// back makes a saga turn back at a step, so that the compensations before it are asked for.
type back struct {
	purchase purchase
	refused  string // operation whose switch refuses; empty: the purchase is refused by itself
}

// reach says how an operation comes to be called: on the way forward, or on a way back.
func reach(operation string) back {
	switch operation {
	case "commande.cancel", "inventaire.release":
		return back{purchaseOf(declined), ""}
	case "paiement.refund":
		return back{purchaseOf(accepted), "transaction.issue"}
	}
	return back{purchaseOf(accepted), ""}
}

// undoes is the step that a compensation undoes; empty for an action.
func undoes(operation string) string {
	return map[string]string{"commande.cancel": "commande.create", "inventaire.release": "inventaire.reserve", "paiement.refund": "paiement.charge"}[operation]
}

func operations() []string {
	return []string{
		"commande.create", "produit.check", "inventaire.reserve", "paiement.charge", "transaction.issue", "commande.confirm", "transaction.send",
		"commande.cancel", "inventaire.release", "paiement.refund",
	}
}

// ends are the events of an order that has met passing failures only.
func ends(operation string) []string {
	switch {
	case operation == "paiement.refund":
		return []string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementConfirm", "TransactionFail", "PaiementCancel", "CommandeCancel"}
	case undoes(operation) != "":
		return []string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementCancel", "CommandeCancel"}
	}
	return happy
}

// TestF08PassingFailureIsAskedAgain makes every operation fail twice in each way that leaves its result unknown: whether it took effect
// or not, it is asked again and takes effect once. The audit at the end counts the effects.
func TestF08PassingFailureIsAskedAgain(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		for mode, name := range map[string]string{"down": "connection lost before", "error500": "answers 500", "drop": "F01 answer lost after the effect"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l := begin(t, in)
				for _, operation := range operations() {
					t.Run(operation, func(t *testing.T) { l.failTwice(t, operation, mode) })
				}
			})
		}
	})
}

func (l *live) failTwice(t *testing.T, operation, mode string) {
	t.Helper()
	way := reach(operation)
	if way.refused != "" {
		l.set(t, way.refused, setting{Mode: "refuse", Count: 1})
	}
	l.set(t, operation, setting{Mode: mode, Count: 2})
	o := l.buy(t, way.purchase)
	if !l.used(t, operation) {
		t.Errorf("the failures did not happen")
	}
	step := operation
	if of := undoes(operation); of != "" {
		step = of
	}
	if got := o.step(step).Attempt; got != 2 {
		t.Errorf("%s has %d unknown results on record, want 2", step, got)
	}
	if diff := cmp.Diff(ends(operation), o.Events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestSlowOperationIsWaitedFor(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		const delay = 120 * time.Millisecond
		for _, operation := range operations() {
			t.Run(operation, func(t *testing.T) {
				way := reach(operation)
				if way.refused != "" {
					l.set(t, way.refused, setting{Mode: "refuse", Count: 1})
				}
				l.set(t, operation, setting{Mode: "slow", Count: 1, DelayMS: int(delay.Milliseconds())})
				began := time.Now()
				o := l.buy(t, way.purchase)
				if took := time.Since(began); took < delay || !l.used(t, operation) {
					t.Errorf("it took %s, and was to take %s", took, delay)
				}
				if diff := cmp.Diff(ends(operation), o.Events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			})
		}
	})
}

func TestSwitchedRefusalIsRolledBack(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		for operation, want := range map[string]struct {
			reason string
			events []string
		}{
			"commande.create":    {"CommandeCancel.Switched", []string{"CommandeCreate", "CommandeCancel"}},
			"produit.check":      {"ProduitNotFound.Switched", []string{"CommandeCreate", "ProduitNotFound", "CommandeCancel"}},
			"inventaire.reserve": {"InventaireFail.Switched", []string{"CommandeCreate", "ProduitExist", "InventaireFail", "CommandeCancel"}},
			"paiement.charge":    {"PaiementCancel.Switched", []string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementCancel", "CommandeCancel"}},
			"transaction.issue": {"TransactionFail.Switched",
				[]string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementConfirm", "TransactionFail", "PaiementCancel", "CommandeCancel"}},
		} {
			t.Run(operation, func(t *testing.T) {
				l.set(t, operation, setting{Mode: "refuse", Count: 1})
				o := l.buy(t, purchaseOf(accepted))
				if o.Reason != want.reason || o.State != "CommandeCancel" || o.step(operation).State != "refused" {
					t.Errorf("%+v", o)
				}
				if diff := cmp.Diff(want.events, o.Events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				l.checkAnnounced(t, o)
			})
		}
	})
}

// TestF11RefusalWhereNoneIsAllowedIsAnIncident refuses what must succeed in the end: it shows at once, and goes on when it is retried.
func TestF11RefusalWhereNoneIsAllowedIsAnIncident(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		for _, operation := range []string{"commande.confirm", "transaction.send", "commande.cancel", "inventaire.release", "paiement.refund"} {
			t.Run(operation, func(t *testing.T) {
				way := reach(operation)
				if way.refused != "" {
					l.set(t, way.refused, setting{Mode: "refuse", Count: 1})
				}
				l.set(t, operation, setting{Mode: "refuse"})
				placed := l.place(t, way.purchase)
				at := operation
				if of := undoes(operation); of != "" {
					at = of
				}
				stuck := l.until(t, placed.ID, "an incident", func(o order) bool { return len(o.Incidents) == 1 })
				if stuck.Incidents[0].Step != at || stuck.ended() {
					t.Errorf("%+v", stuck)
				}
				l.reset(t)
				if a := l.act(t, placed.ID, at, "retry"); a.status != 200 {
					t.Fatalf("retry: %d %s", a.status, a.body)
				}
				o := l.untilEnded(t, placed.ID)
				if diff := cmp.Diff(ends(operation), o.Events); diff != "" || len(o.Incidents) != 0 {
					t.Errorf("%+v; events (-want +got):\n%s", o.Incidents, diff)
				}
			})
		}
	})
}

// TestF08OperationThatStaysDownIsGivenUp leaves an operation down for good: what may fail is given up and undone.
func TestF08OperationThatStaysDownIsGivenUp(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		for operation, events := range map[string][]string{
			"commande.create":    {"CommandeCreate", "CommandeCancel"},
			"produit.check":      {"CommandeCreate", "ProduitNotFound", "CommandeCancel"},
			"inventaire.reserve": {"CommandeCreate", "ProduitExist", "InventaireFail", "CommandeCancel"},
			"paiement.charge":    {"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementCancel", "CommandeCancel"},
		} {
			t.Run(operation, func(t *testing.T) {
				t.Parallel()
				l := begin(t, in)
				l.set(t, operation, setting{Mode: "down"})
				o := l.buy(t, purchaseOf(accepted))
				if o.Reason != "skald.retries_exhausted" || o.State != "CommandeCancel" {
					t.Errorf("%+v", o)
				}
				if diff := cmp.Diff(events, o.Events); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				l.checkAnnounced(t, o)
			})
		}
	})
}

// TestF01EffectWithoutAnAnswerIsUndone drops every answer of the payment after its effect, until it is given up: the payment was taken
// although nobody heard of it, and must be refunded.
func TestF01EffectWithoutAnAnswerIsUndone(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "paiement.charge", setting{Mode: "drop"})
		o := l.buy(t, purchaseOf(accepted))
		want := []string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementConfirm", "PaiementCancel", "CommandeCancel"}
		o = l.until(t, o.ID, "what the service published", func(o order) bool { return len(o.Events) == len(want) })
		if diff := cmp.Diff(want, o.Events); diff != "" || o.Reason != "skald.retries_exhausted" {
			t.Errorf("%s; events (-want +got):\n%s", o.Reason, diff)
		}
		if entries := get[ledger](t, l.world, l.service(t, "paiement")+"/ledger?order="+o.ID).Entries; len(entries) != 4 {
			t.Errorf("ledger %+v, want one charge and one refund", entries)
		}
	})
}

// TestF09CompensationIsRetriedUntilItIsDone keeps every compensation down for a while, in one saga: nothing ends before they are done.
func TestF09CompensationIsRetriedUntilItIsDone(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "transaction.issue", setting{Mode: "refuse", Count: 1})
		for _, operation := range []string{"paiement.refund", "inventaire.release", "commande.cancel"} {
			l.set(t, operation, setting{Mode: "down"})
		}
		placed := l.place(t, purchaseOf(accepted))
		o := l.until(t, placed.ID, "several attempts to refund", func(o order) bool {
			return o.step("paiement.charge").State == "undoing" && o.step("paiement.charge").Attempt >= 3
		})
		if o.step("inventaire.reserve").State != "done" || o.Outcome != "compensating" {
			t.Errorf("the refund is not done, and what stands before it is: %v", o.states())
		}
		l.reset(t)
		if o := l.untilEnded(t, placed.ID); !cmp.Equal(o.Events, ends("paiement.refund")) {
			t.Errorf("%v", o.Events)
		}
	})
}

// TestPivotIsAskedUntilItAnswers takes the pivot down: nothing turns back once it may have been passed.
func TestPivotIsAskedUntilItAnswers(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "transaction.issue", setting{Mode: "drop"})
		placed := l.place(t, purchaseOf(accepted))
		o := l.until(t, placed.ID, "several attempts", func(o order) bool { return o.step("transaction.issue").Attempt >= 3 })
		if o.State != "PaiementConfirm" || o.Outcome != "running" {
			t.Errorf("%+v", o)
		}
		l.reset(t)
		if o := l.untilEnded(t, placed.ID); !cmp.Equal(o.Events, happy) {
			t.Errorf("%v", o.Events)
		}
	})
}

// TestF34SiblingSettlesWhileABranchFails refuses one of the two parallel branches: the other is done all the same, and the paid order stands.
func TestF34SiblingSettlesWhileABranchFails(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "transaction.send", setting{Mode: "refuse"})
		l.set(t, "commande.confirm", setting{Mode: "slow", Count: 1, DelayMS: 200})
		placed := l.place(t, purchaseOf(accepted))
		l.until(t, placed.ID, "an incident beside a branch that runs", func(o order) bool { return len(o.Incidents) == 1 })
		o := l.until(t, placed.ID, "the sibling done", func(o order) bool { return o.step("commande.confirm").State == "done" })
		if o.State != "TransactionGenerate" || o.step("transaction.send").State != "incident" {
			t.Errorf("%+v", o)
		}
		if a := l.act(t, placed.ID, "transaction.send", "skip", "reason", "the customer has it on paper"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		o = l.untilEnded(t, placed.ID)
		if o.State != "CommandeConfirm" || o.step("transaction.send").State != "skipped" || !cmp.Equal(o.Events, happy) {
			t.Errorf("%+v", o)
		}
	})
}
