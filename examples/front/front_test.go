package front_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/front"
)

const patience = 30 * time.Second

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

// tab opens a page in a real Chromium, or skips the test loudly if there is none.
func tab(t *testing.T, url string, width, height int64, dark bool) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: there is no chromium in PATH, so the front page is not tested in a browser; install it (Debian: apt-get install chromium), or run make test, which does")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(int(width), int(height)))
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		patient, done := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(patient) // waits until the browser has ended; the profile's folder goes after that
		done()
		cancel()
		cancelAllocator()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	mobile := func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.Mobile = width < 500
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	do(ctx, t, chromedp.EmulateViewport(width, height, mobile))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		t.Fatal(err)
	}
	do(ctx, t, chromedp.Navigate(url))
	return ctx
}

func do(ctx context.Context, t *testing.T, action chromedp.Action[chromedp.Void]) {
	t.Helper()
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(bounded, action); err != nil {
		t.Fatal(err)
	}
}

// shoot keeps a picture of the page, in the folder that SCREENSHOTS names.
func shoot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBrowserChoosesTheMode(t *testing.T) {
	t.Parallel()
	b := begin(t, t.TempDir(), skald.Orchestrated)
	for _, look := range []struct {
		width int64
		dark  bool
	}{{1280, false}, {400, true}} {
		ctx := tab(t, b.URL()+"/", look.width, 900, look.dark)
		for _, mode := range []string{"choreographed", "orchestrated"} {
			choice := chromedp.CSS(`[data-testid="mode-` + mode + `"]`)
			do(ctx, t, chromedp.WaitEnabled(choice))
			do(ctx, t, chromedp.Click(choice, chromedp.NodeVisible))
			do(ctx, t, chromedp.WaitVisible(chromedp.CSS(`[data-shows="`+mode+`"][data-current]`)))
			if got := b.Orders.Mode(); got != skald.Mode(mode) {
				t.Errorf("chosen was %s, and new orders are %s", mode, got)
			}
			shoot(ctx, t, fmt.Sprintf("front-%s-%d-%t", mode, look.width, look.dark))
		}
		bounded, cancel := context.WithTimeout(ctx, patience)
		wide, err := chromedp.Run(bounded, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`))
		cancel()
		if err != nil || wide {
			t.Errorf("at %d pixels the page scrolls sideways: %t, %v", look.width, wide, err)
		}
	}
}
