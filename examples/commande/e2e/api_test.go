package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/commande/system"
)

func TestEveryFaultOfAnOrderIsListed(t *testing.T) {
	t.Parallel()
	l := begin(t)
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"everything missing":  {`{}`, 422, []string{"card", "client", "email", "items"}},
		"everything wrong":    {`{"client":" ","email":"ada","card":"4242424242424241","items":[{"sku":"","quantity":0},{"sku":"A","quantity":1.5},{"sku":"A","quantity":1}]}`, 422, []string{"card", "client", "email", "items[0].quantity", "items[0].sku", "items[1].quantity", "items[2].sku"}},
		"wrong types":         {`{"client":1,"email":[],"card":4242424242424242,"items":{}}`, 422, []string{"card", "client", "email", "items"}},
		"empty basket":        {`{"client":"Ada","email":"ada@example.com","card":"4242424242424242","items":[]}`, 422, []string{"items"}},
		"too many":            {`{"client":"Ada","email":"ada@example.com","card":"4242424242424242","items":[{"sku":"CAF-001","quantity":100001}]}`, 422, []string{"items[0].quantity"}},
		"line break":          {`{"client":"Ada\nBcc: x","email":"ada@example.com","card":"4242424242424242","items":[{"sku":"CAF-001","quantity":1}]}`, 422, []string{"client"}},
		"unknown members too": {`{"client":"Ada","mail":"x","email":"","card":"4242424242424242","items":[{"sku":"CAF-001","quantity":1,"price":1}]}`, 400, []string{"email", "items[0].price", "mail"}},
		"no object":           {`[1]`, 400, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			p := l.do(t, http.MethodPost, "/api/commandes", []byte(c.body)).problem(t)
			var fields []string
			for _, e := range p.Errors {
				fields = append(fields, e.Field)
				if e.Detail == "" {
					t.Errorf("%s has no words", e.Field)
				}
			}
			slices.Sort(fields)
			if diff := cmp.Diff(c.fields, fields); diff != "" || p.Status != c.status {
				t.Errorf("%d; fields (-want +got):\n%s", p.Status, diff)
			}
		})
	}
	for name, c := range map[string]struct {
		body, media string
		status      int
	}{
		"broken":       {`{"client":`, "application/json", 400},
		"something on": {`{} {}`, "application/json", 400},
		"too large":    {`{"client":"` + strings.Repeat("x", 70_000) + `"}`, "application/json", 413},
		"form":         {`client=Ada`, "application/x-www-form-urlencoded", 415},
	} {
		t.Run(name, func(t *testing.T) {
			a := l.do(t, http.MethodPost, "/api/commandes", []byte(c.body), "Content-Type", c.media)
			if p := a.problem(t); a.status != c.status || p.Status != c.status {
				t.Errorf("%d %+v, want %d", a.status, p, c.status)
			}
		})
	}
	if all := l.orders(t); len(all) != 0 {
		t.Errorf("faulty orders were kept: %+v", all)
	}
}

func TestF02SameKeyIsTheSameOrder(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		key := []string{"Idempotency-Key", "any key \"works\": ünïcode/" + t.Name()}
		body := encode(t, purchaseOf(accepted))
		ids := make([]string, 8)
		var posts sync.WaitGroup
		for i := range ids {
			posts.Go(func() {
				a, err := l.request(t.Context(), http.MethodPost, "/api/commandes", body, key...)
				if err != nil || a.status != http.StatusAccepted {
					t.Errorf("%v %d %s", err, a.status, a.body)
					return
				}
				ids[i] = a.header.Get("Location")
			})
		}
		posts.Wait()
		if len(slices.Compact(slices.Clone(ids))) != 1 || ids[0] == "" {
			t.Errorf("one key gave %v", ids)
		}
		id := strings.TrimPrefix(ids[0], "/api/commandes/")
		l.untilEnded(t, id)
		if again := l.place(t, purchaseOf(accepted), key...); again.ID != id || again.State != "CommandeConfirm" {
			t.Errorf("after the end, the key gave %+v", again)
		}
		other := purchaseOf(accepted, item{"CAF-001", 3})
		if p := l.do(t, http.MethodPost, "/api/commandes", encode(t, other), key...).problem(t); p.Status != http.StatusConflict {
			t.Errorf("same key, other basket: %+v", p)
		}
		if p := l.do(t, http.MethodPost, "/api/commandes", encode(t, purchaseOf(declined)), key...).problem(t); p.Status != http.StatusConflict {
			t.Errorf("same key, other card: %+v", p)
		}
		if p := l.do(t, http.MethodPost, "/api/commandes", body, "Idempotency-Key", strings.Repeat("k", 256)).problem(t); p.Status != http.StatusBadRequest {
			t.Errorf("long key: %+v", p)
		}
		if all := l.orders(t); len(all) != 1 {
			t.Errorf("%+v", all)
		}
		if first, second := l.place(t, purchaseOf(accepted)), l.place(t, purchaseOf(accepted)); first.ID == second.ID {
			t.Error("two orders without a key are one")
		}
	})
}

func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	l := begin(t)
	l.set(t, "inventaire.reserve", setting{Mode: "slow", Count: 1, DelayMS: 1500})
	a := l.do(t, http.MethodPost, "/api/commandes", encode(t, purchaseOf(accepted)), "Prefer", "handling=lenient, wait=1")
	o := decode[order](t, a.body)
	if a.status != http.StatusAccepted || a.header.Get("Preference-Applied") != "wait=1" || a.header.Get("Location") != "/api/commandes/"+o.ID || o.Outcome != "running" {
		t.Errorf("%d %v %+v", a.status, a.header, o)
	}
	if o := l.untilEnded(t, o.ID); o.State != "CommandeConfirm" {
		t.Errorf("it did not go on: %+v", o)
	}
	for prefer, applied := range map[string]string{"wait=600": "wait=60", "wait=-1": "", "wait=x": "", "respond-async": "", `wait="5"`: "wait=5"} {
		a := l.do(t, http.MethodPost, "/api/commandes", encode(t, purchaseOf(accepted)), "Prefer", prefer)
		if got := a.header.Get("Preference-Applied"); got != applied || applied == "" && a.status != 202 || applied != "" && a.status != 200 {
			t.Errorf("%s: %d, applied %q", prefer, a.status, got)
		}
	}
}

func TestF10OrderGoesOnWhenTheWaitingClientHangsUp(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "produit.check", setting{Mode: "slow", Count: 1, DelayMS: 400})
		ctx, hangUp := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := l.request(ctx, http.MethodPost, "/api/commandes", encode(t, purchaseOf(declined)), "Prefer", "wait=30")
			gone <- err
		}()
		var id string
		eventually(t, "the order exists", func() bool {
			if all := l.orders(t); len(all) == 1 {
				id = all[0].ID
			}
			return id != ""
		})
		hangUp()
		if err := <-gone; err == nil {
			t.Error("the request was answered before its client hung up")
		}
		if o := l.untilEnded(t, id); o.State != "CommandeCancel" || o.Reason != "PaiementCancel.CardDeclined" {
			t.Errorf("%+v", o)
		}
	})
}

func TestF29TooManyOrdersAreRefusedForAMoment(t *testing.T) {
	t.Parallel()
	l := begin(t, func(c *system.Config) { c.MaxInFlight = 1 })
	l.set(t, "produit.check", setting{Mode: "slow", Count: 1, DelayMS: 700})
	first := l.place(t, purchaseOf(accepted))
	l.until(t, first.ID, "the slow step", func(o order) bool { return o.step("produit.check").State == "running" })
	a := l.do(t, http.MethodPost, "/api/commandes", encode(t, purchaseOf(accepted)), "Idempotency-Key", "later")
	if p := a.problem(t); p.Status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Fatalf("%+v, Retry-After %q", p, a.header.Get("Retry-After"))
	}
	l.untilEnded(t, first.ID)
	if o := l.place(t, purchaseOf(accepted), "Idempotency-Key", "later"); o.ID == first.ID {
		t.Error("the refused order became the first one")
	}
}

func TestLastArticlesAreNeverOversold(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		const customers = 14 // for two pens and one teapot
		outcomes := make([]order, customers)
		var buyers sync.WaitGroup
		for i := range customers {
			buyers.Go(func() {
				sku := []string{"STY-001", "TEI-001"}[i%2]
				a, err := l.request(t.Context(), http.MethodPost, "/api/commandes", encode(t, purchaseOf(accepted, item{sku, 1})), "Prefer", "wait=25")
				if err != nil || a.status != http.StatusOK {
					t.Errorf("%v %d %s", err, a.status, a.body)
					return
				}
				outcomes[i] = decode[order](t, a.body)
			})
		}
		buyers.Wait()
		sold := make(map[string]int)
		for i, o := range outcomes {
			sku := []string{"STY-001", "TEI-001"}[i%2]
			if o.State == "CommandeConfirm" {
				sold[sku]++
			} else if o.Reason != "InventaireFail.OutOfStock" {
				t.Errorf("%+v", o)
			}
		}
		if diff := cmp.Diff(map[string]int{"STY-001": 2, "TEI-001": 1}, sold); diff != "" {
			t.Errorf("sold (-want +got):\n%s", diff)
		}
		if now := l.stockNow(t); now["STY-001"] != 0 || now["TEI-001"] != 0 {
			t.Errorf("left: %v", now)
		}
	})
}

func TestMailboxThatRefusesIsAnIncident(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		refused := purchaseOf(accepted)
		refused.Email = "refuse.ada@example.com"
		stuck := func(t *testing.T) order {
			t.Helper()
			o := l.until(t, l.place(t, refused).ID, "an incident", func(o order) bool { return len(o.Incidents) == 1 && o.step("commande.confirm").State == "done" })
			if i := o.Incidents[0]; i.Step != "transaction.send" || i.Reason != "TransactionFail.MailboxRefused" || i.Detail == "" || i.Since.IsZero() {
				t.Errorf("%+v", i)
			}
			if o.State != "TransactionGenerate" || o.Receipt == nil || o.step("transaction.send").State != "incident" {
				t.Errorf("%+v", o)
			}
			return o
		}
		t.Run("the address is mended", func(t *testing.T) {
			o := stuck(t)
			if a := l.act(t, o.ID, "transaction.send", "replace", "email", "grace@example.com"); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			o = l.untilEnded(t, o.ID)
			if o.State != "CommandeConfirm" || o.step("transaction.send").State != "done" || len(o.Incidents) != 0 {
				t.Errorf("%+v", o)
			}
			if a := l.do(t, http.MethodGet, "/mailbox/?to=grace@example.com", nil); !bytes.Contains(a.body, []byte(o.Receipt.Number)) {
				t.Errorf("the receipt is not in the mended mailbox")
			}
		})
		for _, verb := range []string{"skip", "done"} {
			t.Run(verb+" with a reason", func(t *testing.T) {
				o := stuck(t)
				if a := l.act(t, o.ID, "transaction.send", verb, "reason", "handed over at the counter", "by", "Grace"); a.status != http.StatusOK {
					t.Fatalf("%d %s", a.status, a.body)
				}
				if o := l.untilEnded(t, o.ID); o.State != "CommandeConfirm" || !cmp.Equal(o.Events, happy) {
					t.Errorf("%+v", o)
				}
			})
		}
		t.Run("what does not fit", func(t *testing.T) {
			o := stuck(t)
			for _, c := range []struct {
				step, verb string
				more       []string
				status     int
				fields     string
			}{
				{"transaction.send", "skip", nil, 422, "reason"},
				{"transaction.send", "replace", []string{"email", "nobody"}, 422, "email"},
				{"commande.confirm", "replace", []string{"email", "a@example.com"}, 422, "step"},
				{"transaction.send", "explode", nil, 422, "verb"},
				{"commande.create", "retry", nil, 409, ""},
				{"nothing", "retry", nil, 409, ""},
			} {
				p := l.act(t, o.ID, c.step, c.verb, c.more...).problem(t)
				var fields []string
				for _, e := range p.Errors {
					fields = append(fields, e.Field)
				}
				if p.Status != c.status || strings.Join(fields, " ") != c.fields {
					t.Errorf("%s %s: %+v", c.step, c.verb, p)
				}
			}
			if a := l.act(t, "unknown", "transaction.send", "retry"); a.status != http.StatusNotFound {
				t.Errorf("unknown order: %d", a.status)
			}
			l.act(t, o.ID, "transaction.send", "skip", "reason", "enough")
			l.untilEnded(t, o.ID)
			if a := l.act(t, o.ID, "transaction.send", "retry"); a.status != http.StatusConflict {
				t.Errorf("after the end: %d", a.status)
			}
		})
	})
}

func TestOnlyThisMachineIsServed(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:8080", "[::]:0", "8080"} {
		if s, err := system.Start(t.Context(), system.Config{Listen: address, Data: t.TempDir()}); err == nil {
			_ = s.Stop(t.Context())
			t.Errorf("it listens on %s", address)
		} else if !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: no mend in %v", address, err)
		}
	}
	l := begin(t)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/api/produits", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Host = "evil.example"
	res, err := l.client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("asked under another name: %d", res.StatusCode)
	}
	busy := strings.TrimPrefix(l.url, "http://")
	if _, err := system.Start(t.Context(), system.Config{Listen: busy, Data: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a busy port: %v", err)
	}
	if s, err := system.Start(t.Context(), system.Config{Listen: "127.0.0.1:0", Data: l.config.Data}); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("data in use: %v, %v", s, err)
	}
}

// raw calls a service's operation as a coordinator does.
func (w *world) raw(t *testing.T, service, saga, step, phase, operation string, body string) answer {
	t.Helper()
	a, err := w.request(t.Context(), http.MethodPost, w.service(t, service)+"/operations/"+operation, []byte(body),
		"Idempotency-Key", saga+"/"+step+"/"+phase, "Skald-Saga", saga, "Skald-Step", step)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestF02CommandThatArrivesTwiceAtOnceTakesEffectOnce(t *testing.T) {
	t.Parallel()
	l := begin(t)
	const saga, step = "twice", "inventaire.reserve"
	body := `{"order":"twice","items":[{"sku":"CAF-002","quantity":5}]}`
	answers := make([]answer, 6)
	var calls sync.WaitGroup
	for i := range answers {
		calls.Go(func() { answers[i] = l.raw(t, "inventaire", saga, step, "action", step, body) })
	}
	calls.Wait()
	for _, a := range answers {
		if a.status != http.StatusOK || string(a.body) != string(answers[0].body) {
			t.Errorf("%d %s and %s", a.status, a.body, answers[0].body)
		}
	}
	if now := l.stockNow(t)["CAF-002"]; now != l.world.stock["CAF-002"]-5 {
		t.Errorf("%d left", now)
	}
	undo := fmt.Sprintf(`{"input":%s,"result":%s}`, body, answers[0].body)
	for range 2 {
		if a := l.raw(t, "inventaire", saga, step, "compensation", "inventaire.release", undo); a.status != http.StatusOK {
			t.Errorf("release: %d %s", a.status, a.body)
		}
	}
	if now := l.stockNow(t)["CAF-002"]; now != l.world.stock["CAF-002"] {
		t.Errorf("%d left after the release", now)
	}
}

func TestF04F05CompensationOvertakesItsAction(t *testing.T) {
	t.Parallel()
	l := begin(t)
	const saga, step = "overtaken", "inventaire.reserve"
	body := `{"order":"overtaken","items":[{"sku":"CAF-002","quantity":5}]}`
	if a := l.raw(t, "inventaire", saga, step, "compensation", "inventaire.release", `{"input":`+body+`,"result":null}`); a.status != http.StatusOK {
		t.Errorf("F04 compensation without its action: %d %s", a.status, a.body)
	}
	if a := l.raw(t, "inventaire", saga, step, "action", step, body); a.status != http.StatusConflict || !bytes.Contains(a.body, []byte("skald.compensated")) {
		t.Errorf("F05 action after its compensation: %d %s", a.status, a.body)
	}
	if now := l.stockNow(t)["CAF-002"]; now != l.world.stock["CAF-002"] {
		t.Errorf("%d left", now)
	}
}

// TestF05LateCopyOfACommandIsRefused sends the payment of a saga that was undone once more, as a network may that kept a copy.
func TestF05LateCopyOfACommandIsRefused(t *testing.T) {
	t.Parallel()
	l := begin(t)
	l.set(t, "transaction.issue", setting{Mode: "refuse", Count: 1})
	o := l.buy(t, purchaseOf(accepted))
	if o.State != "CommandeCancel" {
		t.Errorf("%+v", o)
	}
	late := fmt.Sprintf(`{"order":%q,"amount_cents":2580,"currency":"EUR","card_token":"a copy"}`, o.ID)
	if a := l.raw(t, "paiement", o.ID, "paiement.charge", "action", "paiement.charge", late); a.status != http.StatusConflict || !bytes.Contains(a.body, []byte("skald.compensated")) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
