package theatre_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

var bothModes = []skald.Mode{skald.Orchestrated, skald.Choreographed}

// At night: see that something is stuck, understand why, mend it. Who did so and why stays.
func TestOperatorFindsAndMendsAStuckSaga(t *testing.T) {
	t.Parallel()
	x := open(t)
	for _, mode := range bothModes {
		begin(t, x, skald.SagaID("stuck-"+mode), mode, theatre.FullBox)
		until(t, x, skald.SagaID("stuck-"+mode), "it is stuck", stuck)
	}
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/")
	b.Shows(within("tile-incidents"), "2")
	b.Click("nav-incidents")
	b.Shows(within("group"), "Letters.Full")
	b.Shows(within("incident"), "the box of Ada Lovelace is full")
	b.Shows(within("incident"), "What to try")
	b.Shoot("incidents")
	x.Mend(theatre.FullBox)
	for range bothModes {
		b.Click("verb-retry")
		write(b, "reason", "the box was emptied")
		write(b, "by", "Grace")
		before := browsertest.Says[int](b, `document.querySelectorAll('[data-testid="stuck"]').length`)
		b.Click("confirm")
		sees(t, b, fmt.Sprintf(`document.querySelectorAll('[data-testid="stuck"]').length < %d && !document.querySelector("dialog")`, before))
		if before > 1 {
			b.Run("open the next", chromedp.Click(within("stuck", " button.open"), chromedp.NodeVisible))
		}
	}
	b.Shows(within("empty"), "Nothing needs you")
	for _, mode := range bothModes {
		id := skald.SagaID("stuck-" + mode)
		if s := until(t, x, id, "it has ended", ended); s.State != skald.Completed {
			t.Errorf("%s is %s", id, s.State)
		}
		events, err := x.Engine().Events(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		var decided []string
		for _, e := range events {
			if e.Kind == journal.IncidentResolved {
				decided = append(decided, string(e.Verb)+" by "+e.By+": "+e.Detail)
			}
		}
		if len(decided) != 1 || decided[0] != "retry by Grace: the box was emptied" {
			t.Errorf("%s: the journal says %q", id, decided)
		}
	}
}

// A service says after a visit's end that it had refused: that is an incident of a saga that has ended, whose one verb changes nothing of it.
func TestF03_OperatorSeesAContradictionOfASagaThatHasEnded(t *testing.T) {
	t.Parallel()
	x := open(t)
	begin(t, x, "twice", skald.Choreographed, "")
	until(t, x, "twice", "it has ended", ended)
	if err := x.Engine().AnsweredLate(t.Context(), "twice", "seats.reserve", participant.Answer{Class: participant.Refused, Reason: "Seats.SoldOut"}); err != nil {
		t.Fatal(err)
	}
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/incidents")
	b.Shows(within("group"), "skald.contradiction")
	b.Shows(within("incident"), "seats.reserve was answered in two ways")
	b.Shows(within("incident"), "an effect may be missing")
	b.Shoot("contradiction")
	b.Visit(x.URL() + "/#/sagas/twice")
	b.Click("verb-seen")
	decide(b, "a seat on the balcony")
	sees(t, b, `!document.querySelector('[data-testid="incident"]')`)
	b.Click("tab-journal")
	b.Shows(within("event", `[data-kind="incident_resolved"]`), "Decided: seen")
	if s := until(t, x, "twice", "it was seen", func(s *skald.Status) bool { return len(s.Incidents) == 0 }); s.State != skald.Completed {
		t.Errorf("it is %s", s.State)
	}
}

// One page shows a saga of either mode: how far each step is, the way back, what took how long, and who told whom what. It follows what happens.
func TestSagaPageShowsTheWayBackInBothModes(t *testing.T) {
	t.Parallel()
	x := open(t)
	b := chromium.Open(t, 1280, 1000, browsertest.Prefers("color-scheme", "dark"))
	for _, mode := range bothModes {
		id := skald.SagaID("back-" + mode)
		begin(t, x, id, mode, theatre.Unreleased)
		until(t, x, id, "it is stuck on its way back", stuck)
		b.Visit(x.URL() + "/#/sagas/" + string(id))
		b.Shows(within("state"), "Compensating")
		b.Shows(within("incident"), "seats.reserve cannot be undone")
		drawn(t, b, within("node", `[data-step="cards.charge"]`), "Refused")
		// A way back leads from each of the two that stood side by side, unless the other's refusal came before it was called.
		sees(t, b, `document.querySelectorAll('[data-testid="way-back"]').length === ["cards.charge", "parking.book"].filter((step) => !document.querySelector('[data-testid="node"][data-step="' + step + '"]').textContent.includes("Skipped")).length`)
		sees(t, b, `["running", "undoing", "undo-retrying", "undo-waiting"].every((d) => document.querySelector('[data-doing="' + d + '"]'))`)
		if n := browsertest.Says[float64](b, `Math.min(...[...document.querySelectorAll("[data-doing]")].map((bar) => bar.getBoundingClientRect().width))`); n < 4 {
			t.Errorf("the smallest bar is %g pixels wide", n)
		}
		b.Click("tab-sequence")
		drawn(t, b, within("sequence"), "Cards.Declined")
		b.Click("tab-input")
		b.Shows("#history pre", `"visitor": "Ada Lovelace"`)
		b.Click("tab-journal")
		b.Shows(within("event", `[data-kind="saga_compensating"]`), "Turned back")
		b.Shoot(string(mode))
		b.Click("tab-steps")
		b.Click("verb-done")
		decide(b, "unlocked by hand")
		b.Shows(within("state"), "Compensated")
		if s := until(t, x, id, "it has ended", ended); s.State != skald.Compensated || !s.Step("seats.reserve").ByHand {
			t.Errorf("%s is %s, %+v", id, s.State, s.Step("seats.reserve"))
		}
	}
}

// A choreographed step that was set aside is replayed, after a look at what will be handed out.
func TestDeadLetterIsComparedAndReplayed(t *testing.T) {
	t.Parallel()
	x := open(t)
	begin(t, x, "aside", skald.Choreographed, theatre.Unclear)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/dead-letters")
	b.Shows(within("letters"), "the barrier's controller does not answer")
	b.Click("letter")
	b.Shows(within("letter-state"), "Waiting")
	x.Mend(theatre.Unclear)
	b.Click("letter-replay")
	b.Run("compare with the input", chromedp.SetValue(within("against"), "input"), chromedp.Evaluate[chromedp.Void](`void document.querySelector('[data-testid="against"]').dispatchEvent(new Event("change", { bubbles: true }))`))
	b.Shows(within("diff"), `-   "visitor": "Ada Lovelace"`)
	b.Shows(within("diff"), `+   "step": "parking.book"`)
	b.Shoot("replay")
	decide(b, "the controller is back")
	b.Shows(within("letter-result"), "Grace: the controller is back")
	if s := until(t, x, "aside", "it has ended", ended); s.State != skald.Completed {
		t.Errorf("it is %s", s.State)
	}
}

// A letter whose saga has ended offers what is left to do about it, and nothing else.
func TestDeadLetterOfAFinishedSagaIsDiscarded(t *testing.T) {
	t.Parallel()
	x := open(t)
	begin(t, x, "late", skald.Choreographed, theatre.Unclear)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/dead-letters")
	b.Click("letter")
	b.Shows(within("letter-result"), "it is replayed by itself")
	if err := x.Engine().Cancel(t.Context(), "late", "ada", "the visitor fell ill"); err != nil {
		t.Fatal(err)
	}
	b.Shows(within("letter-result"), "its saga has ended")
	b.Sees(within("letter-replay", ":disabled"))
	b.Sees(within("letter-compensate", ":disabled"))
	b.Shoot("stale")
	b.Click("letter-discard")
	decide(b, "its saga is over")
	b.Shows(within("letter-state"), "Discarded")
}

// Any saga is found by its id or key, the list is narrowed by its address, and everything goes by keys alone.
func TestSagasAreFoundAndWalkedThroughByKeys(t *testing.T) {
	t.Parallel()
	x := open(t)
	for i := range 5 {
		begin(t, x, skald.SagaID(fmt.Sprintf("well-%d", i)), bothModes[i%2], "")
	}
	begin(t, x, "refused", skald.Orchestrated, theatre.SoldOut)
	until(t, x, "refused", "it has ended", ended)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/sagas?show=compensated&reason=Seats.SoldOut&age=new-1h")
	sees(t, b, `document.querySelectorAll('[data-testid="row"]').length === 1`)
	b.Shows(within("row"), "refused")
	b.Click("show-all")
	sees(t, b, `location.hash === "#/sagas?reason=Seats.SoldOut&age=new-1h"`)

	b.Visit(x.URL() + "/#/sagas?order=oldest")
	sees(t, b, `document.querySelectorAll('[data-testid="row"]').length === 6`)
	for _, key := range []string{"j", "j", "k"} {
		b.Run("press "+key, chromedp.KeyEvent(key))
	}
	sees(t, b, `document.activeElement.textContent === "well-0"`)
	b.Run("open it", chromedp.KeyEvent("\r"))
	sees(t, b, `location.hash === "#/sagas/well-0"`)
	for text, want := range map[string]string{"key-of-refused": "#/sagas/refused", "well-3": "#/sagas/well-3"} {
		b.Run("find "+text, chromedp.KeyEvent("/"))
		sees(t, b, `document.activeElement.dataset.testid === "find"`)
		browsertest.Says[bool](b, `document.activeElement.select(), true`) // unlike a keyboard, the driver types the slash although the page has taken it
		b.Run("type", chromedp.KeyEvent(text+"\r"))
		sees(t, b, `location.hash === "`+want+`"`)
		b.Run("leave the field", chromedp.Blur(within("find")))
	}
	b.Fill("find", "nobody's")
	b.Run("find", chromedp.KeyEvent("\r"))
	b.Shows(within("find-says"), "No saga has this id or business key")
	b.Run("leave the field", chromedp.Blur(within("find")))
	for _, key := range []string{"g", "d"} {
		b.Run("press "+key, chromedp.KeyEvent(key))
	}
	b.Shows(within("definitions"), "visit")
}

// Filters are kept under a name, in this browser, until they are forgotten.
func TestAViewIsKeptUnderItsName(t *testing.T) {
	t.Parallel()
	x := open(t)
	begin(t, x, "refused", skald.Orchestrated, theatre.SoldOut)
	begin(t, x, "well", skald.Orchestrated, "")
	until(t, x, "refused", "it has ended", ended)
	b := chromium.Open(t, 1280, 900)
	again := func() {
		b.Visit("about:blank")
		b.Visit(x.URL() + "/#/sagas")
		sees(t, b, `document.querySelectorAll('[data-testid="row"]').length === 2`)
	}
	again()
	sees(t, b, `document.querySelector('[title="Choose a filter first"]').disabled`)
	b.Visit(x.URL() + "/#/sagas?reason=Seats.SoldOut")
	b.Run("keep it", chromedp.Click(chromedp.CSS(`[title^="Keep these filters"]`), chromedp.NodeVisible))
	b.Fill("view-name", "Sold out")
	b.Run("save", chromedp.KeyEvent("\r"))
	b.Shows(chromedp.CSS(`[aria-label="Saved views"] .here`), "Sold out")
	again()
	b.Run("choose it", chromedp.Click(chromedp.CSS(`[aria-label="Saved views"] a`), chromedp.NodeVisible))
	sees(t, b, `location.hash === "#/sagas?reason=Seats.SoldOut"`)
	sees(t, b, `document.querySelectorAll('[data-testid="row"]').length === 1`)
	b.Shows(within("row"), "refused")
	b.Run("forget it", chromedp.Click(chromedp.CSS(`[aria-label="Forget Sold out"]`), chromedp.NodeVisible))
	sees(t, b, `!document.querySelector('[aria-label="Saved views"]')`)
	again()
	sees(t, b, `!document.querySelector('[aria-label="Saved views"]')`)
}

// A saga's page leads to its trace, in both modes.
func TestASagaLeadsToItsTrace(t *testing.T) {
	t.Parallel()
	x := open(t)
	b := chromium.Open(t, 1280, 900)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for _, mode := range bothModes {
		id := skald.SagaID("traced-" + mode)
		v := theatre.Visit{Visitor: "Ada Lovelace", Show: "Edda", Seats: 2}
		if _, err := x.Begin(t.Context(), v, skald.WithID(id), skald.InMode(mode), skald.WithTrace("00-"+trace+"-00f067aa0ba902b7-01")); err != nil {
			t.Fatal(err)
		}
		until(t, x, id, "it has ended", ended)
		b.Visit(x.URL() + "/#/sagas/" + string(id))
		sees(t, b, `document.querySelector('[data-testid="trace"]')?.href === "http://127.0.0.1:16686/trace/`+trace+`"`)
	}
}

// One verb for many: what the preview says is done, and nothing before it is confirmed.
func TestManyAreMendedAfterAPreview(t *testing.T) {
	t.Parallel()
	x := open(t)
	for i := range 4 {
		id := skald.SagaID(fmt.Sprintf("full-%d", i))
		begin(t, x, id, bothModes[i%2], theatre.FullBox)
		until(t, x, id, "it is stuck", stuck)
	}
	x.Mend(theatre.FullBox)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/sagas?show=stuck&incident_reason=Letters.Full")
	sees(t, b, `document.querySelectorAll('[data-testid="row"]').length === 4`)
	b.Click("bulk")
	b.Shows(within("preview"), "4 sagas would be acted on")
	b.Shows(within("preview"), "letters.send")
	if s, err := x.Engine().Status(t.Context(), "full-0"); err != nil || !stuck(&s) {
		t.Errorf("after the preview: %+v, %v", s.Incidents, err)
	}
	decide(b, "the boxes were emptied")
	b.Shows(within("bulk-result"), "4 sagas done, 0 left alone, 0 failed")
	for i := range 4 {
		until(t, x, skald.SagaID(fmt.Sprintf("full-%d", i)), "it has completed", func(s *skald.Status) bool { return s.State == skald.Completed })
	}
	b.Click("finish")
	b.Shows(within("empty"), "Nothing needs help")
}

// At every page, in both lights, at the width of a desk and of a telephone, axe finds nothing, and nothing is wider than the window.
func TestAxeFindsNothing(t *testing.T) {
	source := axe(t)
	x := openWithAllKinds(t)
	pages := []struct{ address, shows, click string }{
		{"", "slowest", ""}, {"sagas", "row", ""}, {"sagas?show=stuck", "row", "bulk"}, {"sagas?id=nobody", "empty", ""},
		{"sagas/back", "graph", ""}, {"sagas/back?view=sequence", "sequence", ""}, {"sagas/full?view=journal", "event", "verb-replace"}, {"sagas/aside?view=letters", "saga-letters", ""}, {"sagas/nobody", "empty", ""},
		{"incidents", "incident", ""}, {"dead-letters", "letters", "letter"}, {"definitions", "definitions", ""}, {"definitions/visit", "step-numbers", ""}, {"webhooks", "delivery", "redeliver"}, {"webhooks/agency?state=waiting", "delivery", "rotate"}, {"sagas/well?view=deliveries", "delivery", ""}, {"webhooks/nobody", "empty", ""}, {"audit", "change", "who"}, {"nowhere", "empty", ""},
	}
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/")
	signIn(t, b, x, "Ada", access.Reader)
	signOut(b) // which is the first line of the audit log
	for _, at := range []struct {
		width int64
		light string
	}{{1280, "light"}, {400, "dark"}} {
		resize(b, at.width, at.light)
		b.Visit(x.URL() + "/")
		signIn(t, b, x, "Grace", access.Operator)
		browsertest.Says[bool](b, source+"; true")
		for _, p := range pages {
			browsertest.Says[string](b, fmt.Sprintf(`location.hash = "#/%s"`, p.address))
			b.Sees(within(p.shows))
			if p.click != "" {
				b.Click(p.click)
				sees(t, b, `!!document.querySelector("dialog[open], [data-testid=letter-state]")`)
			}
			for _, found := range violations(b) {
				t.Errorf("/%s at %d, %s: %s", p.address, at.width, at.light, found)
			}
			if browsertest.Says[bool](b, `document.querySelector("dialog")?.scrollWidth > document.querySelector("dialog")?.clientWidth`) {
				t.Errorf("the dialog of /%s is cut at %d pixels", p.address, at.width)
			}
			if b.ScrollsSideways() {
				t.Errorf("/%s scrolls sideways at %d pixels", p.address, at.width)
			}
			b.Shoot(fmt.Sprintf("%s-%d-%s", strings.NewReplacer("/", "-", "?", "-", "=", "-").Replace(p.address), at.width, at.light))
			browsertest.Says[bool](b, `document.querySelector("dialog")?.close(), true`)
		}
		signOut(b)
		for _, found := range violations(b) {
			t.Errorf("signing in at %d, %s: %s", at.width, at.light, found)
		}
		b.Shoot(fmt.Sprintf("sign-in-%d-%s", at.width, at.light))
	}
}

// violations are what axe finds on the page.
func violations(b *browsertest.Browser) []string {
	return browsertest.Read(b, "ask axe", chromedp.Evaluate[[]string](`axe.run(document, { resultTypes: ["violations"] }).then((r) => r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("; ")))`, chromedp.EvalAwaitPromise))
}

// resize makes another window of the browser's.
func resize(b *browsertest.Browser, width int64, light string) { resizeTo(b, width, 900, light) }

func resizeTo(b *browsertest.Browser, width, height int64, light string) {
	mobile := func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.Mobile = width < 500
	}
	b.Run("size the window", chromedp.EmulateViewport(width, height, mobile), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{browsertest.Prefers("color-scheme", light)}})
		return err
	}))
}
