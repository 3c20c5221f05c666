package browsertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// Chromium is the browser of a test program, which its tests share: starting one takes seconds of a processor, several times what a test does in it. It is started when the first test needs it.
type Chromium struct {
	once    sync.Once
	ctx     context.Context //nolint:containedctx // a browser is a context here
	err     error
	profile string
	stop    func()
}

// New makes a browser that is started when it is needed. The test program's TestMain ends it: goleak.VerifyTestMain(chromium.Tests(m)).
func New() *Chromium { return &Chromium{} }

// Tests runs a program's tests and then ends the browser, before whatever looks for what tests leave behind.
func (c *Chromium) Tests(m *testing.M) Tests { return Tests{m, c} }

// Tests are those of a program, with their browser.
type Tests struct {
	m *testing.M
	c *Chromium
}

// Run runs the tests and returns the code to exit with.
func (t Tests) Run() int {
	defer t.c.end()
	return t.m.Run()
}

// started gives the context of the browser, in which each test makes one of its own.
func (c *Chromium) started(path string) (context.Context, error) {
	c.once.Do(func() {
		if c.profile, c.err = os.MkdirTemp("", "chromium-"); c.err != nil {
			return
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(c.profile), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
		allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(allocator)
		c.ctx, c.stop = ctx, func() { cancel(); cancelAllocator() }
		if err := chromedp.Do(ctx); err != nil { // without a time limit, which would be the browser's
			c.err = fmt.Errorf("starting %s: %w", path, err)
		}
	})
	return c.ctx, c.err
}

// end waits until the browser has ended; its profile goes after that.
func (c *Chromium) end() {
	if c.stop != nil {
		patient, done := context.WithTimeout(c.ctx, Patience)
		_ = chromedp.Cancel(patient)
		done()
		c.stop()
	}
	if c.profile != "" {
		_ = os.RemoveAll(c.profile)
	}
}

// inPath is where Chromium is, or the test is skipped loudly.
func inPath(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: there is no chromium in PATH, so this page is not tested in a browser; install it (Debian: apt-get install chromium), or run make test, which does")
	}
	return path
}
