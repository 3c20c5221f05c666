package produit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	contract "github.com/skaldhq/skald/examples/commande/contract/produit"
	"github.com/skaldhq/skald/examples/commande/service/produit"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
)

func start(t *testing.T, folder string) *part.Part {
	t.Helper()
	return parttest.Started(t)(produit.Start(t.Context(), produit.Config{Config: part.Config{Data: folder}}))
}

func check(t *testing.T, p *part.Part, saga string, items ...contract.Item) contract.Checked {
	t.Helper()
	return parttest.Done(t, contract.Check, parttest.Act(t, p, contract.Check, saga, contract.CheckRequest{Items: items}))
}

func TestCatalogueIsThereFromTheFirstStart(t *testing.T) {
	folder := t.TempDir()
	p := start(t, folder)
	all := parttest.Get[[]produit.Product](t, p, "/produits")
	if len(all) != 8 {
		t.Errorf("%d products", len(all))
	}
	for _, one := range all {
		if one.SKU == "" || one.Name == "" || one.Description == "" || one.PriceCents <= 0 {
			t.Errorf("product %+v", one)
		}
	}
	parttest.Stop(t, p)
	if diff := cmp.Diff(all, parttest.Get[[]produit.Product](t, start(t, folder), "/produits")); diff != "" {
		t.Errorf("after a restart (-before +after):\n%s", diff)
	}
}

func TestKnownProductsHaveTheirPrices(t *testing.T) {
	p := start(t, t.TempDir())
	want := contract.Checked{TotalCents: 2*1290 + 2400, Lines: []contract.Line{
		{SKU: "CAF-001", Name: "Matin coffee, 250 g", Quantity: 2, UnitCents: 1290},
		{SKU: "TAS-001", Name: "Stoneware mug", Quantity: 1, UnitCents: 2400},
	}}
	got := check(t, p, "order-1", contract.Item{SKU: "CAF-001", Quantity: 2}, contract.Item{SKU: "TAS-001", Quantity: 1})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checked (-want +got):\n%s", diff)
	}
}

func TestEveryUnknownProductIsNamed(t *testing.T) {
	p := start(t, t.TempDir())
	in := contract.CheckRequest{Items: []contract.Item{{SKU: "XXX-404", Quantity: 1}, {SKU: "CAF-001", Quantity: 1}, {SKU: "YYY-404", Quantity: 1}}}
	words := parttest.Refused(t, parttest.Act(t, p, contract.Check, "order-1", in), contract.ReasonUnknown)
	if !strings.Contains(words, "XXX-404, YYY-404") {
		t.Errorf("the refusal says %q", words)
	}
	if again := parttest.Refused(t, parttest.Act(t, p, contract.Check, "order-1", in), contract.ReasonUnknown); again != words {
		t.Errorf("the refusal says %q when asked again", again)
	}
}

func TestQuantitiesThatCannotBeSoldAreRefused(t *testing.T) {
	p := start(t, t.TempDir())
	for name, items := range map[string][]contract.Item{
		"zero": {{SKU: "CAF-001"}}, "negative": {{SKU: "CAF-001", Quantity: -2}}, "huge": {{SKU: "CAF-001", Quantity: 1 << 40}}, "nothing": {},
	} {
		parttest.Refused(t, parttest.Act(t, p, contract.Check, name, contract.CheckRequest{Items: items}), contract.ReasonQuantity)
	}
}
