package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/commande/mailbox"
	"github.com/skaldhq/skald/examples/killtest"
)

// How the processes are killed: go test ./commande/e2e -run RealProcesses -kills 500 -seed 7.
var (
	kills = flag.Int("kills", 84, "how often a process is killed: twelve times each; with those of the drone system it is more than a hundred times")
	seed  = flag.Uint64("seed", 0, "repeats which process is killed when; 0: another each time")
)

// processes are the order system with each part in a process of its own, the broker too; only the world outside, the card company and the mail server, is in this one.
type processes struct {
	*killtest.Fleet
	url string
}

func startProcesses(t *testing.T) processes {
	t.Helper()
	const broker, shop = "../../cmd/broker", "../cmd/orchestrator"
	services := []string{"commande", "produit", "inventaire", "paiement", "transaction"}
	packages := []string{broker, shop}
	for _, s := range services {
		packages = append(packages, "../cmd/"+s)
	}
	built, data := killtest.Build(t, packages...), t.TempDir()
	mails, cards := outside(t, data)
	at := map[string]string{"broker": killtest.Address(t), "shop": killtest.Address(t)}
	bus := "BROKER=nats://" + at["broker"]
	programs := []killtest.Program{{Name: "broker", Path: built[broker], Args: []string{"-listen", at["broker"], "-data", filepath.Join(data, "broker")}, Ready: "listens on"}}
	urls := []string{"LISTEN=" + at["shop"], "DATA=" + data, bus, "MODE=choreographed"}
	for _, s := range services {
		at[s] = killtest.Address(t)
		programs = append(programs, killtest.Program{Name: s, Path: built["../cmd/"+s], Ready: "listens on", Env: []string{
			"LISTEN=" + at[s], "DATA=" + data, bus, "EVENTS=http://" + at["shop"] + "/api/published", "GATEWAY=" + cards, "SMTP=" + mails,
		}})
		urls = append(urls, map[string]string{"commande": "COMMANDE", "produit": "PRODUIT", "inventaire": "INVENTAIRE", "paiement": "PAIEMENT", "transaction": "TRANSACTION"}[s]+"=http://"+at[s])
	}
	programs = append(programs, killtest.Program{Name: "orchestrator", Path: built[shop], Env: urls, Ready: "listens on"})
	p := processes{killtest.Start(t, programs...), "http://" + at["shop"]}
	p.WaitReady(t)
	return p
}

// outside starts what stands for the world outside.
func outside(t *testing.T, data string) (smtp, cards string) {
	t.Helper()
	letters, err := mailbox.Open(filepath.Join(data, "mailbox.db"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = letters.Serve(l) }) // until it is closed
	server := httptest.NewServer(gateway.New(gateway.Config{}))
	t.Cleanup(func() {
		server.Close()
		_ = letters.Close()
		serving.Wait()
	})
	return l.Addr().String(), server.URL
}

// TestRealProcessesAreKilledAtRandom kills the broker, the services and OrchestratorService again and again while customers order, choreographed: every order that was acknowledged has an outcome, and no
// effect is lost, doubled or left over.
func TestRealProcessesAreKilledAtRandom(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	w := newWorld(t, p.url)
	h := killtest.Havoc{Seed: *seed, Kills: *kills, Pause: 350 * time.Millisecond, Down: 150 * time.Millisecond}
	if h.Seed == 0 {
		h.Seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -seed %d -kills %d", h.Seed, h.Kills)
	shopping, closeShop := context.WithCancel(t.Context())
	defer closeShop()
	customers := w.shopping(t.Context(), shopping, h.Seed)
	began := time.Now()
	killed := p.Rage(t.Context(), h)
	closeShop()
	acknowledged := customers()
	if err := p.Wrought(h, killed); err != nil {
		t.Error(err)
	}
	t.Attr("tried", fmt.Sprintf("%d orders acknowledged during %d kills in %s (-seed %d): %v", len(acknowledged), h.Kills, time.Since(began).Round(time.Second), h.Seed, killed))
	p.WaitReady(t)
	ready := time.Now()
	w.settlePatiently(t)
	t.Logf("every order had its outcome %s after the last program was ready", time.Since(ready).Round(100*time.Millisecond))
	for _, id := range acknowledged {
		if a := w.do(t, http.MethodGet, "/api/commandes/"+id, nil); a.status != http.StatusOK {
			t.Errorf("acknowledged order %s is lost: %d %s", id, a.status, a.body)
		}
	}
	if len(acknowledged) < h.Kills/2 {
		t.Errorf("only %d orders were acknowledged: that is no load", len(acknowledged))
	}
	w.audit(t)
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

// shopping lets customers order until the shop closes. Each asks again with the same key until its order is acknowledged, also then: so nothing that they asked for is still on its way to become an order
// when all have left. The returned function waits for that and returns the ids of the orders.
func (w *world) shopping(ctx, open context.Context, seed uint64) func() []string {
	const customers = 4
	ids := make([][]string, customers)
	ctx, giveUp := context.WithCancel(ctx)
	var work sync.WaitGroup
	for i := range customers {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		work.Go(func() {
			for n := 0; open.Err() == nil; n++ {
				if id := w.insist(ctx, mixed(r), fmt.Sprintf("%d-%d-%d", seed, i, n)); id != "" {
					ids[i] = append(ids[i], id)
				}
				killtest.Pause(open, time.Duration(r.IntN(400))*time.Millisecond)
			}
		})
	}
	return func() (all []string) {
		defer time.AfterFunc(patience, giveUp).Stop()
		work.Wait()
		giveUp()
		for _, list := range ids {
			all = append(all, list...)
		}
		return all
	}
}

// insist places an order until it is acknowledged, and returns its id; nothing if the test ends before.
func (w *world) insist(ctx context.Context, p purchase, key string) string {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		o, status := w.try(asking, p, key)
		cancel()
		if status == http.StatusOK || status == http.StatusAccepted {
			return o.ID
		}
		killtest.Pause(ctx, 100*time.Millisecond)
	}
	return ""
}

// try places an order once. Status 0 is no answer.
func (w *world) try(ctx context.Context, p purchase, key string) (order, int) {
	body, err := json.Marshal(p)
	if err != nil {
		return order{}, 0
	}
	a, err := w.request(ctx, http.MethodPost, "/api/commandes", body, "Idempotency-Key", key)
	var o order
	if err != nil || json.Unmarshal(a.body, &o) != nil {
		return order{}, 0
	}
	return o, a.status
}

// settlePatiently waits until every order has its outcome: what killed processes had in hand goes on when its locks have run out.
func (w *world) settlePatiently(t *testing.T) {
	t.Helper()
	var open []listed
	for deadline := time.Now().Add(2 * time.Minute); ; {
		open = slices.DeleteFunc(w.orders(t), func(o listed) bool { return o.Outcome == "completed" || o.Outcome == "compensated" })
		if len(open) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, o := range open[:min(len(open), 5)] {
				t.Logf("%+v", w.order(t, o.ID))
			}
			t.Fatalf("%d orders have no outcome", len(open))
		}
		killtest.Pause(t.Context(), 200*time.Millisecond)
	}
}
