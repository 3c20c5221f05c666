package e2e_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/commande/system"
)

// TestF08ServiceIsStoppedAndStartedAgain really stops a service in the middle of an order, and starts it again on the same port.
func TestF08ServiceIsStoppedAndStartedAgain(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		for service, c := range map[string]struct{ slow, retried string }{
			"commande":    {"transaction.issue", "commande.confirm"},
			"produit":     {"commande.create", "produit.check"},
			"inventaire":  {"produit.check", "inventaire.reserve"},
			"paiement":    {"inventaire.reserve", "paiement.charge"},
			"transaction": {"paiement.charge", "transaction.issue"},
		} {
			t.Run(service, func(t *testing.T) {
				t.Parallel()
				l := begin(t, in)
				l.set(t, c.slow, setting{Mode: "slow", Count: 1, DelayMS: 300})
				placed := l.place(t, purchaseOf(accepted))
				l.until(t, placed.ID, c.slow+" under way", func(o order) bool { return o.step(c.slow).State == "running" })
				l.halt(t, service)
				l.untilMissed(t, placed.ID, c.retried)
				l.resume(t, service)
				if o := l.untilEnded(t, placed.ID); !cmp.Equal(o.Events, happy) {
					t.Errorf("%+v", o)
				}
			})
		}
	})
}

// TestF09ServiceIsStoppedWhileItShouldCompensate stops the service that has to release the articles.
func TestF09ServiceIsStoppedWhileItShouldCompensate(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "paiement.charge", setting{Mode: "slow", Count: 1, DelayMS: 300})
		placed := l.place(t, purchaseOf(declined))
		l.until(t, placed.ID, "the payment under way", func(o order) bool { return o.step("paiement.charge").State == "running" })
		l.halt(t, "inventaire")
		l.until(t, placed.ID, "several attempts to release", func(o order) bool {
			s := o.step("inventaire.reserve")
			return s.State == "undoing" && (s.Attempt >= 2 || l.choreography()) // nobody asks it while it is away
		})
		l.resume(t, "inventaire")
		o := l.untilEnded(t, placed.ID)
		if want := []string{"CommandeCreate", "ProduitExist", "InventaireReserve", "PaiementCancel", "CommandeCancel"}; !cmp.Equal(o.Events, want) {
			t.Errorf("%+v", o)
		}
	})
}

// untilMissed waits until an order needs a service that is away: it is asked in vain or, where nobody asks, the step is next and stays so.
func (l *live) untilMissed(t *testing.T, id, step string) {
	t.Helper()
	if l.choreography() {
		if o := l.until(t, id, step+" next", func(o order) bool { return o.step(step).State == "running" }); o.ended() {
			t.Errorf("it ended without %s: %+v", step, o)
		}
		return
	}
	o := l.until(t, id, step+" retried", func(o order) bool { return o.step(step).State == "retrying" })
	if o.step(step).Detail == "" {
		t.Errorf("nothing says why it is retried: %+v", o.step(step))
	}
}

func (l *live) halt(t *testing.T, service string) {
	t.Helper()
	hard, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.StopService(hard, service) // it says that calls were cut off
}

// restart starts the system that was stopped anew, on the same data.
func (l *live) restart(t *testing.T) {
	t.Helper()
	s, err := system.Start(t.Context(), l.config)
	if err != nil {
		t.Fatal(err)
	}
	stock := l.world.stock
	l.System, l.world = s, newWorld(t, s.URL())
	l.world.stock = stock
}

func (l *live) resume(t *testing.T, service string) {
	t.Helper()
	if err := l.StartService(t.Context(), service); err != nil {
		t.Fatal(err)
	}
}

// TestPagesWithoutAService stops a service and looks at what the shop still says.
func TestPagesWithoutAService(t *testing.T) {
	t.Parallel()
	l := begin(t)
	l.halt(t, "paiement")
	a := l.do(t, "POST", "/api/commandes", encode(t, purchaseOf(accepted)))
	if p := a.problem(t); p.Status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("an order without PaiementService: %+v", p)
	}
	if a := l.do(t, "GET", "/api/switches", nil); a.status != 200 || a.header.Get("Skald-Unreachable") != "paiement" || len(decode[[]setting](t, a.body)) != 8 {
		t.Errorf("switches: %d, %q, %s", a.status, a.header.Get("Skald-Unreachable"), a.body)
	}
	if p := l.do(t, "PUT", "/api/switches/paiement.charge", encode(t, setting{Mode: "off"})).problem(t); p.Status != 503 {
		t.Errorf("its switch: %+v", p)
	}
	if p := l.do(t, "DELETE", "/api/switches", nil).problem(t); p.Status != 503 {
		t.Errorf("all switches: %+v", p)
	}
	if p := l.do(t, "PUT", "/api/switches/produit.check", encode(t, setting{Mode: "odd"})).problem(t); p.Status != 422 || len(p.Errors) != 1 {
		t.Errorf("a mode that there is not: %+v", p)
	}
	if p := l.do(t, "PUT", "/api/switches/nobody.knows", encode(t, setting{Mode: "off"})).problem(t); p.Status != 404 {
		t.Errorf("a switch that there is not: %+v", p)
	}
	l.halt(t, "inventaire")
	if p := l.do(t, "GET", "/api/produits", nil).problem(t); p.Status != 503 {
		t.Errorf("products without stock: %+v", p)
	}
	l.resume(t, "paiement")
	l.resume(t, "inventaire")
	l.buy(t, purchaseOf(accepted))
}

// mixed is an order of some kind, most of them good.
func mixed(r *rand.Rand) purchase {
	cards := []string{accepted, accepted, accepted, declined, insufficient}
	p := purchaseOf(cards[r.IntN(len(cards))], item{[]string{"CAF-001", "CAF-002", "CAR-001", "STY-001"}[r.IntN(4)], 1 + r.IntN(2)})
	if r.IntN(10) == 0 {
		p.Items = append(p.Items, item{"NOT-SOLD", 1})
	}
	return p
}

// TestF01SystemStoppedHardGoesOn stops the whole system in the middle of many orders, without any patience, and starts it on the same data: orders
// that were taken go on and end, and each effect is there once.
func TestF01SystemStoppedHardGoesOn(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		r := rand.New(rand.NewPCG(1, 2))
		for _, operation := range []string{"inventaire.reserve", "paiement.charge", "transaction.issue", "transaction.send", "inventaire.release"} {
			l.set(t, operation, setting{Mode: "slow", Count: 6, DelayMS: 250})
		}
		var ids []string
		for range 24 {
			ids = append(ids, l.place(t, mixed(r)).ID)
		}
		l.until(t, ids[0], "the middle", func(o order) bool { return o.step("inventaire.reserve").State != "waiting" })
		running := 0
		for _, o := range l.orders(t) {
			if o.Outcome == "running" || o.Outcome == "compensating" {
				running++
			}
		}
		hard, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Stop(hard); err != nil {
			t.Fatal(err)
		}
		if running == 0 { // a moment before
			t.Error("no order was interrupted")
		}
		l.restart(t)
		for _, id := range ids {
			l.checkAnnounced(t, l.untilEnded(t, id))
		}
	})
}

// TestSoftStopTellsWaitingCustomersThatTheirOrderIsTaken stops while customers wait: it is durable, and goes on after the next start.
func TestSoftStopTellsWaitingCustomersThatTheirOrderIsTaken(t *testing.T) {
	inBothModes(t, func(t *testing.T, in mode) {
		l := begin(t, in)
		l.set(t, "produit.check", setting{Mode: "slow", DelayMS: 400})
		var waiting sync.WaitGroup
		ids := make([]string, 4)
		for i := range ids {
			waiting.Go(func() {
				a, err := l.request(t.Context(), "POST", "/api/commandes", encode(t, purchaseOf(accepted)), "Prefer", "wait=20")
				if err != nil || a.status != 202 {
					t.Errorf("%v %d %s", err, a.status, a.body)
					return
				}
				ids[i] = decode[order](t, a.body).ID
			})
		}
		eventually(t, "all customers wait", func() bool { return len(l.orders(t)) == len(ids) })
		if err := l.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
		l.restart(t)
		for _, id := range ids {
			if o := l.untilEnded(t, id); !cmp.Equal(o.Events, happy) {
				t.Errorf("%+v", o)
			}
		}
	})
}
