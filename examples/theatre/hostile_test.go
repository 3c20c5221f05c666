package theatre_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
)

// hostile are texts that run something where they become markup, script or an address.
func hostile(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile("testdata/xss.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("there are only %d", len(all))
	}
	return all
}

// printable leaves out what keys and names must not have.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}

// walk opens every saga's journal, and everything in it that can be opened. It returns what is not as it should be: something ran, was held up by the policy, or became markup.
const walk = `(async (ids) => {
	const faults = [];
	globalThis.ran = () => faults.push("something ran on " + location.hash);
	globalThis.alert = globalThis.confirm = globalThis.prompt = globalThis.ran;
	document.addEventListener("securitypolicyviolation", (e) => faults.push("the policy held up " + e.violatedDirective + " on " + location.hash));
	const until = async (is) => {
		for (const end = Date.now() + 20000; !is(); ) {
			if (Date.now() > end) { faults.push("not in time: " + is + " on " + location.hash); return; }
			await new Promise((r) => setTimeout(r, 5));
		}
	};
	const look = () => {
		for (const e of document.querySelectorAll("*")) {
			const names = e.getAttributeNames();
			const isOurs = document.querySelector("#app").contains(e) || ["HTML", "HEAD", "BODY", "META", "TITLE", "LINK", "SCRIPT", "DIV", "NOSCRIPT"].includes(e.tagName);
			const bad = names.find((n) => n.startsWith("on")) || ["SCRIPT", "IFRAME", "OBJECT", "EMBED", "BASE", "STYLE"].includes(e.tagName) && document.querySelector("#app").contains(e) && e.tagName;
			const to = e.getAttribute("href") ?? "";
			if (bad || !isOurs || (to !== "" && !/^(#|\.\/|http:\/\/127\.0\.0\.1)/.test(to))) faults.push("became markup on " + location.hash + ": " + e.outerHTML.slice(0, 200));
		}
	};
	for (const id of ids) {
		location.hash = "#/sagas/" + id + "?view=journal";
		await until(() => document.querySelector("h1")?.textContent === id && document.querySelector("[data-testid=event]"));
		document.querySelectorAll("details").forEach((d) => (d.open = true));
		await new Promise((r) => setTimeout(r, 0));
		look();
	}
	for (const place of ["sagas", "incidents", "dead-letters", ""]) {
		location.hash = "#/" + place;
		await until(() => document.querySelector("[data-testid=row], [data-testid=stuck], [data-testid=letters], [data-testid=slowest]"));
		await new Promise((r) => setTimeout(r, 100));
		document.querySelectorAll("[aria-expanded=false]").forEach((d) => d.click());
		await new Promise((r) => setTimeout(r, 200));
		look();
	}
	return faults;
})`

// Whatever a client, a participant or an operator writes, into whichever field, is text on every page: nothing of it runs, becomes markup or is even held up by the policy.
func TestNothingThatOthersWroteRuns(t *testing.T) {
	x := open(t)
	all := hostile(t)
	ids := make([]skald.SagaID, len(all))
	for i, text := range all {
		ids[i] = skald.SagaID(fmt.Sprintf("hostile-%d", i))
		trouble := []theatre.Trouble{theatre.SoldOut, theatre.FullBox}[i%2]
		v := theatre.Visit{Visitor: text, Show: text, Seats: 1, Trouble: trouble}
		if _, err := x.Begin(t.Context(), v, skald.WithID(ids[i]), skald.WithKey(printable(text)), skald.InMode(bothModes[i/2%2])); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	for i, text := range all {
		s := until(t, x, ids[i], "it is stuck or has ended", func(s *skald.Status) bool { return stuck(s) || ended(s) })
		if i%4 == 1 { // others stay stuck, for the page of incidents
			if err := x.Engine().Resolve(t.Context(), s.ID, skald.Resolution{Step: s.Incidents[0].Step, Verb: skald.VerbSkip, By: printable(text), Reason: printable(text)}); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	}
	b := browsertest.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/sagas")
	b.Sees(within("row"))
	for some := range slices.Chunk(ids, 20) { // each for itself, so that none takes longer than anything may
		list, err := json.Marshal(some)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range browsertest.Read(b, "walk through the pages", chromedp.Evaluate[[]string](fmt.Sprintf("%s(%s)", walk, list), chromedp.EvalAwaitPromise)) {
			t.Error(fault)
		}
	}
	shown := browsertest.Read(b, "read a key", chromedp.Evaluate[string](`(async () => { location.hash = "#/sagas/hostile-0"; for (;;) { const k = document.querySelector("[data-testid=key]"); if (k) return k.textContent; await new Promise((r) => setTimeout(r, 20)); } })()`, chromedp.EvalAwaitPromise))
	if shown != all[0] {
		t.Errorf("a key is shown as %q, not as %q", shown, all[0])
	}
}
