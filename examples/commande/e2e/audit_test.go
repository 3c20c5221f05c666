package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type article struct {
	SKU        string `json:"sku"`
	Name       string `json:"name"`
	PriceCents int64  `json:"price_cents"`
	Stock      int    `json:"stock"`
}

// stockNow is what the shop shows.
func (w *world) stockNow(t *testing.T) map[string]int {
	t.Helper()
	left := make(map[string]int)
	for _, a := range get[[]article](t, w, "/api/produits") {
		left[a.SKU] = a.Stock
	}
	return left
}

type ledger struct {
	Accounts []struct {
		Account      string `json:"account"`
		BalanceCents int64  `json:"balance_cents"`
	} `json:"accounts"`
	BalanceCents int64 `json:"balance_cents"`
	Transfers    int   `json:"transfers"`
	Entries      []struct {
		Account     string `json:"account"`
		AmountCents int64  `json:"amount_cents"`
		Kind        string `json:"kind"`
	} `json:"entries"`
}

type listed struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Outcome  string `json:"outcome"`
	Incident string `json:"incident"`
}

// orders lists every order there is.
func (w *world) orders(t *testing.T) []listed {
	t.Helper()
	var all []listed
	for cursor := ""; ; {
		page := get[struct {
			Orders []listed `json:"commandes"`
			Next   string   `json:"next"`
		}](t, w, "/api/commandes?limit=100&cursor="+cursor)
		all = append(all, page.Orders...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// settle turns all failures off and waits until every order has its outcome.
func (w *world) settle(t *testing.T) {
	t.Helper()
	w.reset(t)
	var open []listed
	eventually(t, "every order has its outcome", func() bool {
		open = slices.DeleteFunc(w.orders(t), func(o listed) bool { return o.Outcome == "completed" || o.Outcome == "compensated" })
		return len(open) == 0
	}, func() string { return fmt.Sprintf("open: %+v", open) })
}

// kept is what CommandeService says of an order.
type kept struct {
	State      string `json:"state"`
	Lines      []item `json:"lines"`
	TotalCents int64  `json:"total_cents"`
}

// audit checks the books of all services against each other, once every order has its outcome: every article is in the stock or in a
// confirmed order, every cent in the ledger belongs to a confirmed order, and no order is both kept and undone.
func (w *world) audit(t *testing.T) {
	t.Helper()
	stock := w.stockNow(t)
	commande, paiement, transaction := w.service(t, "commande"), w.service(t, "paiement"), w.service(t, "transaction")
	var sales int64
	transfers := 0
	for _, l := range w.orders(t) {
		o := w.order(t, l.ID)
		k := w.kept(t, commande, o.ID)
		booked := get[ledger](t, w, paiement+"/ledger?order="+o.ID)
		transfers += len(booked.Entries) / 2
		var kinds []string
		for _, e := range booked.Entries {
			kinds = append(kinds, e.Kind)
		}
		switch o.Outcome {
		case "completed":
			for _, i := range k.Lines {
				stock[i.SKU] += i.Quantity
			}
			sales += k.TotalCents
			if o.State != "CommandeConfirm" || k.State != "confirmed" || k.TotalCents != o.TotalCents || o.Receipt == nil || !cmp.Equal(kinds, []string{"charge", "charge"}) {
				t.Errorf("completed order %+v is kept as %+v, with entries %v", o, k, kinds)
			}
		case "compensated":
			if o.State != "CommandeCancel" || k.State != "" && k.State != "cancelled" || o.Receipt != nil ||
				len(kinds) != 0 && !cmp.Equal(kinds, []string{"charge", "charge", "refund", "refund"}) {
				t.Errorf("compensated order %+v is kept as %+v, with entries %v", o, k, kinds)
			}
		}
		w.auditEvents(t, o)
		w.auditReceipt(t, transaction, o)
	}
	if diff := cmp.Diff(w.stock, stock); diff != "" {
		t.Errorf("stock and confirmed orders (-when it was new +now):\n%s", diff)
	}
	l := get[ledger](t, w, paiement+"/ledger")
	balances := make(map[string]int64)
	for _, a := range l.Accounts {
		balances[a.Account] = a.BalanceCents
	}
	if l.BalanceCents != 0 || balances["sales"] != sales || balances["cards"] != -sales || l.Transfers != transfers {
		t.Errorf("ledger %+v; confirmed orders cost %d in all, in %d transfers", l, sales, transfers)
	}
}

func (w *world) kept(t *testing.T, commande, id string) kept {
	t.Helper()
	a, err := w.request(context.WithoutCancel(t.Context()), http.MethodGet, commande+"/orders/"+id, nil)
	switch {
	case err != nil:
		t.Fatal(err)
	case a.status == http.StatusNotFound:
		return kept{} // it was never created
	case a.status != http.StatusOK:
		t.Fatalf("order %s: %d %s", id, a.status, a.body)
	}
	return decode[kept](t, a.body)
}

// auditEvents checks that what is listed ends as the order did, and that nothing that cannot be together is.
func (w *world) auditEvents(t *testing.T, o order) {
	t.Helper()
	if len(o.Events) == 0 || o.Events[0] != "CommandeCreate" || o.Events[len(o.Events)-1] != o.State {
		t.Errorf("order %s in %s lists %v", o.ID, o.State, o.Events)
	}
	for i, name := range o.Events {
		if slices.Index(o.Events, name) != i {
			t.Errorf("order %s lists %s twice: %v; %+v", o.ID, name, o.Events, o.Steps)
		}
	}
}

func (w *world) auditReceipt(t *testing.T, transaction string, o order) {
	t.Helper()
	a, err := w.request(context.WithoutCancel(t.Context()), http.MethodGet, transaction+"/receipts?order="+o.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if made := a.status == http.StatusOK; made != (o.Outcome == "completed") {
		t.Errorf("order %s is %s, and its receipt: %d %s", o.ID, o.Outcome, a.status, a.body)
	}
}

// event is a server-sent event.
type event struct {
	id, name, data string
}

// stream reads an order's stream until `end`, or as many events as are wanted if that is not 0.
func (w *world) stream(t *testing.T, id, lastID string, most int) []event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/api/commandes/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		q.Header.Set("Last-Event-ID", lastID)
	}
	res, err := w.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("stream: %d %s", res.StatusCode, got)
	}
	return readEvents(t, res.Body, most)
}
