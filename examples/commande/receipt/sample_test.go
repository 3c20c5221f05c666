package receipt_test

import (
	"time"

	"github.com/skaldhq/skald/examples/commande/receipt"
)

func sample() receipt.Receipt {
	return receipt.Receipt{
		Number: "R-2026-000042", Order: "019aa7c4-5b1e-7c3a-9d2f-3e8b6a1c0d57",
		Client: "Zoë Müller-Łukasiewicz", Email: "zoe@example.com",
		Issued: time.Date(2026, 11, 21, 20, 49, 5, 0, time.FixedZone("CET", 3600)),
		Lines: []receipt.Line{
			{SKU: "CAF-001", Name: "Café crème – éclair", Quantity: 3, UnitCents: 475},
			{SKU: "MOU-118", Name: "Moulin à café réglable en acier, édition du cinquantenaire, avec sa boîte", Quantity: 1, UnitCents: 118_901},
			{SKU: "TAS-020", Name: "Tasse en grès", Quantity: 2, UnitCents: 1_562},
			{SKU: "OFF-000", Name: "Échantillon offert", Quantity: 1, UnitCents: 0},
		},
		TotalCents: 3*475 + 118_901 + 2*1_562,
		Card:       "4242",
	}
}
