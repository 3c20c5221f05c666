// Package browsertest drives the examples' pages in a real Chromium. Whatever takes longer than Patience fails the test, and so does every error that the page's own scripts report. Without a chromium in
// PATH a test is skipped and says so. The tests of a program share one browser, each with a profile and a window of its own; its TestMain ends it ([Chromium.Tests]).
package browsertest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Patience bounds what a test waits for: long, because machines are slow, and it only ends what hangs.
const Patience = 2 * time.Minute

// Browser is one tab of a real Chromium. Its methods are called by one goroutine at a time.
type Browser struct {
	t        testing.TB
	ctx      context.Context
	watching sync.WaitGroup
}

// Prefers is a wish of the reader's, such as "color-scheme" and "dark".
func Prefers(feature, value string) *emulation.MediaFeature {
	return &emulation.MediaFeature{Name: "prefers-" + feature, Value: value}
}

// Open opens a window of this size in pixels, with a profile of its own, for a reader with these wishes, or skips the test loudly if there is no Chromium. It ends with the test.
func (c *Chromium) Open(t testing.TB, width, height int64, wishes ...*emulation.MediaFeature) *Browser {
	t.Helper()
	browser, err := c.started(inPath(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	b := &Browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		_ = chromedp.Cancel(ctx) // waits until the window is closed
		b.watching.Wait()
	})
	if err := chromedp.Do(ctx); err != nil { // without a time limit, which would be the window's
		t.Fatalf("opening a window: %v", err)
	}
	b.watchConsole()
	mobile := func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.Mobile = width < 500
	}
	b.Run("size the window", chromedp.EmulateViewport(width, height, mobile))
	// Several windows of a browser cannot all have the focus; each test's page is to behave as if it had.
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	if len(wishes) > 0 {
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: wishes}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// watchConsole makes every error of the page's own scripts an error of the test.
func (b *Browser) watchConsole() {
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

// Run does something in the browser.
func (b *Browser) Run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	Read(b, what, chromedp.Steps(actions...))
}

// Read reads something in the browser.
func Read[T any](b *Browser, what string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.Shoot("failed")
		b.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// ID selects an element by its data-testid.
func ID(name string) chromedp.CSS { return chromedp.CSS(`[data-testid="` + name + `"]`) }

// Visit goes to an address.
func (b *Browser) Visit(url string) {
	b.t.Helper()
	b.Run("visit "+url, chromedp.Navigate(url))
}

// Click clicks on an element, by its data-testid, once it can be clicked on.
func (b *Browser) Click(name string) {
	b.t.Helper()
	b.Run("click "+name, chromedp.WaitEnabled(ID(name)), chromedp.Click(ID(name), chromedp.NodeVisible))
}

// Fill types a text into an empty or emptied field, by its data-testid.
func (b *Browser) Fill(name, text string) {
	b.t.Helper()
	b.Run("fill "+name, chromedp.WaitVisible(ID(name)), chromedp.Clear(ID(name)), chromedp.SendKeys(ID(name), text))
}

// Sees waits until what a CSS selector selects is visible.
func (b *Browser) Sees(selector chromedp.CSS) {
	b.t.Helper()
	b.Run("see "+string(selector), chromedp.WaitVisible(selector))
}

// Shows waits until the text of what a CSS selector selects contains something, and returns it.
func (b *Browser) Shows(selector chromedp.CSS, text string) string {
	b.t.Helper()
	return Read(b, "see "+text+" in "+string(selector), chromedp.PollFunction[string](`(selector, text) => {
		const shown = document.querySelector(selector)?.innerText ?? "";
		return shown.includes(text) ? shown : "";
	}`, chromedp.WithPollingArgs(string(selector), text), chromedp.WithPollingInterval(30*time.Millisecond)))
}

// Says evaluates an expression in the page.
func Says[T any](b *Browser, expression string) T {
	b.t.Helper()
	return Read(b, expression, chromedp.Evaluate[T](expression))
}

// ScrollsSideways says whether the page is wider than the window.
func (b *Browser) ScrollsSideways() bool {
	b.t.Helper()
	return Says[bool](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth`)
}

// Shoot keeps a picture of the page, in the folder that SCREENSHOTS names.
func (b *Browser) Shoot(name string) {
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, Patience)
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
