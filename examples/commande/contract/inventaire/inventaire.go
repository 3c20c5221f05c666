// Package inventaire is the contract of InventaireService, which owns the stock.
package inventaire

import "github.com/skaldhq/skald"

// Item is a quantity of one product.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// ReserveRequest asks for articles to be set aside for an order.
type ReserveRequest struct {
	Order string `json:"order"`
	Items []Item `json:"items"`
}

// Reservation is what was set aside.
type Reservation struct {
	Reservation string `json:"reservation"`
	Items       []Item `json:"items"`
}

// Events of InventaireService.
const (
	InventaireReserve = "InventaireReserve"
	InventaireFail    = "InventaireFail"
)

// Reason codes.
const (
	// ReasonOutOfStock refuses a quantity above the stock.
	ReasonOutOfStock = "InventaireFail.OutOfStock"
	// ReasonUnknown refuses a product that is not in the warehouse.
	ReasonUnknown = "InventaireFail.Unknown"
	// ReasonQuantity refuses a reservation of nothing, or of a quantity that is not positive.
	ReasonQuantity = "InventaireFail.Quantity"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "InventaireFail.Switched"
)

// Reserve sets articles aside; its compensation releases them.
var Reserve = skald.Compensatable[ReserveRequest, Reservation]("inventaire.reserve", "inventaire.release",
	skald.Emits(InventaireReserve, InventaireFail),
	skald.Reasons(ReasonOutOfStock, ReasonUnknown, ReasonQuantity, ReasonSwitched))
