package theatre_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
)

var pictures = flag.String("pictures", "", "folder into which the pictures of docs/console.md are written anew: see make pictures")

// What docs/console.md shows of the console is there, as its pictures show it: each is taken here, from a theatre in which much happened, and make pictures keeps it.
func TestPicturesOfTheDocs(t *testing.T) {
	t.Parallel()
	x := openWith(t, theatre.Config{Outsiders: true, Guarded: true})
	client := as(t, x, "Ada Lovelace", access.Admin)
	visits(t, x)
	tried(t, client, "well-1")
	b := chromium.Open(t, 1280, 860)
	b.Visit(x.URL() + "/")
	signIn(t, b, x, "Grace Hopper", access.Operator)
	var taken []string
	for _, p := range []struct {
		name, address, shows, says string
		width, height              int64
		light                      string
	}{
		{"console-overview", "", "slowest", "cards.charge", 1280, 860, "light"},
		{"console-incidents", "incidents", "group", "Act on 4 sagas", 1280, 860, "light"},
		{"console-saga", "sagas/back?view=sequence", "incident", "seats.reserve cannot be undone", 1280, 1180, "dark"},
		{"console-saga-narrow", "sagas/back", "incident", "seats.reserve cannot be undone", 400, 860, "dark"},
		{"console-webhook", "webhooks/agency", "delivery", "it answered 503", 1280, 620, "light"},
	} {
		resizeTo(b, p.width, p.height, p.light)
		b.Run("take the pointer away", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: 2, Y: 2})
			return err
		}))
		browsertest.Says[string](b, `location.hash = "#/`+p.address+`"`)
		b.Shows(within(p.shows), p.says)
		settled(b)
		if p.width > 820 {
			sees(t, b, `document.querySelectorAll("nav > ul:not([popover]) a").length === 7 && document.querySelector("nav [aria-current=page]") !== null`)
		}
		if b.ScrollsSideways() {
			t.Errorf("%s is cut", p.name)
		}
		taken = append(taken, p.name+".png")
		if *pictures == "" {
			continue
		}
		picture := browsertest.Read(b, "take "+p.name, chromedp.CaptureScreenshot())
		if err := os.WriteFile(filepath.Join(*pictures, p.name+".png"), picture, 0o644); err != nil { //nolint:gosec // a page of the docs, for everybody
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile("../../docs/console.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, m := range regexp.MustCompile(`\]\(images/(console-[a-z-]+\.png)\)`).FindAllStringSubmatch(string(page), -1) {
		named = append(named, m[1])
	}
	slices.Sort(taken)
	slices.Sort(named)
	if !slices.Equal(taken, named) {
		t.Errorf("docs/console.md has the pictures %q, and %q are taken here", named, taken)
	}
}

// visits begins visits of both versions and modes, most of which go well, and waits until nothing goes on by itself any more.
func visits(t *testing.T, x *theatre.Theatre) {
	t.Helper()
	for i := range 12 {
		begin(t, x, skald.SagaID([]string{"well-", "good-", "fine-"}[i%3]+string(rune('0'+i/3))), bothModes[i%2], "")
	}
	for i, trouble := range []theatre.Trouble{theatre.Declined, theatre.SoldOut, theatre.FullBox, theatre.FullBox} {
		for _, mode := range bothModes {
			begin(t, x, skald.SagaID(string(mode)+"-"+string(rune('0'+i))), mode, trouble)
		}
	}
	begin(t, x, "back", skald.Choreographed, theatre.Unreleased)
	for _, id := range []skald.SagaID{"well-0", "well-1", "well-2", "well-3", "good-0", "fine-3", "orchestrated-0", "choreographed-0", "orchestrated-1", "choreographed-1"} {
		until(t, x, id, "it has ended", ended)
	}
	for _, id := range []skald.SagaID{"back", "orchestrated-2", "choreographed-2", "orchestrated-3", "choreographed-3"} {
		until(t, x, id, "it is stuck", stuck)
	}
}
