package theatre_test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

var sagas = flag.Int("sagas", 5_000, "sagas in the list that has to stay smooth")

// observe notes what a person would feel, from before the page's first line on: whatever moves without their doing, and every task that holds the page up for more than 50 ms.
const observe = `
	globalThis.felt = { shift: 0, moved: [], longest: 0 };
	new PerformanceObserver((all) => {
		for (const e of all.getEntries()) if (!e.hadRecentInput) {
			felt.shift += e.value;
			felt.moved.push(e.value.toFixed(4) + " " + e.sources.map((s) => s.node?.parentElement?.outerHTML.slice(0, 120)).join(" | "));
		}
	}).observe({ type: "layout-shift", buffered: true });
	new PerformanceObserver((all) => { for (const e of all.getEntries()) felt.longest = Math.max(felt.longest, e.duration); }).observe({ type: "longtask", buffered: true });`

// felt is what observe noted.
type felt struct {
	Shift   float64  `json:"shift"`
	Moved   []string `json:"moved"`
	Longest float64  `json:"longest"`
}

// observing makes every page that is opened from now on note what a person would feel.
func observing(b *browsertest.Browser) {
	b.Run("observe", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: observe})
		return err
	}))
}

// fill puts copies of a visit that has ended into the journals of a theatre that is closed.
func fill(t *testing.T, data string, model skald.SagaID, copies int) {
	t.Helper()
	s, err := sqlitestore.Open(sqlitestore.Config{Path: filepath.Join(data, "journals.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	first, records, err := s.Journal(t.Context(), model)
	if err != nil {
		t.Fatal(err)
	}
	var events []journal.Event
	if _, _, err := journal.Decode(records, journal.FirstChain(model), 0, func(e journal.Event) error { events = append(events, e); return nil }); err != nil {
		t.Fatal(err)
	}
	epoch, err := s.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const atOnce = 1000
	for done := 0; done < copies; done += atOnce {
		all := make([]store.Append, min(atOnce, copies-done))
		for i := range all {
			all[i] = again(first, events, done+i)
		}
		if rejected, err := s.Commit(t.Context(), epoch, all); err != nil || rejected != nil {
			t.Fatal(err, rejected)
		}
	}
}

// again is a saga like another one that has ended, under another id and key.
func again(s store.Summary, events []journal.Event, n int) store.Append {
	s.ID, s.Key = skald.SagaID(fmt.Sprintf("copy-%06d", n)), fmt.Sprintf("booking-%06d", n)
	s.Chain = journal.FirstChain(s.ID)
	a := store.Append{New: true, From: 1}
	for i := range events {
		a.Records, s.Chain = journal.Append(a.Records, s.Chain, &events[i])
	}
	a.Summary = s
	return a
}

// However many sagas there are, the page has only the rows in view, and nothing that somebody does in the list holds it up.
func TestListOfManySagasStaysSmooth(t *testing.T) {
	data := t.TempDir()
	x := openWith(t, theatre.Config{Data: data})
	begin(t, x, "model", skald.Orchestrated, theatre.SoldOut)
	until(t, x, "model", "it has ended", ended)
	if err := x.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	fill(t, data, "model", *sagas)
	t.Logf("%d sagas were written in %v", *sagas, time.Since(began).Round(time.Millisecond))
	x = openWith(t, theatre.Config{Data: data})

	b := chromium.Open(t, 1280, 900)
	observing(b)
	began = time.Now()
	b.Visit(x.URL() + "/#/sagas")
	b.Sees(within("row"))
	t.Logf("the list is there after %v", time.Since(began).Round(time.Millisecond))

	// To the end, as fast as the pages come. Each round is a page that somebody waits for.
	const scroll = `(async (until) => {
		let most = 0;
		for (let rounds = 0; Date.now() < until; rounds++) {
			scrollTo(0, document.documentElement.scrollHeight);
			await new Promise((r) => requestAnimationFrame(() => setTimeout(r, 0)));
			most = Math.max(most, document.querySelectorAll("*").length);
			if (Number(document.querySelector("[data-testid=sagas]").getAttribute("aria-rowcount")) > 0) return { most, isWhole: true };
		}
		return { most, isWhole: false };
	})(Date.now() + 10000)`
	began = time.Now()
	var seen struct {
		Most    int  `json:"most"`
		IsWhole bool `json:"isWhole"`
	}
	browsertest.Says[float64](b, "felt.longest = 0") // what came before was the browser's own start
	for deadline := began.Add(time.Minute + time.Duration(*sagas)*20*time.Millisecond); !seen.IsWhole && time.Now().Before(deadline); {
		most := seen.Most
		seen = browsertest.Read(b, "scroll", chromedp.Evaluate[struct {
			Most    int  `json:"most"`
			IsWhole bool `json:"isWhole"`
		}](scroll, chromedp.EvalAwaitPromise))
		seen.Most = max(seen.Most, most)
	}
	t.Logf("all %d were scrolled through in %v, with at most %d elements in the page", *sagas, time.Since(began).Round(time.Millisecond), seen.Most)
	if !seen.IsWhole || seen.Most > 1500 {
		t.Errorf("whole: %v; the page had %d elements", seen.IsWhole, seen.Most)
	}
	for range 5 {
		begin(t, x, skald.SagaID(fmt.Sprintf("fresh-%d", time.Now().UnixNano())), skald.Orchestrated, "")
	}
	b.Shows(within("fresh"), "5 new") // what began meanwhile is counted, and moves nothing
	b.Click("fresh")
	b.Shows(within("row"), "fresh-")

	began = time.Now()
	b.Fill("filter-key", "booking-000017")
	b.Run("filter", chromedp.KeyEvent("\r"))
	sees(t, b, `document.querySelectorAll("[data-testid=row]").length === 1`)
	b.Click("show-compensated")
	b.Shows(within("row"), "copy-000017")
	t.Logf("filtered after %v", time.Since(began).Round(time.Millisecond))

	all := browsertest.Says[felt](b, "felt")
	t.Logf("the longest task took %.0f ms, and what moved sums up to %.4f", all.Longest, all.Shift)
	if all.Longest > 3000 { // on a machine that does much else; all rows in the page would take many seconds
		t.Errorf("a task held the page up for %.0f ms", all.Longest)
	}
}

// At no page does anything move without the reader's doing: neither while it loads, nor when what it shows changes.
func TestNothingMovesByItself(t *testing.T) {
	t.Parallel()
	x := openWithAllKinds(t)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/")
	signIn(t, b, x, "Grace", access.Operator)
	observing(b)
	for _, width := range []int64{1280, 400} {
		resize(b, width, "light")
		for _, p := range []struct{ address, shows string }{
			{"", "slowest"}, {"sagas", "row"}, {"sagas?show=stuck", "row"}, {"sagas/back", "graph"}, {"sagas/full?view=journal", "event"}, {"sagas/aside", "graph"}, {"sagas/aside?view=letters", "saga-letters"}, {"incidents", "incident"},
			{"dead-letters", "letters"}, {"definitions", "definitions"}, {"definitions/visit", "step-numbers"}, {"webhooks", "delivery"}, {"webhooks/agency", "delivery"}, {"audit", "empty"},
		} {
			b.Visit("about:blank") // or else only what stands behind the # would change
			b.Visit(x.URL() + "/#/" + p.address)
			b.Sees(within(p.shows))
			settled(b)
			if all := browsertest.Says[felt](b, "felt"); all.Shift > 0.02 {
				t.Errorf("/%s at %d: what moved while it loaded sums up to %.4f: %q", p.address, width, all.Shift, all.Moved)
			}
		}
	}
	b.Visit("about:blank")
	b.Visit(x.URL() + "/#/incidents")
	b.Sees(within("incident"))
	settled(b)
	// Also what somebody does on purpose moves nothing above it, and is there at once: the line that is clicked on stays under the pointer.
	const line = `document.querySelector("[data-testid=stuck] [aria-expanded=false]")`
	for browsertest.Says[bool](b, line+" !== null") {
		moved := browsertest.Read(b, "open an incident", chromedp.Evaluate[[]float64](`(async () => {
			const line = `+line+`;
			const before = line.getBoundingClientRect().top, incidents = document.querySelectorAll("[data-testid=incident]").length;
			line.click();
			await new Promise((r) => setTimeout(r, 0));
			return [line.getBoundingClientRect().top - before, document.querySelectorAll("[data-testid=incident]").length - incidents];
		})()`, chromedp.EvalAwaitPromise))
		if moved[0] != 0 || moved[1] != 1 {
			t.Fatalf("opening an incident moves its line by %g pixels, and shows %g incidents at once", moved[0], moved[1])
		}
	}
	b.Visit("about:blank")
	b.Visit(x.URL() + "/#/sagas/full")
	b.Sees(within("incident"))
	settled(b)
	before := browsertest.Says[felt](b, "felt").Shift
	for i := range 3 { // what the page's numbers count changes, and its saga goes on
		begin(t, x, skald.SagaID(fmt.Sprintf("more-%d", i)), bothModes[i%2], theatre.Declined)
	}
	sees(t, b, `document.querySelectorAll("[data-testid=step]").length > 0`)
	settled(b)
	if all := browsertest.Says[felt](b, "felt"); all.Shift-before > 0.02 {
		t.Errorf("what moved while it was looked at sums up to %.4f: %q", all.Shift-before, all.Moved)
	}
}

// settled waits until what was asked for is there and painted, and nothing more was asked for during a quarter of a second.
func settled(b *browsertest.Browser) {
	browsertest.Read(b, "settle", chromedp.Evaluate[bool](`(async () => {
		await document.fonts.ready;
		let last = 0;
		new PerformanceObserver(() => (last = performance.now())).observe({ type: "resource", buffered: true });
		for (last = performance.now(); document.querySelector("[data-testid=loading]") || performance.now() - last < 250; ) await new Promise((r) => requestAnimationFrame(r));
		return true;
	})()`, chromedp.EvalAwaitPromise))
}
