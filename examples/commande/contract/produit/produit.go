// Package produit is the contract of ProduitService, which owns the catalogue and its prices.
package produit

import "github.com/skaldhq/skald"

// Item is one position of a basket.
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// CheckRequest asks whether the shop sells the items, and for how much.
type CheckRequest struct {
	Items []Item `json:"items"`
}

// Line is an item with its name and price.
type Line struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitCents int64  `json:"unit_cents"`
}

// Checked is the basket with the prices of now.
type Checked struct {
	Lines      []Line `json:"lines"`
	TotalCents int64  `json:"total_cents"`
}

// Events of ProduitService.
const (
	ProduitExist    = "ProduitExist"
	ProduitNotFound = "ProduitNotFound"
)

// Reason codes.
const (
	// ReasonUnknown refuses a product that the shop does not sell.
	ReasonUnknown = "ProduitNotFound.Unknown"
	// ReasonQuantity refuses a quantity that is not positive.
	ReasonQuantity = "ProduitNotFound.Quantity"
	// ReasonSwitched refuses because somebody switched the failure on.
	ReasonSwitched = "ProduitNotFound.Switched"
)

// Check looks products and prices up. Its answers are stored, so that a saga keeps the price that it was told first.
var Check = skald.ReadOnly[CheckRequest, Checked]("produit.check",
	skald.StoresAnswers(), skald.Emits(ProduitExist, ProduitNotFound),
	skald.Reasons(ReasonUnknown, ReasonQuantity, ReasonSwitched))
