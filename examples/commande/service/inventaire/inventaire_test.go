package inventaire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	contract "github.com/skaldhq/skald/examples/commande/contract/inventaire"
	"github.com/skaldhq/skald/examples/commande/service/inventaire"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
)

const release = "inventaire.release"

func start(t *testing.T, folder string) *part.Part {
	t.Helper()
	return parttest.Started(t)(inventaire.Start(t.Context(), inventaire.Config{Config: part.Config{Data: folder}}))
}

func wants(order string, items ...contract.Item) contract.ReserveRequest {
	return contract.ReserveRequest{Order: order, Items: items}
}

// stock is what GET /stock says, by SKU.
func stock(t *testing.T, p *part.Part) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, s := range parttest.Get[[]inventaire.Stock](t, p, "/stock") {
		all[s.SKU] = s.Stock
	}
	return all
}

func expectStock(t *testing.T, p *part.Part, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, stock(t, p)); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
}

func TestReservingTakesFromTheStockOnceAndReleasingGivesBackOnce(t *testing.T) {
	p := start(t, t.TempDir())
	full := stock(t, p)
	in := wants("order-1", contract.Item{SKU: "TAS-001", Quantity: 1}, contract.Item{SKU: "CAF-001", Quantity: 2}, contract.Item{SKU: "TAS-001", Quantity: 3})
	held := parttest.Done(t, contract.Reserve, parttest.Act(t, p, contract.Reserve, "order-1", in))
	want := contract.Reservation{Reservation: "res_order-1", Items: []contract.Item{{SKU: "CAF-001", Quantity: 2}, {SKU: "TAS-001", Quantity: 4}}}
	if diff := cmp.Diff(want, held); diff != "" {
		t.Errorf("reservation (-want +got):\n%s", diff)
	}
	left := stock(t, p)
	if left["CAF-001"] != full["CAF-001"]-2 || left["TAS-001"] != full["TAS-001"]-4 {
		t.Errorf("left: %v", left)
	}
	parttest.Done(t, contract.Reserve, parttest.Act(t, p, contract.Reserve, "order-1", in))
	expectStock(t, p, left)

	parttest.Undone(t, parttest.Undo(t, p, contract.Reserve, release, "order-1"))
	expectStock(t, p, full)
	parttest.Undone(t, parttest.Undo(t, p, contract.Reserve, release, "order-1"))
	expectStock(t, p, full)
	parttest.Refused(t, parttest.Act(t, p, contract.Reserve, "order-1", in), participant.ReasonCompensated)
	expectStock(t, p, full)
}

func TestReservationIsAllOrNothingAndSaysWhatIsLeft(t *testing.T) {
	p := start(t, t.TempDir())
	full := stock(t, p)
	in := wants("order-1", contract.Item{SKU: "CAF-001", Quantity: 1}, contract.Item{SKU: "STY-001", Quantity: 3}, contract.Item{SKU: "BOU-001", Quantity: 1})
	words := parttest.Refused(t, parttest.Act(t, p, contract.Reserve, "order-1", in), contract.ReasonOutOfStock)
	if words != "BOU-001: 0 left, 1 wanted; STY-001: 2 left, 3 wanted" {
		t.Errorf("the refusal says %q", words)
	}
	expectStock(t, p, full)
	// Two lines of one product count together.
	twice := wants("order-2", contract.Item{SKU: "STY-001", Quantity: 1}, contract.Item{SKU: "STY-001", Quantity: 2})
	parttest.Refused(t, parttest.Act(t, p, contract.Reserve, "order-2", twice), contract.ReasonOutOfStock)
	expectStock(t, p, full)
	// Nothing was reserved, so there is nothing to give back.
	parttest.Undone(t, parttest.Undo(t, p, contract.Reserve, release, "order-1"))
	expectStock(t, p, full)
}

func TestWhatCannotBeReservedIsRefused(t *testing.T) {
	p := start(t, t.TempDir())
	full := stock(t, p)
	for name, c := range map[string]struct {
		items  []contract.Item
		reason string
	}{
		"unknown":  {[]contract.Item{{SKU: "CAF-001", Quantity: 1}, {SKU: "XXX-404", Quantity: 1}}, contract.ReasonUnknown},
		"zero":     {[]contract.Item{{SKU: "CAF-001"}}, contract.ReasonQuantity},
		"negative": {[]contract.Item{{SKU: "CAF-001", Quantity: -5}}, contract.ReasonQuantity},
		"nothing":  {nil, contract.ReasonQuantity},
	} {
		parttest.Refused(t, parttest.Act(t, p, contract.Reserve, name, wants(name, c.items...)), c.reason)
	}
	expectStock(t, p, full)
}

func TestStockNeverGoesBelowZeroHoweverManySagasWantIt(t *testing.T) {
	p := start(t, t.TempDir())
	full := stock(t, p)
	const sagas, each = 40, 7 // 40 times 7 of 120: 17 can have theirs
	answers := make(chan participant.Answer, 2*sagas)
	for i := range sagas {
		id := fmt.Sprintf("order-%d", i)
		for range 2 { // every call arrives twice
			go func() {
				answers <- parttest.Act(t, p, contract.Reserve, id, wants(id, contract.Item{SKU: "CAF-001", Quantity: each}))
			}()
		}
	}
	done := map[string]bool{}
	for range 2 * sagas {
		a := <-answers
		if a.Class == participant.Done {
			done[parttest.Done(t, contract.Reserve, a).Reservation] = true
			continue
		}
		parttest.Refused(t, a, contract.ReasonOutOfStock)
	}
	if want := full["CAF-001"] / each; len(done) != want {
		t.Errorf("%d sagas have theirs, want %d", len(done), want)
	}
	if got, want := stock(t, p)["CAF-001"], full["CAF-001"]%each; got != want {
		t.Errorf("%d left, want %d", got, want)
	}
	// All of them are undone at the same time, also those that were refused, each twice.
	for i := range sagas {
		for range 2 {
			go func() { answers <- parttest.Undo(t, p, contract.Reserve, release, fmt.Sprintf("order-%d", i)) }()
		}
	}
	for range 2 * sagas {
		parttest.Undone(t, <-answers)
	}
	expectStock(t, p, full)
}

func TestReservationsSurviveARestart(t *testing.T) {
	folder := t.TempDir()
	p := start(t, folder)
	full := stock(t, p)
	in := wants("order-1", contract.Item{SKU: "TEI-001", Quantity: 1})
	held := parttest.Done(t, contract.Reserve, parttest.Act(t, p, contract.Reserve, "order-1", in))
	parttest.Stop(t, p)

	p = start(t, folder)
	if got := stock(t, p)["TEI-001"]; got != 0 {
		t.Errorf("%d left after a restart", got)
	}
	if again := parttest.Done(t, contract.Reserve, parttest.Act(t, p, contract.Reserve, "order-1", in)); !cmp.Equal(held, again) {
		t.Errorf("reserved again: %+v, first %+v", again, held)
	}
	words := parttest.Refused(t, parttest.Act(t, p, contract.Reserve, "order-2", wants("order-2", in.Items...)), contract.ReasonOutOfStock)
	if !strings.Contains(words, "0 left") {
		t.Errorf("the refusal says %q", words)
	}
	parttest.Undone(t, parttest.Undo(t, p, contract.Reserve, release, "order-1"))
	expectStock(t, p, full)
}
