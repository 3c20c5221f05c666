package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/commande/system"
)

// patience bounds what a test waits for. Nothing takes nearly as long on an idle machine.
const patience = 2 * time.Minute

// world is a running order system as a client sees it: nothing but its address.
type world struct {
	url    string
	client *http.Client
	stock  map[string]int // when it was new
}

// live is a world in this process.
type live struct {
	*world
	*system.System
	config system.Config
}

// begin starts a system with fresh data. When the test ends, every order is brought to its end and all books are checked.
func begin(t *testing.T, change ...func(c *system.Config)) *live {
	t.Helper()
	c := system.Config{
		Listen: "127.0.0.1:0", Data: t.TempDir(), GatewayTimeout: 300 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if testing.Short() { // under the race detector nothing is quick
		c.GatewayTimeout = 5 * time.Second
	}
	for _, f := range change {
		f(&c)
	}
	s, err := system.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l := &live{world: newWorld(t, s.URL()), System: s, config: c}
	t.Cleanup(func() {
		if !t.Failed() {
			l.settle(t)
			l.audit(t)
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := l.Stop(ctx); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return l
}

// mode sets the mode of new orders.
type mode func(c *system.Config)

func orchestrated(c *system.Config)  { c.Mode = skald.Orchestrated }
func choreographed(c *system.Config) { c.Mode = skald.Choreographed }

// inBothModes runs a test once for each mode: what it expects does not depend on who drives the saga.
func inBothModes(t *testing.T, test func(t *testing.T, in mode)) {
	t.Parallel()
	for name, in := range map[string]mode{"orchestrated": orchestrated, "choreographed": choreographed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, in)
		})
	}
}

// choreography says whether new orders are choreographed.
func (l *live) choreography() bool { return l.config.Mode == skald.Choreographed }

// testLog shows a program's log as the test's.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	w := &world{url: url, client: &http.Client{Transport: transport, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	w.stock = w.stockNow(t)
	return w
}

// order is what the API says of an order.
type order struct {
	ID         string     `json:"id"`
	Mode       string     `json:"mode"`
	History    string     `json:"history"`
	State      string     `json:"state"`
	Outcome    string     `json:"outcome"`
	Events     []string   `json:"events"`
	Reason     string     `json:"reason"`
	Steps      []step     `json:"steps"`
	Incidents  []incident `json:"incidents"`
	Receipt    *receipt   `json:"receipt"`
	TotalCents int64      `json:"total_cents"`
}

type step struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Attempt int    `json:"attempt"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
	By      string `json:"by"`
}

type incident struct {
	Step   string    `json:"step"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
}

type receipt struct {
	Number string `json:"number"`
	HTML   string `json:"html"`
	PDF    string `json:"pdf"`
}

func (o order) step(name string) step {
	for _, s := range o.Steps {
		if s.Name == name {
			return s
		}
	}
	return step{}
}

func (o order) ended() bool { return o.Outcome == "completed" || o.Outcome == "compensated" }

// states are the states of all steps, in order.
func (o order) states() []string {
	var list []string
	for _, s := range o.Steps {
		list = append(list, s.Name+" "+s.State)
	}
	return list
}

// item is a position of a basket.
type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// purchase is a valid order of one article; tests change what they are about.
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
	timesOut     = "4000000000000119"
	gatewayDown  = "4000000000000341"
)

func purchaseOf(card string, items ...item) purchase {
	if len(items) == 0 {
		items = []item{{"CAF-001", 2}}
	}
	return purchase{Client: "Ada Lovelace", Email: "ada@example.com", Card: card, Items: items}
}

// answer is an HTTP answer that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// problem is an RFC 9457 document.
type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	} `json:"errors"`
}

func (a answer) problem(t *testing.T) problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("%d with %s, want a problem: %s", a.status, got, a.body)
	}
	return decode[problem](t, a.body)
}

func decode[T any](t *testing.T, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

// request makes a request. Headers are pairs.
func (w *world) request(ctx context.Context, method, url string, body []byte, headers ...string) (answer, error) {
	if strings.HasPrefix(url, "/") {
		url = w.url + url
	}
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
	res, err := w.client.Do(q)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, read}, err
}

func (w *world) do(t *testing.T, method, url string, body []byte, headers ...string) answer {
	t.Helper()
	a, err := w.request(t.Context(), method, url, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// get reads a JSON document.
func get[T any](t *testing.T, w *world, url string) T {
	t.Helper()
	a, err := w.request(context.WithoutCancel(t.Context()), http.MethodGet, url, nil) // also when the test is over: audits ask
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", url, a.status, a.body)
	}
	return decode[T](t, a.body)
}

func encode[T any](t *testing.T, v T) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// place places an order and returns it as it was accepted.
func (w *world) place(t *testing.T, p purchase, headers ...string) order {
	t.Helper()
	a := w.do(t, http.MethodPost, "/api/commandes", encode(t, p), headers...)
	if a.status != http.StatusAccepted {
		t.Fatalf("%d %s, want 202", a.status, a.body)
	}
	o := decode[order](t, a.body)
	if got := a.header.Get("Location"); got != "/api/commandes/"+o.ID {
		t.Fatalf("Location %q for order %s", got, o.ID)
	}
	if got := a.header.Get("Link"); !strings.HasPrefix(got, "</shop/orders/"+o.ID+`>; rel="history"`) {
		t.Fatalf("Link %q for order %s", got, o.ID)
	}
	return o
}

// buy places an order and waits for its end in the same request.
func (w *world) buy(t *testing.T, p purchase) order {
	t.Helper()
	a := w.do(t, http.MethodPost, "/api/commandes", encode(t, p), "Prefer", "wait=25")
	if a.status != http.StatusOK {
		t.Fatalf("%d %s, want 200", a.status, a.body)
	}
	return decode[order](t, a.body)
}

func (w *world) order(t *testing.T, id string) order {
	t.Helper()
	return get[order](t, w, "/api/commandes/"+id)
}

// until waits until an order is as wanted.
func (w *world) until(t *testing.T, id, what string, is func(order) bool) order {
	t.Helper()
	var o order
	eventually(t, fmt.Sprintf("order %s: %s", id, what), func() bool {
		o = w.order(t, id)
		return is(o)
	}, func() string { return fmt.Sprintf("%+v", o) })
	return o
}

func (w *world) untilEnded(t *testing.T, id string) order {
	t.Helper()
	return w.until(t, id, "an outcome", order.ended)
}

// eventually polls until something is so.
func eventually(t *testing.T, what string, is func() bool, last ...func() string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			for _, f := range last {
				t.Log(f())
			}
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// Modes of the failure switches.
type setting struct {
	Operation string `json:"operation,omitempty"`
	Mode      string `json:"mode"`
	Count     int    `json:"count"`
	DelayMS   int    `json:"delay_ms"`
}

// set sets a failure switch.
func (w *world) set(t *testing.T, operation string, s setting) {
	t.Helper()
	if a := w.do(t, http.MethodPut, "/api/switches/"+operation, encode(t, s)); a.status != http.StatusNoContent {
		t.Fatalf("switch %s: %d %s", operation, a.status, a.body)
	}
}

// reset turns all switches off.
func (w *world) reset(t *testing.T) {
	t.Helper()
	a, err := w.request(context.WithoutCancel(t.Context()), http.MethodDelete, "/api/switches", nil)
	if err != nil || a.status != http.StatusNoContent {
		t.Fatalf("switches: %v, %d %s", err, a.status, a.body)
	}
}

// used says whether a switch that was set for a number of calls has turned itself off, so that its failures really happened.
func (w *world) used(t *testing.T, operation string) bool {
	t.Helper()
	for _, s := range get[[]setting](t, w, "/api/switches") {
		if s.Operation == operation {
			return s.Mode == "off"
		}
	}
	t.Fatalf("there is no switch %s", operation)
	return false
}

// act does something about an incident.
func (w *world) act(t *testing.T, id, step, verb string, more ...string) answer {
	t.Helper()
	members := map[string]string{"step": step, "verb": verb}
	for i := 0; i < len(more); i += 2 {
		members[more[i]] = more[i+1]
	}
	return w.do(t, http.MethodPost, "/api/commandes/"+id+"/incident", encode(t, members))
}

// service is where a service is reached.
func (w *world) service(t *testing.T, name string) string {
	t.Helper()
	answer := get[struct {
		Services []struct{ Name, Address string } `json:"services"`
	}](t, w, "/api/system")
	for _, s := range answer.Services {
		if s.Name == name {
			return "http://" + s.Address
		}
	}
	t.Fatalf("there is no service %s", name)
	return ""
}
