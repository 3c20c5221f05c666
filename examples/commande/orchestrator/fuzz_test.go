package orchestrator

import (
	"testing"
	"unicode/utf8"
)

// FuzzPurchase reads bodies of all sorts as orders: one without faults has everything that an order needs.
func FuzzPurchase(f *testing.F) {
	f.Add([]byte(`{"client":"Ada Lovelace","email":"ada@example.com","card":"4242 4242 4242 4242","items":[{"sku":"CAF-001","quantity":2}]}`))
	f.Add([]byte(`{"client":1,"email":"a@b","card":null,"items":{},"items":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, found := readPurchase(body)
		if len(found.list) > 0 {
			return
		}
		if p.client == "" || !utf8.ValidString(p.client) || p.email == "" || p.card == "" || len(p.items) == 0 {
			t.Errorf("%s is taken as %+v", body, p)
		}
		for _, i := range p.items {
			if i.Quantity < 1 || i.SKU == "" {
				t.Errorf("%s has the article %+v", body, i)
			}
		}
	})
}

// FuzzDecision reads bodies of all sorts as an operator's decisions.
func FuzzDecision(f *testing.F) {
	f.Add([]byte(`{"step":"transaction.send","verb":"replace","email":"ada@example.com","by":"ada"}`))
	f.Add([]byte(`{"step":"paiement.refund","verb":"done","reason":"by hand"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, found := readDecision(body)
		if len(found.list) == 0 && (d.Step == "" || d.Verb == "" || d.By == "") {
			t.Errorf("%s is taken as %+v", body, d)
		}
	})
}
