// Package paiement is the contract of PaiementService, which owns the ledger. Card numbers stay with that service: callers hand a card in for a
// token first, and sagas carry the token.
package paiement

import "github.com/skaldhq/skald"

// ChargeRequest asks for an amount to be taken from a card.
type ChargeRequest struct {
	Order       string `json:"order"`
	AmountCents int64  `json:"amount_cents"`
	Currency    string `json:"currency"`
	CardToken   string `json:"card_token"`
}

// Payment is an amount taken.
type Payment struct {
	Payment       string `json:"payment"`
	Authorization string `json:"authorization"`
	AmountCents   int64  `json:"amount_cents"`
	LastFour      string `json:"last_four"`
}

// Events of PaiementService. A refund is announced as PaiementCancel too.
const (
	PaiementConfirm = "PaiementConfirm"
	PaiementCancel  = "PaiementCancel"
)

// Reason codes.
const (
	// ReasonDeclined refuses a card that its bank declined.
	ReasonDeclined = "PaiementCancel.CardDeclined"
	// ReasonFunds refuses a card without enough money.
	ReasonFunds = "PaiementCancel.InsufficientFunds"
	// ReasonInvalid refuses what is no card, or a token that is unknown.
	ReasonInvalid = "PaiementCancel.InvalidCard"
	// ReasonAmount refuses an amount that is not positive, too large for the card company, or in another currency than the euro.
	ReasonAmount = "PaiementCancel.Amount"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "PaiementCancel.Switched"
)

// SaidNoAnswer is what the service says when the card company leaves it open whether a payment is authorised. Technical words may follow it.
const SaidNoAnswer = "the card company gave no answer"

// Charge takes the payment; its compensation refunds it.
var Charge = skald.Compensatable[ChargeRequest, Payment]("paiement.charge", "paiement.refund",
	skald.Emits(PaiementConfirm, PaiementCancel), skald.EmitsUndone(PaiementCancel),
	skald.Reasons(ReasonDeclined, ReasonFunds, ReasonInvalid, ReasonAmount, ReasonSwitched))
