//go:build unix

package faults_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// books reads the books of a system that is ready.
type books struct {
	*shop
	url      string
	services map[string]string // where they are
	full     map[string]int    // the stock before anything was ordered
}

func (s *shop) books(t *testing.T, p *process) *books {
	t.Helper()
	b := &books{shop: s, url: p.url, services: make(map[string]string), full: prepares()}
	answer := get[struct {
		Services []struct{ Name, Address string } `json:"services"`
	}](t, b, p.url+"/api/system")
	for _, s := range answer.Services {
		b.services[s.Name] = "http://" + s.Address
	}
	return b
}

// get reads a JSON document; if there is none, the zero value.
func get[T any](t *testing.T, b *books, url string) (v T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	a, err := b.ask(ctx, http.MethodGet, url, nil)
	switch {
	case err != nil:
		t.Fatal(err)
	case a.status == http.StatusNotFound:
		return v
	case a.status != http.StatusOK:
		t.Fatalf("GET %s: %d %s", url, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// stock is what the shop shows.
func (b *books) stock(t *testing.T) map[string]int {
	t.Helper()
	left := make(map[string]int)
	for _, a := range get[[]struct {
		SKU   string `json:"sku"`
		Stock int    `json:"stock"`
	}](t, b, b.url+"/api/produits") {
		left[a.SKU] = a.Stock
	}
	return left
}

// view is an order as the shop shows it.
type view struct {
	ID         string    `json:"id"`
	Mode       string    `json:"mode"`
	State      string    `json:"state"`
	Outcome    string    `json:"outcome"`
	Reason     string    `json:"reason"`
	Receipt    *struct{} `json:"receipt"`
	TotalCents int64     `json:"total_cents"`
}

func (v view) ended() bool { return v.Outcome == "completed" || v.Outcome == "compensated" }

func (b *books) view(t *testing.T, id string) view {
	t.Helper()
	return get[view](t, b, b.url+"/api/commandes/"+id)
}

// orders are the ids of all orders, and how many have no outcome.
func (b *books) orders(t *testing.T) (ids []string, open int) {
	t.Helper()
	for cursor := ""; ; {
		page := get[struct {
			Orders []view `json:"commandes"`
			Next   string `json:"next"`
		}](t, b, b.url+"/api/commandes?limit=100&cursor="+cursor)
		for _, o := range page.Orders {
			ids = append(ids, o.ID)
			if !o.ended() {
				open++
			}
		}
		if cursor = page.Next; cursor == "" {
			return ids, open
		}
	}
}

// settle waits until every order has its outcome, and returns how long that took.
func (b *books) settle(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, "every order has its outcome", func() bool {
		_, open := b.orders(t)
		return open == 0
	})
	return time.Since(began)
}

// audit checks, once every order has its outcome: what was acknowledged is there, under the one id that its key stands for; every article is in the stock or in a confirmed order; every cent in
// the ledger belongs to a confirmed order; a completed order has one charge and a receipt, and a compensated one nothing that was not undone.
func (b *books) audit(t *testing.T, acknowledged placed) {
	t.Helper()
	ids, open := b.orders(t)
	if open != 0 {
		t.Fatalf("%d orders have no outcome", open)
	}
	there := make(map[string]bool, len(ids))
	stock, sales, transfers := b.stock(t), int64(0), 0
	for _, id := range ids {
		if there[id] {
			t.Errorf("order %s is listed twice", id)
		}
		there[id] = true
		total, entries := b.auditOrder(t, id, stock)
		sales, transfers = sales+total, transfers+entries/2
	}
	known := make(map[string]string, len(acknowledged))
	for key, o := range acknowledged {
		if !there[o.id] {
			t.Errorf("order %s was acknowledged and is lost", o.id)
		}
		if other, twice := known[o.id]; twice {
			t.Errorf("keys %s and %s have one order, %s", key, other, o.id)
		}
		known[o.id] = key
	}
	if diff := cmp.Diff(b.full, stock); diff != "" {
		t.Errorf("stock and confirmed orders (-when it was new +now):\n%s", diff)
	}
	l := get[ledger](t, b, b.services["paiement"]+"/ledger")
	balances := make(map[string]int64)
	for _, a := range l.Accounts {
		balances[a.Account] = a.BalanceCents
	}
	if l.BalanceCents != 0 || balances["sales"] != sales || balances["cards"] != -sales || l.Transfers != transfers {
		t.Errorf("ledger %+v; confirmed orders cost %d in all, in %d transfers", l, sales, transfers)
	}
}

// delivered is the stock of an empty folder that was started on.
func delivered() map[string]int {
	return map[string]int{"CAF-001": 120, "CAF-002": 60, "THE-001": 45, "TAS-001": 24, "CAR-001": 80, "STY-001": scarce, "BOU-001": 0, "TEI-001": 1}
}

// prepares is the stock of a folder that was prepared.
func prepares() map[string]int {
	stock := delivered()
	for sku := range stock {
		if sku != "STY-001" {
			stock[sku] = plenty
		}
	}
	return stock
}

type ledger struct {
	Accounts []struct {
		Account      string `json:"account"`
		BalanceCents int64  `json:"balance_cents"`
	} `json:"accounts"`
	BalanceCents int64 `json:"balance_cents"`
	Transfers    int   `json:"transfers"`
	Entries      []struct {
		Kind string `json:"kind"`
	} `json:"entries"`
}

// auditOrder checks one order and returns what it costs if it is confirmed, and how many entries of the ledger it has. What it keeps is added to the stock.
func (b *books) auditOrder(t *testing.T, id string, stock map[string]int) (cents int64, entries int) {
	t.Helper()
	o := b.view(t, id)
	kept := get[struct {
		State      string `json:"state"`
		Lines      []item `json:"lines"`
		TotalCents int64  `json:"total_cents"`
	}](t, b, b.services["commande"]+"/orders/"+id)
	receipt := get[*struct{}](t, b, b.services["transaction"]+"/receipts?order="+id)
	var kinds []string
	for _, e := range get[ledger](t, b, b.services["paiement"]+"/ledger?order="+id).Entries {
		kinds = append(kinds, e.Kind)
	}
	if o.Outcome == "completed" {
		if o.State != "CommandeConfirm" || kept.State != "confirmed" || kept.TotalCents != o.TotalCents || o.Receipt == nil || receipt == nil || !cmp.Equal(kinds, []string{"charge", "charge"}) {
			t.Errorf("completed order %+v is kept as %+v, with entries %v and receipt %v", o, kept, kinds, receipt)
		}
		for _, i := range kept.Lines {
			stock[i.SKU] += i.Quantity
		}
		return kept.TotalCents, len(kinds)
	}
	if o.State != "CommandeCancel" || kept.State != "" && kept.State != "cancelled" || o.Receipt != nil || receipt != nil ||
		len(kinds) != 0 && !cmp.Equal(kinds, []string{"charge", "charge", "refund", "refund"}) {
		t.Errorf("compensated order %+v is kept as %+v, with entries %v and receipt %v", o, kept, kinds, receipt)
	}
	return 0, len(kinds)
}
