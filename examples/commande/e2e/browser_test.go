package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser is one tab of a real Chromium.
type browser struct {
	t        *testing.T
	ctx      context.Context
	url      string
	watching sync.WaitGroup
}

// open starts a Chromium with a profile of its own, or skips the test loudly if there is none.
func (l *live) open(t *testing.T, width, height int64) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: there is no chromium in PATH, so the shop's pages are not tested in a browser; install it (Debian: apt-get install chromium), or run make test, which does")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(int(width), int(height)))
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: ctx, url: l.url}
	t.Cleanup(func() {
		patient, done := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(patient) // waits until the browser has ended; the profile's folder goes after that
		done()
		cancel()
		cancelAllocator()
		b.watching.Wait()
	})
	if err := chromedp.Do(ctx); err != nil { // without a time limit, which would be the browser's
		t.Fatalf("starting %s: %v", path, err)
	}
	b.watchConsole()
	mobile := func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.Mobile = width < 500
	}
	b.run("size the window", chromedp.EmulateViewport(width, height, mobile))
	return b
}

// watchConsole makes every error of the page's own scripts an error of the test.
func (b *browser) watchConsole() {
	messages := chromedp.Console(b.ctx)
	b.watching.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleError && !strings.Contains(m.Text, "Failed to load resource") {
				b.t.Errorf("the page complained: %s (%s:%d)", m.Text, m.URL, m.Line)
			}
		}
	})
}

// run does something in the browser, within a bounded time.
func (b *browser) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	read(b, what, chromedp.Steps(actions...))
}

// read reads something in the browser, within a bounded time.
func read[T any](b *browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.shoot("failed")
		b.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// id selects an element by its data-testid.
func id(name string) chromedp.CSS { return chromedp.CSS(`[data-testid="` + name + `"]`) }

func (b *browser) visit(path string) {
	b.t.Helper()
	b.run("visit "+path, chromedp.Navigate(b.url+path))
}

// dark sets the colours that the reader wants.
func (b *browser) dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) click(name string) {
	b.t.Helper()
	b.run("click "+name, chromedp.WaitEnabled(id(name)), chromedp.Click(id(name), chromedp.NodeVisible))
}

func (b *browser) fill(name, text string) {
	b.t.Helper()
	b.run("fill "+name, chromedp.WaitVisible(id(name)), chromedp.Clear(id(name)), chromedp.SendKeys(id(name), text))
}

// sees waits until an element is as the CSS selector says.
func (b *browser) sees(selector chromedp.CSS) {
	b.t.Helper()
	b.run("see "+string(selector), chromedp.WaitVisible(selector))
}

// shows waits until an element's text contains something, and returns it.
func (b *browser) shows(name, text string) string {
	b.t.Helper()
	return read(b, "see "+text+" in "+name, chromedp.PollFunction[string](`(selector, text) => {
		const shown = document.querySelector(selector)?.innerText ?? "";
		return shown.includes(text) ? shown : "";
	}`, chromedp.WithPollingArgs(string(id(name)), text), chromedp.WithPollingInterval(30*time.Millisecond)))
}

// steps waits until the steps have these data-states.
func (b *browser) steps(want ...string) {
	b.t.Helper()
	for _, pair := range want {
		name, state, _ := strings.Cut(pair, " ")
		b.sees(id("step-"+name) + chromedp.CSS(`[data-state="`+state+`"]`))
	}
}

func (b *browser) attribute(name, attribute string) string {
	b.t.Helper()
	return read(b, "read "+attribute+" of "+name, chromedp.AttributeValue(id(name), attribute)).Value
}

// shoot keeps a picture of the page, in the folder that SCREENSHOTS names.
func (b *browser) shoot(name string) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("no picture %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(folder, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+".png"), picture, 0o600); err != nil {
		b.t.Log(err)
	}
}

// scrollsSideways says whether the page is wider than the window.
func (b *browser) scrollsSideways() bool {
	b.t.Helper()
	return read(b, "measure", chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`))
}

// path is where the browser is.
func (b *browser) path() string {
	b.t.Helper()
	return read(b, "look at the address", chromedp.Evaluate[string](`location.pathname`))
}

// order fills the basket and the form, presses the button, and returns the order's id when its page is shown.
func (b *browser) order(card, email string, skus ...string) string {
	b.t.Helper()
	b.visit("/shop/")
	for _, sku := range skus {
		b.click("product-" + sku + "-add")
	}
	b.fill("field-client", "Ada Lovelace")
	b.fill("field-email", email)
	b.click("testcard-" + card)
	b.click("order-submit")
	b.sees(id("saga-state"))
	return strings.TrimPrefix(b.path(), "/shop/orders/")
}
