//go:build unix

package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/killtest"
)

// shop is the shop as its customers see it: at the address that it has now, if any.
type shop struct {
	at     atomic.Pointer[string]
	client *http.Client
	// busy counts orders that were refused for now, and said so with Retry-After.
	busy atomic.Int64
}

func newShop(t *testing.T) *shop {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	return &shop{client: &http.Client{Transport: transport}}
}

// opens takes the customers to a process that is ready.
func (s *shop) opens(p *process) { s.at.Store(&p.url) }

// closes sends them away.
func (s *shop) closes() { s.at.Store(nil) }

// item is a position of a basket.
type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// purchase is what a customer orders.
type purchase struct {
	Client string `json:"client"`
	Email  string `json:"email"`
	Card   string `json:"card"`
	Items  []item `json:"items"`
}

// The test cards.
const (
	accepted     = "4242424242424242"
	declined     = "4000000000000002"
	insufficient = "4000000000009995"
)

func purchaseOf(card string, items ...item) purchase {
	if len(items) == 0 {
		items = []item{{"CAF-001", 2}}
	}
	return purchase{Client: "Ada Lovelace", Email: "ada@example.com", Card: card, Items: items}
}

// mixed is a purchase that goes well or has to be undone at one step or another.
func mixed(r *rand.Rand) purchase {
	p := purchaseOf([]string{accepted, accepted, accepted, declined, insufficient}[r.IntN(5)], item{[]string{"CAF-001", "CAF-002", "CAR-001"}[r.IntN(3)], 1 + r.IntN(3)})
	switch r.IntN(12) {
	case 0:
		p.Items = append(p.Items, item{"NOT-SOLD", 1})
	case 1:
		p.Items = append(p.Items, item{"STY-001", 1})
	}
	return p
}

// answer is an HTTP answer that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask makes a request at a full URL. Headers are pairs.
func (s *shop) ask(ctx context.Context, method, url string, body []byte, headers ...string) (answer, error) {
	q, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if len(body) > 0 {
		q.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, read}, err
}

// order asks for an order once and returns its id if it was acknowledged. Without an answer, and when the shop says that it is busy, the id is empty; any other answer is an error.
func (s *shop) order(ctx context.Context, p purchase, key string, headers ...string) (id string, err error) {
	at := s.at.Load()
	if at == nil {
		return "", nil
	}
	body, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	a, failed := s.ask(ctx, http.MethodPost, *at+"/api/commandes", body, append(headers, "Idempotency-Key", key)...)
	var o struct {
		ID string `json:"id"`
	}
	switch {
	case failed != nil:
		return "", nil //nolint:nilerr // no answer: the customer asks again
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
		s.busy.Add(1)
		return "", nil
	case a.status != http.StatusOK && a.status != http.StatusAccepted:
		return "", fmt.Errorf("an order was answered with %d %s", a.status, a.body)
	}
	return o.ID, json.Unmarshal(a.body, &o)
}

// placed are acknowledged orders: what was ordered under which key, and the id that came back.
type placed map[string]ordered

type ordered struct {
	purchase
	id string
}

// customers come to a shop until leave is called.
type customers struct {
	shop  *shop
	taken atomic.Int64 // orders acknowledged so far
	leave func() placed
}

// customersOf lets customers order. Each asks again with the same key until its order is acknowledged, also when it is told to leave, unless the shop is closed: when all have left, nothing that they asked for is
// still on its way to become an order. An answer that is neither that nor a plea for patience fails the test.
func customersOf(t *testing.T, s *shop, seed uint64, many int) *customers {
	t.Helper()
	leaving, leave := context.WithCancel(t.Context())
	ctx, giveUp := context.WithCancel(t.Context())
	c := &customers{shop: s}
	all, errs := make([]placed, many), make([]error, many)
	var work sync.WaitGroup
	for i := range many {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		work.Go(func() { all[i], errs[i] = c.shopping(ctx, leaving, r, fmt.Sprintf("%d-%d", seed, i)) })
	}
	c.leave = sync.OnceValue(func() placed {
		leave()
		defer time.AfterFunc(patience, giveUp).Stop()
		work.Wait()
		giveUp()
		together := make(placed)
		for i := range many {
			maps.Copy(together, all[i])
			if errs[i] != nil {
				t.Error(errs[i])
			}
		}
		return together
	})
	t.Cleanup(func() { c.leave() })
	return c
}

// shopping is what one customer does until it is to leave.
func (c *customers) shopping(ctx, leaving context.Context, r *rand.Rand, name string) (placed, error) {
	mine := make(placed)
	for n := 0; leaving.Err() == nil; n++ {
		p, key := mixed(r), fmt.Sprintf("%s-%d", name, n)
		id, err := c.insist(ctx, leaving, p, key, []string{"wait=5", "respond-async"}[r.IntN(2)])
		if err != nil {
			return mine, err
		}
		if id != "" {
			mine[key] = ordered{p, id}
			c.taken.Add(1)
		}
		killtest.Pause(leaving, time.Duration(r.IntN(25))*time.Millisecond)
	}
	return mine, nil
}

// insist asks until the order is acknowledged; the id is empty if the customer is to leave and the shop is closed.
func (c *customers) insist(ctx, leaving context.Context, p purchase, key, prefer string) (id string, err error) {
	for ctx.Err() == nil && (leaving.Err() == nil || c.shop.at.Load() != nil) {
		asking, cancel := context.WithTimeout(ctx, 3*time.Second) // shorter than the shop may be away
		id, err := c.shop.order(asking, p, key, "Prefer", prefer)
		cancel()
		if id != "" || err != nil {
			return id, err
		}
		killtest.Pause(ctx, 10*time.Millisecond)
	}
	return "", nil
}

// eventually polls until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		killtest.Pause(t.Context(), 15*time.Millisecond)
	}
}
