package commande_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	contract "github.com/skaldhq/skald/examples/commande/contract/commande"
	"github.com/skaldhq/skald/examples/commande/service/commande"
	"github.com/skaldhq/skald/examples/part"
	"github.com/skaldhq/skald/examples/part/parttest"
	"github.com/skaldhq/skald/participant"
)

func start(t *testing.T, folder string) *part.Part {
	t.Helper()
	return parttest.Started(t)(commande.Start(t.Context(), commande.Config{Config: part.Config{Data: folder}}))
}

func basket() contract.CreateRequest {
	return contract.CreateRequest{Client: "Zoé Martin", Email: "zoe@example.com", Items: []contract.Item{{SKU: "CAF-001", Quantity: 2}, {SKU: "CAF-001", Quantity: 1}}}
}

func expectOrder(t *testing.T, p *part.Part, want commande.Order) {
	t.Helper()
	got := parttest.Get[commande.Order](t, p, "/orders/"+want.ID)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(commande.Order{}, "Created", "Changed")); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if got.Created.IsZero() || got.Changed.Before(got.Created) {
		t.Errorf("created at %s and changed at %s", got.Created, got.Changed)
	}
}

func TestOrderIsCreatedUnderTheSagasIDAndConfirmed(t *testing.T) {
	p := start(t, t.TempDir())
	created := parttest.Done(t, contract.Create, parttest.Act(t, p, contract.Create, "order-1", basket()))
	if created.Order != "order-1" || created.Created.IsZero() {
		t.Fatalf("created %+v", created)
	}
	in := basket()
	want := commande.Order{ID: "order-1", Client: in.Client, Email: in.Email, State: "created", Lines: in.Items}
	expectOrder(t, p, want)

	confirm := contract.ConfirmRequest{Order: "order-1", TotalCents: 3870}
	confirmed := parttest.Done(t, contract.Confirm, parttest.Act(t, p, contract.Confirm, "order-1", confirm))
	if confirmed.Order != "order-1" || confirmed.Confirmed.Before(created.Created) {
		t.Fatalf("confirmed %+v", confirmed)
	}
	want.State, want.TotalCents = "confirmed", &confirm.TotalCents
	expectOrder(t, p, want)

	again := parttest.Done(t, contract.Confirm, parttest.Act(t, p, contract.Confirm, "order-1", confirm))
	if diff := cmp.Diff(confirmed, again); diff != "" {
		t.Errorf("confirmed again (-first +again):\n%s", diff)
	}
}

func TestCancellingUndoesTheOrder(t *testing.T) {
	p := start(t, t.TempDir())
	parttest.Done(t, contract.Create, parttest.Act(t, p, contract.Create, "order-1", basket()))
	parttest.Undone(t, parttest.Undo(t, p, contract.Create, "commande.cancel", "order-1"))
	in := basket()
	want := commande.Order{ID: "order-1", Client: in.Client, Email: in.Email, State: "cancelled", Lines: in.Items}
	expectOrder(t, p, want)

	parttest.Undone(t, parttest.Undo(t, p, contract.Create, "commande.cancel", "order-1"))
	expectOrder(t, p, want)
	parttest.Refused(t, parttest.Act(t, p, contract.Confirm, "order-1", contract.ConfirmRequest{Order: "order-1", TotalCents: 1}), contract.ReasonNotOpen)
	expectOrder(t, p, want)
}

func TestConfirmedOrderIsNotCancelled(t *testing.T) {
	p := start(t, t.TempDir())
	parttest.Done(t, contract.Create, parttest.Act(t, p, contract.Create, "order-1", basket()))
	parttest.Done(t, contract.Confirm, parttest.Act(t, p, contract.Confirm, "order-1", contract.ConfirmRequest{Order: "order-1", TotalCents: 1}))
	parttest.Refused(t, parttest.Undo(t, p, contract.Create, "commande.cancel", "order-1"), contract.ReasonNotOpen)
	if got := parttest.Get[commande.Order](t, p, "/orders/order-1").State; got != "confirmed" {
		t.Errorf("state %s", got)
	}
}

func TestOrdersThatCannotBeAreRefusedAndLeaveNothing(t *testing.T) {
	p := start(t, t.TempDir())
	for name, c := range map[string]struct {
		items  []contract.Item
		reason string
	}{
		"empty-basket":      {nil, contract.ReasonEmptyBasket},
		"zero-quantity":     {[]contract.Item{{SKU: "CAF-001", Quantity: 1}, {SKU: "CAF-002"}}, contract.ReasonItem},
		"negative-quantity": {[]contract.Item{{SKU: "CAF-001", Quantity: -1}}, contract.ReasonItem},
		"no-sku":            {[]contract.Item{{Quantity: 1}}, contract.ReasonItem},
		"too-many-items":    {make([]contract.Item, 501), contract.ReasonItem},
	} {
		in := basket()
		in.Items = c.items
		parttest.Refused(t, parttest.Act(t, p, contract.Create, name, in), c.reason)
		if status, _, _ := parttest.Request(t, p, "GET", "/orders/"+name, ""); status != 404 {
			t.Errorf("%s: GET answers %d", name, status)
		}
		// What was refused stays refused, and there is nothing to cancel.
		parttest.Refused(t, parttest.Act(t, p, contract.Create, name, in), c.reason)
		parttest.Undone(t, parttest.Undo(t, p, contract.Create, "commande.cancel", name))
	}
}

func TestCancellationThatOvertakesItsOrderWins(t *testing.T) {
	p := start(t, t.TempDir())
	parttest.Undone(t, parttest.Undo(t, p, contract.Create, "commande.cancel", "order-1"))
	parttest.Refused(t, parttest.Act(t, p, contract.Create, "order-1", basket()), participant.ReasonCompensated)
	if status, _, body := parttest.Request(t, p, "GET", "/orders/order-1", ""); status != 404 || !strings.Contains(string(body), "no order") {
		t.Errorf("GET answers %d %s", status, body)
	}
}

func TestOrdersSurviveARestart(t *testing.T) {
	folder := t.TempDir()
	first := start(t, folder)
	created := parttest.Done(t, contract.Create, parttest.Act(t, first, contract.Create, "order-1", basket()))
	parttest.Stop(t, first)

	second := start(t, folder)
	again := parttest.Done(t, contract.Create, parttest.Act(t, second, contract.Create, "order-1", basket()))
	if diff := cmp.Diff(created, again); diff != "" {
		t.Errorf("created again (-first +again):\n%s", diff)
	}
	parttest.Done(t, contract.Confirm, parttest.Act(t, second, contract.Confirm, "order-1", contract.ConfirmRequest{Order: "order-1", TotalCents: 3870}))
}
