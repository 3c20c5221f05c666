package front_test

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

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/front"
)

const patience = 2 * time.Minute

// begin starts both systems with fresh data, and stops them when the test ends.
func begin(t *testing.T, data string, mode skald.Mode) *front.Both {
	t.Helper()
	b, err := front.Start(t.Context(), front.All{Listen: "127.0.0.1:0", Data: data, Mode: mode, Factor: 2000, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, b) })
	return b
}

func stop(t *testing.T, b *front.Both) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func ask(t *testing.T, method, url, body string, headers ...string) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, answer
}

func buy(t *testing.T, b *front.Both) (mode, outcome string) {
	t.Helper()
	status, body := ask(t, "POST", b.Orders.URL()+"/api/commandes", `{"client":"Ada","email":"ada@example.com","card":"4242424242424242","items":[{"sku":"CAF-001","quantity":1}]}`, "Prefer", "wait=25")
	var o struct{ Mode, Outcome string }
	if err := json.Unmarshal(body, &o); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	return o.Mode, o.Outcome
}

// The mode is that of the shop, whoever sets it, and the page leads to everything there is.
func TestFrontPageLeadsEverywhereAndSwitchesTheMode(t *testing.T) {
	t.Parallel()
	b := begin(t, t.TempDir(), skald.Orchestrated)
	if mode, outcome := buy(t, b); mode != "orchestrated" || outcome != "completed" {
		t.Errorf("the first order is %s, %s", mode, outcome)
	}
	if status, body := ask(t, "PUT", b.URL()+"/api/mode", `{"mode":"choreographed"}`); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	if mode, outcome := buy(t, b); mode != "choreographed" || outcome != "completed" {
		t.Errorf("the second order is %s, %s", mode, outcome)
	}
	for _, at := range []string{b.URL(), b.Orders.URL()} {
		if _, body := ask(t, "GET", at+"/api/mode", ""); !bytes.Contains(body, []byte(`"mode":"choreographed"`)) {
			t.Errorf("%s says %s", at, body)
		}
	}
	if status, body := ask(t, "PUT", b.URL()+"/api/mode", `{"mode":"improvised"}`); status != http.StatusUnprocessableEntity || !bytes.Contains(body, []byte("orchestrated, choreographed")) {
		t.Errorf("a mode that does not exist: %d %s", status, body)
	}
	if status, _ := ask(t, "PUT", b.URL()+"/api/mode", `{"mode":"orchestrated"}`, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("another site's page may choose: %d", status)
	}
	status, page := ask(t, "GET", b.URL()+"/", "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, page)
	}
	for _, part := range strings.Split(string(page), `href="`)[1:] {
		link, _, _ := strings.Cut(part, `"`)
		if strings.HasPrefix(link, "/") {
			link = b.URL() + link
		}
		if strings.HasPrefix(link, "#") {
			continue
		}
		if status, body := ask(t, "GET", link, ""); status != http.StatusOK {
			t.Errorf("%s: %d %.200s", link, status, body)
		}
	}
}

// What was acknowledged before a stop is there after the next start, in both modes.
func TestBothSystemsGoOnWithTheirData(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	b := begin(t, data, skald.Choreographed)
	buy(t, b)
	stop(t, b)
	b = begin(t, data, skald.Orchestrated)
	buy(t, b)
	_, body := ask(t, "GET", b.Orders.URL()+"/api/commandes", "")
	for _, mode := range []string{"orchestrated", "choreographed"} {
		if n := bytes.Count(body, []byte(`"mode":"`+mode+`"`)); n != 1 {
			t.Errorf("%d orders are %s: %s", n, mode, body)
		}
	}
}

func TestPageNeedsAShop(t *testing.T) {
	if _, err := front.New(front.Config{}); err == nil {
		t.Error("a page that leads nowhere is made")
	}
}

func TestBrowserChoosesTheMode(t *testing.T) {
	t.Parallel()
	b := begin(t, t.TempDir(), skald.Orchestrated)
	for width, light := range map[int64]string{1280: "light", 400: "dark"} {
		page := chromium.Open(t, width, 900, browsertest.Prefers("color-scheme", light))
		page.Visit(b.URL() + "/")
		for _, mode := range []string{"choreographed", "orchestrated"} {
			page.Click("mode-" + mode)
			page.Sees(chromedp.CSS(`[data-shows="` + mode + `"][data-current]`))
			if got := b.Orders.Mode(); got != skald.Mode(mode) {
				t.Errorf("chosen was %s, and new orders are %s", mode, got)
			}
			page.Shoot(fmt.Sprintf("%s-%d-%s", mode, width, light))
		}
		if page.ScrollsSideways() {
			t.Errorf("at %d pixels the page scrolls sideways", width)
		}
	}
}
