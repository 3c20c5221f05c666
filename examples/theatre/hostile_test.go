package theatre_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
	"github.com/skaldhq/skald/httpapi"
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

// watchful notes, in seen.faults, what is not as it should be from now on: something ran, was held up by the policy, or became markup. seen.look searches the page, seen.at goes to an address and looks
// there once a condition holds.
const watchful = `
globalThis.seen = { faults: [] };
seen.ran = () => seen.faults.push("something ran on " + location.hash);
globalThis.alert = globalThis.confirm = globalThis.prompt = seen.ran;
document.addEventListener("securitypolicyviolation", (e) => seen.faults.push("the policy held up " + e.violatedDirective + " on " + location.hash));
seen.until = async (is) => {
	for (const end = Date.now() + 5000; !is(); ) {
		if (Date.now() > end) { seen.faults.push("not in time: " + is + " on " + location.hash); return; }
		await new Promise((r) => setTimeout(r, 5));
	}
};
seen.look = () => {
	const app = document.querySelector("#app");
	for (const e of document.querySelectorAll("*")) {
		const isOurs = app.contains(e) || ["HTML", "HEAD", "BODY", "META", "TITLE", "LINK", "SCRIPT", "DIV", "NOSCRIPT"].includes(e.tagName);
		const bad = e.getAttributeNames().find((n) => n.startsWith("on")) || ["SCRIPT", "IFRAME", "OBJECT", "EMBED", "BASE", "STYLE"].includes(e.tagName) && app.contains(e);
		const to = e.getAttribute("href") ?? "";
		if (bad || !isOurs || (to !== "" && !/^(#|\.\/|http:\/\/127\.0\.0\.1)/.test(to))) seen.faults.push("became markup on " + location.hash + ": " + e.outerHTML.slice(0, 200));
	}
};
seen.at = async (address, is) => {
	location.hash = address;
	await new Promise((r) => setTimeout(r, 0));
	await seen.until(is);
	document.querySelectorAll("details").forEach((d) => (d.open = true));
	await new Promise((r) => setTimeout(r, 0));
	seen.look();
};
seen.has = (...names) => names.some((name) => document.querySelector("[data-testid=" + name + "]"));`

// sagasOf opens the journal of every saga, which has all of its fields, and one after the other of its other views, and everything in them that can be opened.
const sagasOf = `(async (ids) => {
	const journal = ["journal", "[data-testid=event]"];
	const views = [["", "[data-testid=step]"], ["sequence", "[data-testid=sequence]"], ["input", "#history pre"], ["changes", "[data-testid=change]"], ["deliveries", "[data-testid=delivery], [data-testid=empty]"]];
	for (const [i, id] of ids.entries()) for (const [view, shows] of [journal, views[i % views.length]])
		await seen.at("#/sagas/" + id + (view && "?view=" + view), () => document.querySelector("h1")?.textContent === id && document.querySelector(shows));
	return seen.faults.splice(0);
})`

// lists opens the pages of many, every incident on its page, and every dead letter with what it is compared with.
const lists = `(async () => {
	await seen.at("#/", () => seen.has("slowest"));
	await seen.at("#/sagas", () => seen.has("row"));
	await seen.at("#/audit", () => seen.has("change"));
	await seen.at("#/incidents", () => seen.has("incident"));
	for (const closed of document.querySelectorAll("[data-testid=stuck] [aria-expanded=false]")) {
		closed.click();
		await seen.until(() => seen.has("incident"));
		seen.look();
	}
	await seen.at("#/dead-letters", () => seen.has("letters"));
	document.querySelector("[data-testid=letters] button")?.click(); // all of them
	await new Promise((r) => setTimeout(r, 0));
	seen.look();
	const letters = [...document.querySelectorAll("[data-testid=letter]")].map((a) => a.getAttribute("href"));
	for (const letter of letters) {
		await seen.at(letter, () => seen.has("letter-state"));
		document.querySelector("[data-testid=letter-replay]").click();
		await seen.until(() => seen.has("against"));
		const against = document.querySelector("[data-testid=against]");
		against.value = "input";
		against.dispatchEvent(new Event("change", { bubbles: true }));
		await seen.until(() => document.querySelector("[data-testid=diff]")?.textContent.includes("visitor"));
		seen.look();
		document.querySelector("dialog").close();
	}
	await seen.at("#/dead-letters?state=discarded", () => seen.has("letters"));
	return { letters: letters.length, faults: seen.faults.splice(0) };
})()`

// endpoints opens the page of each endpoint, and the form that changes it, which has its URL. The list and the deliveries have all of them.
const endpoints = `(async (names) => {
	await seen.at("#/webhooks", () => seen.has("webhooks") && seen.has("delivery"));
	if (document.querySelectorAll("[data-testid=webhook]").length < names.length) seen.faults.push("not all endpoints are listed");
	for (const name of names) {
		await seen.at("#/webhooks/" + name, () => document.querySelector("h1")?.textContent === name && seen.has("endpoint"));
		document.querySelector("[data-testid=change]").click();
		await seen.until(() => document.querySelector("[data-testid=webhook-url]")?.value !== "");
		seen.look();
		document.querySelector("dialog").close();
	}
	await seen.at("#/webhooks/agency", () => seen.has("delivery"));
	return seen.faults.splice(0);
})`

// addresses has texts in every address that somebody can be lured to.
const addresses = `(async (texts) => {
	const told = () => seen.has("empty", "fault", "row", "change", "letters", "delivery");
	for (const text of texts) {
		const t = encodeURIComponent(text);
		for (const address of ["sagas?show=" + t + "&key=" + t + "&definition=" + t + "&version=" + t + "&step=" + t + "&reason=" + t + "&incident_reason=" + t + "&age=" + t + "&mode=" + t + "&order=" + t,
			"sagas/" + t, "sagas/hostile-0?view=" + t + "&step=" + t, "dead-letters?state=" + t + "&reason=" + t, "dead-letters/" + t, "definitions/" + t, "definitions/visit?version=" + t, "webhooks/" + t, "webhooks?state=" + t, "webhooks/agency?state=" + t, "audit?who=" + t + "&what=" + t + "&target=" + t, t])
			await seen.at("#/" + address, address.startsWith("sagas/hostile-0") ? () => seen.has("graph") : told);
	}
	return seen.faults.splice(0);
})`

// Whatever a client, a participant, an operator, an admin who names keys and registers endpoints, or the author of a link writes, into whichever field, is text on every page: nothing of it runs, becomes markup or is even held up by
// the policy.
func TestNothingThatOthersWroteRuns(t *testing.T) {
	x := openWith(t, theatre.Config{Guarded: true, Outsiders: true})
	all := hostile(t)
	names := make([]string, len(all))
	for i, text := range all { // told of nothing by itself: what they are told of is others' texts, and the theatre's own endpoints have it
		names[i] = fmt.Sprintf("hostile-%d", i)
		at := httpapi.WebhookAddress{URL: x.URL() + "/outside/nobody?" + inURL(text)}
		if _, err := as(t, x, text, access.Admin).EnterWebhook(t.Context(), names[i], at); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	ids := make([]skald.SagaID, len(all))
	for i, text := range all {
		ids[i] = skald.SagaID(fmt.Sprintf("hostile-%d", i))
		v := theatre.Visit{Visitor: text, Show: text, Seats: 1, Trouble: []theatre.Trouble{theatre.SoldOut, theatre.FullBox}[i%2]}
		mode := bothModes[i/2%2]
		if i%8 == 2 {
			v.Trouble = theatre.Unclear // choreographed, it becomes a dead letter
		}
		if _, err := x.Begin(t.Context(), v, skald.WithID(ids[i]), skald.WithKey(printable(text)), skald.InMode(mode)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	var letters []string
	for i, text := range all {
		operator := as(t, x, text, access.Operator)
		switch {
		case i%8 == 2:
			letter := letterOf(t, operator, ids[i])
			if i%16 == 2 { // others wait, for their pages
				if _, err := operator.DiscardLetter(t.Context(), letter, text, text); err != nil {
					t.Fatalf("%q: %v", text, err)
				}
			} else {
				letters = append(letters, letter)
				continue // its saga goes on, since the letter of one that has ended is not replayed, nor compared
			}
		default:
			s := until(t, x, ids[i], "it is stuck or has ended", func(s *skald.Status) bool { return stuck(s) || ended(s) })
			if i%4 == 1 { // others stay stuck, for the page of incidents
				if err := operator.Resolve(t.Context(), s.ID, skald.Resolution{Step: s.Incidents[0].Step, Verb: skald.VerbSkip, By: text, Reason: text}); err != nil {
					t.Fatalf("%q: %v", text, err)
				}
			}
		}
		_ = operator.Cancel(t.Context(), ids[i], text, text) // whether or not it comes too late, the audit log has it
	}

	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/#/sagas")
	b.Sees(within("key"))
	b.Run("watch", chromedp.Evaluate[chromedp.Void](watchful))
	key, err := x.Key(t.Context(), named(strings.Join(all, " ")), access.Admin) // who sees whole URLs
	if err != nil {
		t.Fatal(err)
	}
	b.Fill("key", key)
	b.Click("sign-in")
	b.Sees(within("row"))
	for some := range slices.Chunk(ids, 9) { // each for itself, so that none takes longer than anything may; 9, so that each view meets each kind of trouble
		report(t, walk[[]string](t, b, sagasOf, some))
	}
	found := browsertest.Read(b, "look at the lists", chromedp.Evaluate[struct {
		Letters int      `json:"letters"`
		Faults  []string `json:"faults"`
	}](lists, chromedp.EvalAwaitPromise))
	report(t, found.Faults)
	if found.Letters != len(letters) {
		t.Errorf("%d dead letters were looked at, of %d", found.Letters, len(letters))
	}
	for some := range slices.Chunk(names, 5) {
		report(t, walk[[]string](t, b, endpoints, some))
	}
	if shown := browsertest.Read(b, "read a URL", chromedp.Evaluate[string](`(async () => { location.hash = "#/webhooks/hostile-0"; for (;;) { const at = document.querySelector("[data-testid=endpoint] code"); if (document.querySelector("h1")?.textContent === "hostile-0" && at) return at.textContent; await new Promise((r) => setTimeout(r, 20)); } })()`, chromedp.EvalAwaitPromise)); !strings.HasSuffix(shown, inURL(all[0])) {
		t.Errorf("a URL is shown as %q, not with %q", shown, inURL(all[0]))
	}
	var lures []string // some at a time, because each is a visit to every page
	for some := range slices.Chunk(all, 8) {
		lures = append(lures, strings.Join(some, " "))
	}
	lures = append(lures, "constructor", "__proto__") // names that every object has
	for some := range slices.Chunk(lures, 3) {
		report(t, walk[[]string](t, b, addresses, some))
	}
	shown := browsertest.Read(b, "read a key", chromedp.Evaluate[string](`(async () => { location.hash = "#/sagas/hostile-0"; for (;;) { const k = document.querySelector("[data-testid=business-key]"); if (k) return k.textContent; await new Promise((r) => setTimeout(r, 20)); } })()`, chromedp.EvalAwaitPromise))
	if shown != all[0] {
		t.Errorf("a key is shown as %q, not as %q", shown, all[0])
	}
}

// walk calls one of the walks with texts.
func walk[T any, S ~string](t *testing.T, b *browsertest.Browser, over string, texts []S) T {
	t.Helper()
	list, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	return browsertest.Read(b, "walk through the pages", chromedp.Evaluate[T](fmt.Sprintf("%s(%s)", over, list), chromedp.EvalAwaitPromise))
}

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, fault := range faults {
		t.Error(fault)
	}
}

// named is as much of a text as the name of a key may be.
func named(text string) string {
	text = printable(text)
	for len(text) > access.MaxName {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// bearer hands a key in with every request.
type bearer string

func (key bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(key))
	return http.DefaultTransport.RoundTrip(r)
}

// inURL is a text as it can stand in a URL's query: not escaped but where it would end it.
func inURL(text string) string {
	return strings.NewReplacer("%", "%25", "#", "%23").Replace(printable(text))
}

// as is somebody with a name and a role, over the API.
func as(t *testing.T, x *theatre.Theatre, name string, role access.Role) *httpapi.Client {
	t.Helper()
	key, err := x.Key(t.Context(), named(name), role)
	if err != nil {
		t.Fatalf("%q: %v", name, err)
	}
	client, err := httpapi.NewClient(httpapi.ClientConfig{Address: x.URL(), HTTP: &http.Client{Transport: bearer(key)}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// letterOf waits until a saga's message is set aside, and returns the dead letter's id.
func letterOf(t *testing.T, client *httpapi.Client, id skald.SagaID) string {
	t.Helper()
	for deadline := time.Now().Add(browsertest.Patience); time.Now().Before(deadline); {
		page, err := client.Letters(t.Context(), broker.LetterFilter{Saga: string(id), State: broker.Waiting})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Letters) > 0 {
			return page.Letters[0].ID
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Fatalf("%s: nothing was set aside", id)
	return ""
}
