// Package placeorder is the saga that places an order: the only place that knows all five services, and it knows only their contracts.
package placeorder

import (
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/contract/commande"
	"github.com/skaldhq/skald/examples/commande/contract/inventaire"
	"github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/contract/produit"
	"github.com/skaldhq/skald/examples/commande/contract/transaction"
)

// Name is the definition's durable name.
const Name = "commande"

// Order is what a customer's click starts the saga with. The card's number stays with the payment service; the order has its token.
type Order struct {
	Client    string          `json:"client"`
	Email     string          `json:"email"`
	CardToken string          `json:"card_token"`
	Items     []commande.Item `json:"items"`
}

// Definition is the saga.
func Definition() (*skald.Saga[Order], error) {
	s := skald.Define[Order](Name)

	order := skald.Step(s, commande.Create, skald.From(newOrder))
	known := skald.Step(s, produit.Check, skald.From(basket))
	held := skald.Step(s, inventaire.Reserve, skald.From2(order, known, toHold))
	paid := skald.Step(s, paiement.Charge, skald.From2(order, known, amountDue), quickly, skald.After(held))
	receipt := skald.Step(s, transaction.Issue, skald.From3(order, known, paid, receiptFor))

	skald.Step(s, commande.Confirm, skald.From2(order, known, confirmation), skald.After(receipt))
	skald.Step(s, transaction.Send, skald.From1(receipt, letter), skald.After(receipt))
	return s.Build()
}

// Sagas is the definition in the form in which services are told of it: with it they take part in choreographed orders.
func Sagas() ([]skald.Registered, error) {
	saga, err := Definition()
	if err != nil {
		return nil, err
	}
	return []skald.Registered{saga}, nil
}

// quickly gives a card company that does not answer three chances: a customer is waiting.
var quickly = skald.Retries(skald.Retry{Initial: 300 * time.Millisecond, Attempts: 3})

func newOrder(o Order) commande.CreateRequest {
	return commande.CreateRequest{Client: o.Client, Email: o.Email, Items: o.Items}
}

func basket(o Order) produit.CheckRequest {
	items := make([]produit.Item, len(o.Items))
	for i, x := range o.Items {
		items[i] = produit.Item(x)
	}
	return produit.CheckRequest{Items: items}
}

func toHold(_ Order, c commande.Created, known produit.Checked) inventaire.ReserveRequest {
	items := make([]inventaire.Item, len(known.Lines))
	for i, l := range known.Lines {
		items[i] = inventaire.Item{SKU: l.SKU, Quantity: l.Quantity}
	}
	return inventaire.ReserveRequest{Order: c.Order, Items: items}
}

func amountDue(o Order, c commande.Created, known produit.Checked) paiement.ChargeRequest {
	return paiement.ChargeRequest{Order: c.Order, AmountCents: known.TotalCents, Currency: "EUR", CardToken: o.CardToken}
}

func receiptFor(o Order, c commande.Created, known produit.Checked, p paiement.Payment) transaction.IssueRequest {
	lines := make([]transaction.Line, len(known.Lines))
	for i, l := range known.Lines {
		lines[i] = transaction.Line(l)
	}
	return transaction.IssueRequest{
		Order: c.Order, Client: o.Client, Email: o.Email, Lines: lines, TotalCents: p.AmountCents, LastFour: p.LastFour,
	}
}

func confirmation(_ Order, c commande.Created, known produit.Checked) commande.ConfirmRequest {
	return commande.ConfirmRequest{Order: c.Order, TotalCents: known.TotalCents}
}

func letter(o Order, r transaction.Receipt) transaction.SendRequest {
	return transaction.SendRequest{Number: r.Number, Email: o.Email}
}
