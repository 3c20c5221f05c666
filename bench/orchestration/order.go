package orchestration

import (
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/store"
)

// order is a saga's input, and that of each of its calls. It also tells the participants what to answer.
type order struct {
	SKU    string `json:"sku"`
	Amount int    `json:"amount"`
	Refuse bool   `json:"refuse,omitempty"` // the payment
	Sleep  bool   `json:"sleep,omitempty"`  // the payment: ask again in five minutes
}

// outcome is how a saga with this order ends.
func (o order) outcome() store.State {
	if o.Refuse {
		return store.Compensated
	}
	return store.Completed
}

type made struct {
	ID string `json:"id"`
}

// Every step before the receipt can be undone, so that a refused payment has three steps to compensate.
var (
	create  = skald.Compensatable[order, made]("commande.create", "commande.cancel")
	check   = skald.Compensatable[order, made]("produit.check", "produit.release")
	reserve = skald.Compensatable[order, made]("inventaire.reserve", "inventaire.release")
	charge  = skald.Compensatable[order, made]("paiement.charge", "paiement.refund", skald.Reasons(declined))
	issue   = skald.Compensatable[order, made]("transaction.issue", "transaction.void")
	confirm = skald.Compensatable[order, made]("commande.confirm", "commande.reopen")

	// The same two as most shops have them: the receipt is the point of no return, and the confirmation comes for sure.
	issuePivot   = skald.Pivot[order, made]("transaction.issue")
	confirmAfter = skald.Retriable[order, made]("commande.confirm")
)

const declined = "Declined"

// day is longer than anything here takes: no saga is late because there are many of them.
const day = 24 * time.Hour

// definition is the order's durable name.
const definition = "order"

// call is one of the six, for those who make them without Skald.
type call struct{ step, action, undo string }

func calls() []call {
	return []call{
		{"create", "commande.create", "commande.cancel"},
		{"check", "produit.check", "produit.release"},
		{"reserve", "inventaire.reserve", "inventaire.release"},
		{"charge", "paiement.charge", "paiement.refund"},
		{"issue", "transaction.issue", "transaction.void"},
		{"confirm", "commande.confirm", "commande.reopen"},
	}
}

// owners are the participants.
func owners() []string {
	return []string{"commande", "produit", "inventaire", "paiement", "transaction"}
}

// place is the order: create, check, reserve, pay, receipt, confirm, one after the other. With a pivot the receipt cannot be undone.
func place(strict, pivot bool) (*skald.Saga[order], error) {
	options := []skald.DefinitionOption{skald.IncidentAfter(day)}
	if strict {
		options = append(options, skald.Strict())
	}
	s := skald.Define[order](definition, options...)
	all := skald.From(func(o order) order { return o })
	skald.Step(s, create, all)
	skald.Step(s, check, all)
	skald.Step(s, reserve, all)
	skald.Step(s, charge, all)
	if pivot {
		skald.Step(s, issuePivot, all)
		skald.Step(s, confirmAfter, all)
	} else {
		skald.Step(s, issue, all)
		skald.Step(s, confirm, all)
	}
	return s.Build()
}
