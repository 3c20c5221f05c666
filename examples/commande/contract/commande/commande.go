// Package commande is the contract of CommandeService, which owns the orders: all that callers may know of it.
package commande

import (
	"time"

	"github.com/skaldhq/skald"
)

// Item is one position of a basket.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// CreateRequest asks for an order. Its id is the saga's.
type CreateRequest struct {
	Client string `json:"client"`
	Email  string `json:"email"`
	Items  []Item `json:"items"`
}

// Created is a new order, not yet confirmed.
type Created struct {
	Order   string    `json:"order"`
	Created time.Time `json:"created"`
}

// ConfirmRequest asks for an order to be confirmed.
type ConfirmRequest struct {
	Order      string `json:"order"`
	TotalCents int64  `json:"total_cents"`
}

// Confirmed says that the order stands.
type Confirmed struct {
	Order     string    `json:"order"`
	Confirmed time.Time `json:"confirmed"`
}

// Events of CommandeService.
const (
	CommandeCreate  = "CommandeCreate"
	CommandeConfirm = "CommandeConfirm"
	CommandeCancel  = "CommandeCancel"
)

// Reason codes.
const (
	// ReasonEmptyBasket refuses an order without items.
	ReasonEmptyBasket = "CommandeCancel.EmptyBasket"
	// ReasonItem refuses an order with an item that has no SKU or no positive quantity.
	ReasonItem = "CommandeCancel.Item"
	// ReasonNotOpen is the incident of an order that is to be confirmed and is not open, or to be cancelled and is confirmed.
	ReasonNotOpen = "CommandeCancel.NotOpen"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "CommandeCancel.Switched"
)

// Create makes an order; its compensation cancels it.
var Create = skald.Compensatable[CreateRequest, Created]("commande.create", "commande.cancel",
	skald.Emits(CommandeCreate, CommandeCancel), skald.EmitsUndone(CommandeCancel),
	skald.Reasons(ReasonEmptyBasket, ReasonItem, ReasonNotOpen, ReasonSwitched))

// Confirm makes the order stand, after the receipt is made.
var Confirm = skald.Retriable[ConfirmRequest, Confirmed]("commande.confirm", skald.Emits(CommandeConfirm, ""),
	skald.Reasons(ReasonNotOpen, ReasonSwitched))
