package page_test

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

// patience bounds what a test waits for: long, because machines are slow.
const patience = 20 * time.Second

// browser is one tab of a real Chromium.
type browser struct {
	t        *testing.T
	ctx      context.Context
	watching sync.WaitGroup
}

// open starts a Chromium with a profile of its own, or skips the test loudly if there is none.
func open(t *testing.T, width, height int64, features ...*emulation.MediaFeature) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: there is no chromium in PATH, so the drone system's page is not tested in a browser; install it (Debian: apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(int(width), int(height)))
	allocator, cancelAllocator := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		patient, done := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(patient) // waits until the browser has ended; the profile's folder goes after that
		done()
		cancel()
		cancelAllocator()
		b.watching.Wait()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	messages := chromedp.Console(ctx)
	b.watching.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleError && !strings.Contains(m.Text, "Failed to load resource") {
				t.Errorf("the page complained: %s (%s:%d)", m.Text, m.URL, m.Line)
			}
		}
	})
	mobile := func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.Mobile = width < 500
	}
	b.run("size the window", chromedp.EmulateViewport(width, height, mobile))
	if len(features) > 0 {
		if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *browser) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	read(b, what, chromedp.Steps(actions...))
}

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

func (b *browser) visit(url string) {
	b.t.Helper()
	b.run("visit "+url, chromedp.Navigate(url))
}

func (b *browser) click(name string) {
	b.t.Helper()
	b.run("click "+name, chromedp.WaitEnabled(id(name)), chromedp.Click(id(name), chromedp.NodeVisible))
}

func (b *browser) sees(selector chromedp.CSS) {
	b.t.Helper()
	b.run("see "+string(selector), chromedp.WaitVisible(selector))
}

// shows waits until the text of what a CSS selector selects contains something, and returns it.
func (b *browser) shows(selector chromedp.CSS, text string) string {
	b.t.Helper()
	return read(b, "see "+text+" in "+string(selector), chromedp.PollFunction[string](`(selector, text) => {
		const shown = document.querySelector(selector)?.innerText ?? "";
		return shown.includes(text) ? shown : "";
	}`, chromedp.WithPollingArgs(string(selector), text), chromedp.WithPollingInterval(30*time.Millisecond)))
}

// says evaluates an expression in the page.
func says[T any](b *browser, expression string) T {
	b.t.Helper()
	return read(b, expression, chromedp.Evaluate[T](expression))
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
