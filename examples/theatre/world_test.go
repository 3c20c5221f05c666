package theatre_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
)

// open opens a theatre that closes with the test.
func open(t *testing.T) *theatre.Theatre {
	t.Helper()
	return openWith(t, theatre.Config{})
}

// openWith opens one that differs from others.
func openWith(t *testing.T, c theatre.Config) *theatre.Theatre {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	if c.Data == "" {
		c.Data = t.TempDir()
	}
	x, err := theatre.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), browsertest.Patience)
		defer cancel()
		if err := x.Stop(ctx); err != nil {
			t.Errorf("closing the theatre: %v", err)
		}
	})
	return x
}

// begin begins a visit whose id and business key are known.
func begin(t *testing.T, x *theatre.Theatre, id skald.SagaID, mode skald.Mode, trouble theatre.Trouble) {
	t.Helper()
	v := theatre.Visit{Visitor: "Ada Lovelace", Show: "Edda", Seats: 2, Trouble: trouble}
	if _, err := x.Begin(t.Context(), v, skald.WithID(id), skald.WithKey("key-of-"+string(id)), skald.InMode(mode)); err != nil {
		t.Fatal(err)
	}
}

// openWithAllKinds opens a guarded theatre with a saga of every kind: two that are stuck, one of each mode, one whose letter is set aside, and one that has ended well.
func openWithAllKinds(t *testing.T) *theatre.Theatre {
	t.Helper()
	x := openWith(t, theatre.Config{Guarded: true, Outsiders: true})
	begin(t, x, "back", skald.Choreographed, theatre.Unreleased)
	begin(t, x, "full", skald.Orchestrated, theatre.FullBox)
	begin(t, x, "aside", skald.Choreographed, theatre.Unclear)
	begin(t, x, "well", skald.Orchestrated, "")
	until(t, x, "back", "it is stuck", stuck)
	until(t, x, "full", "it is stuck", stuck)
	until(t, x, "well", "it has ended", ended)
	return x
}

// until waits until a saga is as it should be.
func until(t *testing.T, x *theatre.Theatre, id skald.SagaID, what string, is func(s *skald.Status) bool) skald.Status {
	t.Helper()
	deadline := time.Now().Add(browsertest.Patience)
	for {
		s, err := x.Engine().Status(t.Context(), id)
		if err == nil && is(&s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in time: %s (%v, %v)", id, what, s.State, err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func stuck(s *skald.Status) bool { return len(s.Incidents) > 0 }
func ended(s *skald.Status) bool { return s.State.Ended() }

// within is what is in an element, by its data-testid.
func within(id string, more ...string) chromedp.CSS {
	return chromedp.CSS(`[data-testid="` + id + `"]` + strings.Join(more, ""))
}

// sees waits until a condition in the page, a JavaScript expression, is true.
func sees(t *testing.T, b *browsertest.Browser, condition string) {
	t.Helper()
	browsertest.Read(b, "see "+condition, chromedp.Poll[bool](condition, chromedp.WithPollingInterval(30*time.Millisecond)))
}

// decide says who and why in the dialog, and confirms.
func decide(b *browsertest.Browser, reason string) {
	write(b, "reason", reason)
	write(b, "by", "Grace")
	b.Click("confirm")
}

// write types into a field that is empty, or has the text already.
func write(b *browsertest.Browser, name, text string) {
	b.Sees(browsertest.ID(name))
	if has := browsertest.Says[string](b, fmt.Sprintf("document.querySelector(%q).value", browsertest.ID(name))); has != text {
		b.Run("write into "+name, chromedp.SendKeys(browsertest.ID(name), text))
	}
}

// drawn waits until an element of a drawing, by its data-testid, has a text.
func drawn(t *testing.T, b *browsertest.Browser, selector chromedp.CSS, text string) {
	t.Helper()
	sees(t, b, fmt.Sprintf("document.querySelector(%q)?.textContent.includes(%q)", selector, text))
}

// axe is the checker's source, which npm has put beside the console's.
func axe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("../../console/web/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Skip("SKIPPED: there is no axe-core, so nobody looks whether the pages are accessible; install it (npm --prefix console/web ci --ignore-scripts), or run make test, which does")
	}
	return string(source)
}
