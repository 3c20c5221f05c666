package receipt_test

import (
	"math"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/commande/receipt"
)

func TestTotalThatDoesNotAddUpIsRefusedByEveryRendering(t *testing.T) {
	r := sample()
	r.TotalCents++
	renderings := map[string]func() error{
		"HTML": func() error { _, err := receipt.HTML(r, receipt.Links{}); return err },
		"PDF":  func() error { _, err := receipt.PDF(r); return err },
		"text": func() error { _, err := receipt.Text(r); return err },
	}
	for name, render := range renderings {
		t.Run(name, func(t *testing.T) {
			err := render()
			if err == nil {
				t.Fatal("a receipt whose lines do not add up was rendered")
			}
			for _, amount := range []string{"1 234,50 €", "1 234,51 €"} {
				if want := strings.ReplaceAll(amount, " ", "\u00a0"); !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not name %s: %v", amount, err)
				}
			}
		})
	}
}

func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	err := receipt.Receipt{Card: "4242424242424242", Lines: []receipt.Line{{Name: "x", Quantity: 0, UnitCents: -1}}}.Validate()
	if err == nil {
		t.Fatal("an empty receipt is valid")
	}
	for _, part := range []string{"number:", "order:", "client:", "e-mail:", "card:", "issued:", "line 1: SKU:", "quantity:", "unit price:"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "42424242") {
		t.Errorf("the error shows a card number: %v", err)
	}
}

func TestFaultyReceipts(t *testing.T) {
	cases := map[string]func(*receipt.Receipt){
		"a whole card number":           func(r *receipt.Receipt) { r.Card = "4242424242424242" },
		"a card of letters":             func(r *receipt.Receipt) { r.Card = "abcd" },
		"no lines":                      func(r *receipt.Receipt) { r.Lines, r.TotalCents = nil, 0 },
		"too many lines":                func(r *receipt.Receipt) { r.Lines = make([]receipt.Line, receipt.MaxLines+1) },
		"a sum that overflows":          func(r *receipt.Receipt) { r.Lines[0].UnitCents = math.MaxInt64 / 2 },
		"a negative quantity":           func(r *receipt.Receipt) { r.Lines[0].Quantity = -3 },
		"an address with a name":        func(r *receipt.Receipt) { r.Email = "Zoë <zoe@example.com>" },
		"an address with a line break":  func(r *receipt.Receipt) { r.Email = "zoe@example.com\r\nBcc: eve@example.com" },
		"a name that turns the line":    func(r *receipt.Receipt) { r.Client = "a\u202eb" },
		"a name that is no UTF-8":       func(r *receipt.Receipt) { r.Client = "\xff" },
		"a name without end":            func(r *receipt.Receipt) { r.Client = strings.Repeat("a", receipt.MaxText+1) },
		"a name of white space":         func(r *receipt.Receipt) { r.Client = "  " },
		"an article with a line break":  func(r *receipt.Receipt) { r.Lines[0].Name = "a\nb" },
		"a total of an unrelated order": func(r *receipt.Receipt) { r.TotalCents = 0 },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			r := sample()
			if err := r.Validate(); err != nil {
				t.Fatalf("the sample itself is faulty: %v", err)
			}
			spoil(&r)
			if r.Validate() == nil {
				t.Error("it is accepted")
			}
		})
	}
}

func TestAmountsAreWrittenTheFrenchWay(t *testing.T) {
	for cents, want := range map[int64]string{
		0: "0,00 €", 5: "0,05 €", 99: "0,99 €", 100: "1,00 €", 123_450: "1 234,50 €", 99_999_99: "99 999,99 €",
		100_000_000: "1 000 000,00 €", -5: "-0,05 €", -123_450: "-1 234,50 €",
		math.MinInt64: "-92 233 720 368 547 758,08 €",
	} {
		if got := receipt.FormatEUR(cents); got != strings.ReplaceAll(want, " ", "\u00a0") {
			t.Errorf("%d cents: %q, want %q with no-break spaces", cents, got, want)
		}
	}
}

func TestTextHoldsTheWholeReceipt(t *testing.T) {
	text, err := receipt.Text(sample())
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(text, "\u00a0", " ")
	for _, want := range []string{"R-2026-000042", "Zoë Müller-Łukasiewicz", "Café crème – éclair (CAF-001)",
		"3 × 4,75 € = 14,25 €", "Total paid: 1 234,50 €", "card ending in 4242", "21 November 2026, 19:49 UTC"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}
