package choreography

import (
	"context"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/participant"
)

type order struct {
	SKU    string `json:"sku"`
	Amount int    `json:"amount"`
	Refuse bool   `json:"refuse"` // the payment
	Hang   bool   `json:"hang"`   // the payment, for as long as the system says
}

type made struct {
	ID string `json:"id"`
}

var (
	create  = skald.Compensatable[order, made]("commande.create", "commande.cancel")
	check   = skald.ReadOnly[order, made]("produit.check")
	reserve = skald.Compensatable[order, made]("inventaire.reserve", "inventaire.release")
	charge  = skald.Compensatable[order, made]("paiement.charge", "paiement.refund", skald.Reasons("Declined"))
	issue   = skald.Pivot[order, made]("transaction.issue")
	confirm = skald.Retriable[order, made]("commande.confirm")
)

// send is what a slow participant does: a second for each letter.
var send = skald.Pivot[order, made]("poste.send")

// letter is a saga of its own, with the slow participant alone.
func letter() (*skald.Saga[order], error) {
	s := skald.Define[order]("letter", skald.Deadline(time.Hour))
	skald.Step(s, send, skald.From(func(o order) order { return o }))
	return s.Build()
}

// place is the order that all figures are about: create, check, reserve, pay, receipt, confirm, one after the other.
func place() (*skald.Saga[order], error) {
	s := skald.Define[order]("order", skald.Deadline(time.Hour))
	all := skald.From(func(o order) order { return o })
	skald.Step(s, create, all)
	skald.Step(s, check, all)
	skald.Step(s, reserve, all)
	skald.Step(s, charge, all)
	skald.Step(s, issue, all)
	skald.Step(s, confirm, all)
	return s.Build()
}

// handlers are participants that do nothing but what the barrier does, by name. Payments that are to hang do so while holding says so. begin is called before an order is created, and confirmed when it has been.
func handlers(holding func() bool, begin, confirmed func()) map[string][]participant.Handler {
	first := func(context.Context, participant.Tx, order) (made, error) {
		begin()
		return made{"1"}, nil
	}
	last := func(context.Context, participant.Tx, order) (made, error) {
		confirmed()
		return made{"1"}, nil
	}
	do := func(context.Context, participant.Tx, order) (made, error) { return made{"1"}, nil }
	undo := func(context.Context, participant.Tx, order, made) error { return nil }
	pay := func(_ context.Context, _ participant.Tx, o order) (made, error) {
		if o.Hang && holding() {
			return made{}, skald.Working(time.Second, "the bank is thinking")
		}
		if o.Refuse {
			return made{}, skald.Refuse("Declined", "the bank said no")
		}
		return made{"1"}, nil
	}
	slowly := func(ctx context.Context, _ order) (made, error) { // outside the transaction, as whatever takes long has to be
		rest(ctx, time.Second)
		return made{"1"}, ctx.Err()
	}
	sent := func(_ context.Context, _ participant.Tx, _ order, m made) (made, error) { return m, nil }
	return map[string][]participant.Handler{
		"poste":       {skald.HandlePrepared(send, slowly, sent)},
		"commande":    {skald.HandleCompensatable(create, first, undo), skald.Handle(confirm, last)},
		"produit":     {skald.Handle(check, do)},
		"inventaire":  {skald.HandleCompensatable(reserve, do, undo)},
		"paiement":    {skald.HandleCompensatable(charge, pay, undo)},
		"transaction": {skald.Handle(issue, do)},
	}
}
