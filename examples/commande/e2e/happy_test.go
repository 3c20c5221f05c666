package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/commande/mailbox"
	"github.com/skaldhq/skald/examples/commande/orchestrator"
)

// happy is what is listed for an order that completes.
var happy = []string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementConfirm", "TransactionConfirm", "CommandeConfirm"}

func TestOrderCompletes(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		a := l.do(t, http.MethodPost, "/api/commandes", encode(t, purchaseOf(accepted, item{"CAF-001", 2}, item{"TAS-001", 1})), "Prefer", "wait=20")
		if a.status != http.StatusOK || a.header.Get("Preference-Applied") != "wait=20" {
			t.Fatalf("%d, Preference-Applied %q: %s", a.status, a.header.Get("Preference-Applied"), a.body)
		}
		o := decode[order](t, a.body)
		if diff := cmp.Diff(happy, o.Events); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		want := []string{"commande.create done", "produit.check done", "inventaire.reserve done", "paiement.charge done", "transaction.issue done", "commande.confirm done", "transaction.send done"}
		if diff := cmp.Diff(want, o.states()); diff != "" {
			t.Errorf("steps (-want +got):\n%s", diff)
		}
		if o.State != "CommandeConfirm" || o.Outcome != "completed" || o.Reason != "" || len(o.Incidents) != 0 || o.TotalCents != 2*1290+2400 {
			t.Errorf("%+v", o)
		}
		if diff := cmp.Diff(o, l.order(t, o.ID)); diff != "" {
			t.Errorf("asked again (-first +then):\n%s", diff)
		}
		now := l.stockNow(t)
		if now["CAF-001"] != l.world.stock["CAF-001"]-2 || now["TAS-001"] != l.world.stock["TAS-001"]-1 {
			t.Errorf("stock %v after %v", now, l.world.stock)
		}
		l.checkReceipt(t, o)
	})
}

// checkReceipt opens the receipt as page, as PDF and as mail.
func (l *live) checkReceipt(t *testing.T, o order) {
	t.Helper()
	page := l.do(t, http.MethodGet, o.Receipt.HTML, nil)
	if page.status != http.StatusOK || !bytes.Contains(page.body, []byte(o.Receipt.Number)) || !bytes.Contains(page.body, []byte("Stoneware mug")) {
		t.Errorf("receipt: %d %.500s", page.status, page.body)
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("receipt's policy %q", policy)
	}
	pdf := l.do(t, http.MethodGet, o.Receipt.PDF, nil)
	if pdf.status != http.StatusOK || pdf.header.Get("Content-Type") != "application/pdf" || !bytes.HasPrefix(pdf.body, []byte("%PDF-")) {
		t.Errorf("PDF: %d %s", pdf.status, pdf.header)
	}
	letters, err := l.Mailbox().List(t.Context(), mailbox.Query{To: "ada@example.com", Limit: 10})
	if err != nil || len(letters) != 1 || !strings.Contains(letters[0].Subject, o.Receipt.Number) {
		t.Errorf("mailbox: %+v, %v", letters, err)
	}
	if web := l.do(t, http.MethodGet, "/mailbox/", nil); web.status != http.StatusOK || !bytes.Contains(web.body, []byte(o.Receipt.Number)) {
		t.Errorf("mailbox page: %d", web.status)
	}
}

func TestStreamTellsTheWholeStoryAndResumes(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "paiement.charge", setting{Mode: "slow", Count: 1, DelayMS: 300})
		placed := l.place(t, purchaseOf(accepted))
		if placed.Outcome != "running" || !slices.Contains([]string{"CommandeCreate", "ProduitExist", "InventaireReserve"}, placed.State) { // as far as it has come by then: the payment takes its time
			t.Errorf("accepted as %+v", placed)
		}
		all := l.stream(t, placed.ID, "", 0)
		var states, published []string
		for _, e := range all {
			switch e.name {
			case "commande":
				if s := decode[order](t, []byte(e.data)).State; len(states) == 0 || states[len(states)-1] != s {
					states = append(states, s)
				}
			case "published":
				p := decode[struct{ Name, Source, Time string }](t, []byte(e.data))
				published = append(published, p.Source+" "+p.Name)
			}
		}
		if last := all[len(all)-1]; last.data != `{"state":"CommandeConfirm","outcome":"completed"}` {
			t.Errorf("the stream ended with %+v", last)
		}
		if !slices.Contains(states, "InventaireReserve") || states[len(states)-1] != "CommandeConfirm" {
			t.Errorf("states %v: the payment was slow, so the state before it must show", states)
		}
		var announced, served []string
		for _, p := range published {
			if name, own := strings.CutPrefix(p, "orchestrator "); own {
				announced = append(announced, name)
			} else {
				served = append(served, p)
			}
		}
		var want []string
		for _, s := range orchestrator.States()[:5] {
			want = append(want, string(s))
		}
		if diff := cmp.Diff(want, announced); diff != "" {
			t.Errorf("states announced (-want +got):\n%s", diff)
		}
		slices.Sort(served)
		wantServed := []string{"commande CommandeConfirm", "commande CommandeCreate", "inventaire InventaireReserve", "paiement PaiementConfirm", "produit ProduitExist", "transaction TransactionConfirm"}
		if diff := cmp.Diff(wantServed, served); diff != "" {
			t.Errorf("events of services (-want +got):\n%s", diff)
		}
		for i := range all {
			rest := l.stream(t, placed.ID, all[i].id, 0)
			if again := told(rest); len(told(all[:i+1]))+len(again) != len(told(all)) {
				t.Errorf("after %s (%d of %d) came %v", all[i].id, i+1, len(all), again)
			}
		}
	})
}

// told are the published events of a stream.
func told(events []event) []string {
	var list []string
	for _, e := range events {
		if e.name == "published" {
			list = append(list, e.data)
		}
	}
	return list
}

func TestSystemSaysWhatRunsWhere(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		for _, name := range []string{"commande", "produit", "inventaire", "paiement", "transaction"} {
			at := l.service(t, name)
			for _, path := range []string{"/livez", "/metrics"} {
				if a := l.do(t, http.MethodGet, at+path, nil); a.status != http.StatusOK || len(a.body) == 0 {
					t.Errorf("%s%s: %d", name, path, a.status)
				}
			}
		}
		l.buy(t, purchaseOf(accepted))
		l.buy(t, purchaseOf(declined))
		metrics := string(l.do(t, http.MethodGet, "/metrics", nil).body)
		for _, line := range []string{
			`skald_saga_duration_seconds_count{definition="commande",mode="` + string(l.config.Mode) + `",outcome="completed"} 1`,
			`skald_saga_duration_seconds_count{definition="commande",mode="` + string(l.config.Mode) + `",outcome="compensated"} 1`,
			`skald_sagas_failed_total{definition="commande",reason="PaiementCancel.CardDeclined",step="paiement.charge"} 1`,
			`skald_steps_reached_total{definition="commande",result="done",step="commande.create"} 2`,
		} {
			if !strings.Contains(metrics, line) {
				t.Errorf("/metrics has no line %s", line)
			}
		}
		for _, path := range []string{"/", "/shop/", "/shop/orders/x", "/livez", "/api/switches"} {
			if a := l.do(t, http.MethodGet, path, nil); a.status != http.StatusOK {
				t.Errorf("%s: %d", path, a.status)
			}
		}
		for path, status := range map[string]int{"/api/nothing": 404, "/api/commandes/unknown": 404, "/api/commandes/unknown/events": 404} {
			if p := l.do(t, http.MethodGet, path, nil).problem(t); p.Status != status {
				t.Errorf("%s: %+v", path, p)
			}
		}
		if a := l.do(t, http.MethodDelete, "/api/produits", nil); a.problem(t).Status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET" {
			t.Errorf("DELETE: %d, Allow %q", a.status, a.header.Get("Allow"))
		}
		if p := l.do(t, http.MethodPost, "/api/commandes", encode(t, purchaseOf(accepted)), "Sec-Fetch-Site", "cross-site").problem(t); p.Status != http.StatusForbidden {
			t.Errorf("another site's page may order: %+v", p)
		}
	})
}

func TestListOfOrders(t *testing.T) {
	t.Parallel()
	l := begin(t)
	var ids []string
	for i := range 5 {
		ids = append([]string{l.buy(t, purchaseOf([]string{accepted, declined}[i%2])).ID}, ids...)
	}
	type page struct {
		Orders []listed `json:"commandes"`
		Next   string   `json:"next"`
	}
	var got []string
	for next := ""; ; {
		p := get[page](t, l.world, "/api/commandes?limit=2&cursor="+next)
		for _, o := range p.Orders {
			got = append(got, o.ID)
		}
		if next = p.Next; next == "" {
			break
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("newest first (-want +got):\n%s", diff)
	}
	for state, want := range map[string]int{"CommandeConfirm": 3, "completed": 3, "CommandeCancel": 2, "running": 0} {
		if p := get[page](t, l.world, "/api/commandes?state="+state); len(p.Orders) != want {
			t.Errorf("%s: %+v, want %d", state, p, want)
		}
	}
	if p := l.do(t, http.MethodGet, "/api/commandes?state=lost&limit=0", nil).problem(t); len(p.Errors) != 2 || p.Status != 422 {
		t.Errorf("%+v", p)
	}
	if p := l.do(t, http.MethodGet, "/api/commandes?incidents=true", nil).problem(t); len(p.Errors) != 1 || p.Status != 422 {
		t.Errorf("%+v", p)
	}
	if p := l.do(t, http.MethodGet, "/api/commandes?cursor=abc", nil).problem(t); fmt.Sprint(p.Errors[0].Field) != "cursor" {
		t.Errorf("%+v", p)
	}
}
