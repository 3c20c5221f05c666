package theatre_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/participant"
)

// The pages that need the API.
var asking = []struct{ address, shows string }{
	{"", "slowest"}, {"sagas", "row"}, {"sagas/back", "graph"}, {"incidents", "incident"}, {"dead-letters", "letters"}, {"definitions", "definitions"}, {"definitions/visit", "step-numbers"}, {"webhooks", "delivery"}, {"webhooks/agency", "delivery"}, {"audit", "change"},
}

// troubled lets the page's requests come to nothing, as globalThis.trouble says: gone, never answered, or answered with a status.
const troubled = `(() => {
	const real = globalThis.fetch;
	const says = { 403: ["Not allowed", "It takes the role admin."], 500: ["Something went wrong", "The log says what."], 502: [] };
	globalThis.fetch = (to, how) => {
		const t = globalThis.trouble;
		if (t === undefined || !String(to).includes("/v1/")) return real(to, how);
		if (t === "gone") return Promise.reject(new TypeError("Failed to fetch"));
		if (t === "slow") return new Promise((_, no) => how?.signal?.addEventListener("abort", () => no(new DOMException("over", "AbortError"))));
		const [title, detail] = says[t];
		return Promise.resolve(new Response(title ? JSON.stringify({ title, detail, status: t, type: "about:blank" }) : "<html>bad gateway", { status: t }));
	};
})(); true`

// Where a page cannot have what it shows it says what is wrong and what to do, has no more than lines where the content will be while it waits, and comes by itself when the trouble is over. What was there stays.
func TestPagesSayWhatIsWrongAndComeBack(t *testing.T) {
	t.Parallel()
	source := axe(t)
	x := openWithAllKinds(t)
	key, err := x.Key(t.Context(), "Grace", access.Operator)
	if err != nil {
		t.Fatal(err)
	}
	client, err := httpapi.NewClient(httpapi.ClientConfig{Address: x.URL(), HTTP: &http.Client{Transport: bearer(key)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.RetryDeliveries(t.Context(), "agency"); err != nil { // the audit log's line
		t.Fatal(err)
	}
	b := chromium.Open(t, 1280, 900)
	for _, at := range []struct {
		width int64
		light string
	}{{1280, "light"}, {400, "dark"}} {
		resize(b, at.width, at.light)
		b.Visit("about:blank")
		b.Visit(x.URL() + "/")
		signIn(t, b, x, "Ada", access.Operator)
		browsertest.Says[bool](b, source+"; true")
		browsertest.Says[bool](b, troubled)
		whole := func(p, state string) {
			t.Helper()
			if state == "gone" || state == "loading" || state == "lost" { // the others look the same
				for _, found := range violations(b) {
					t.Errorf("/%s at %d, %s: %s", p, at.width, state, found)
				}
			}
			if b.ScrollsSideways() {
				t.Errorf("/%s scrolls sideways at %d pixels, %s", p, at.width, state)
			}
			b.Shoot(fmt.Sprintf("%s-%s-%d", strings.NewReplacer("/", "-").Replace(p), state, at.width))
		}
		to := func(address string) { browsertest.Says[string](b, fmt.Sprintf(`location.hash = "#/%s"`, address)) }
		for _, p := range asking {
			for state, words := range map[string]string{`"gone"`: "The program does not answer", "403": "It takes the role admin.", "500": "The log says what.", "502": "Something between here and Skald"} {
				to("nowhere")
				b.Sees(within("empty"))
				browsertest.Says[bool](b, "trouble = "+state+"; true")
				to(p.address)
				b.Shows(within("fault"), words)
				whole(p.address, strings.Trim(state, `"`))
				browsertest.Says[bool](b, "trouble = undefined; true")
			}
			to("nowhere")
			b.Sees(within("empty"))
			browsertest.Says[bool](b, `trouble = "slow"; true`)
			to(p.address)
			b.Sees(within("loading"))
			whole(p.address, "loading")
			browsertest.Says[bool](b, "trouble = undefined; true")
			to("nowhere")
			b.Sees(within("empty"))
			to(p.address)
			b.Sees(within(p.shows))
		}
		// What was there stays, and nothing of it moves, while the program is gone; and it goes on by itself.
		to("incidents")
		b.Sees(within("incident"))
		settled(b)
		const top = `document.querySelector("[data-testid=stuck]").getBoundingClientRect().top`
		before := browsertest.Says[float64](b, top)
		browsertest.Says[bool](b, `trouble = "gone"; true`)
		b.Shows(within("fault"), "What is shown here is from before.")
		whole("incidents", "lost")
		if now := browsertest.Says[float64](b, top); now != before {
			t.Errorf("what was there moved by %g pixels at %d", now-before, at.width)
		}
		browsertest.Says[bool](b, "trouble = undefined; true")
		sees(t, b, `!document.querySelector("[data-testid=fault]")`)
		signOut(b)
	}
}

// stuckAndShown is a theatre with one saga, which is stuck, and whose page is open.
func stuckAndShown(t *testing.T, b *browsertest.Browser, id skald.SagaID, mode skald.Mode, trouble theatre.Trouble) *theatre.Theatre {
	t.Helper()
	x := open(t)
	begin(t, x, id, mode, trouble)
	until(t, x, id, "it is stuck", stuck)
	b.Visit("about:blank")
	b.Visit(x.URL() + "/#/sagas/" + string(id))
	b.Sees(within("incident"))
	return x
}

// While somebody reads a saga, incidents open and close, it ends, and letters of it are settled: all that is said, and none of it moves what is read.
func TestNothingMovesWhileASagaIsWatched(t *testing.T) {
	t.Parallel()
	b := chromium.Open(t, 400, 900)
	observing(b)
	for _, mode := range bothModes {
		id := skald.SagaID("watched-" + mode)
		x := stuckAndShown(t, b, id, mode, theatre.Unheard)
		settled(b)
		browsertest.Says[float64](b, "felt.moved = [], felt.shift = 0")

		b.Shows(within("last-answer"), "nothing was said yet")
		x.Mend(theatre.Unheard)
		b.Shows(within("last-answer"), "the plan of Edda is locked")
		retry := skald.Resolution{Step: "seats.reserve", Verb: skald.VerbRetry, By: "Grace", Reason: "the plan is unlocked"}
		if err := x.Engine().Resolve(t.Context(), id, retry); err != nil {
			t.Fatal(err)
		}
		b.Shows(within("incident-again"), "seats.reserve needs help again")
		b.Shoot("again-" + string(mode))
		b.Click("show-again")
		b.Shows(within("incident"), "Grace")
		if err := x.Engine().AnsweredLate(t.Context(), id, "cards.charge", participant.Answer{Class: participant.Done, Result: []byte(`{"number":1,"text":"charged after all"}`)}); err != nil {
			t.Fatal(err)
		}
		b.Shows(within("fresh-incidents"), "cards.charge needs help")
		b.Shoot("fresh-" + string(mode))
		x.Mend(theatre.Unreleased)
		if err := x.Engine().Resolve(t.Context(), id, retry); err != nil {
			t.Fatal(err)
		}
		b.Shows(within("incident-over"), "seats.reserve needs no help any more")
		b.Shows(within("state"), "Compensated")
		settled(b)
		if all := browsertest.Says[felt](b, "felt"); all.Shift > 0.005 {
			t.Errorf("%s: what moved while it was read sums up to %.4f: %q", id, all.Shift, all.Moved)
		}
		b.Click("fresh-incidents")
		b.Shows(within("incident"), "was answered in two ways")
		b.Shoot("shown-" + string(mode))
	}
}

// An incident that goes on for another reason is the same one: whoever has begun to write what is to be done about it is not interrupted.
func TestWhoDecidesIsNotInterruptedByAnotherReason(t *testing.T) {
	t.Parallel()
	b := chromium.Open(t, 1280, 900)
	for _, mode := range bothModes {
		id := skald.SagaID("late-" + mode)
		x := stuckAndShown(t, b, id, mode, theatre.LateBox)
		b.Shows(within("incident"), "skald.no_progress")
		b.Click("verb-retry")
		write(b, "reason", "the post is asked")
		x.Mend(theatre.LateBox)
		b.Shows(within("incident"), "Letters.Full")
		b.Shoot("other-reason-" + string(mode))
		if kept := browsertest.Says[string](b, `document.querySelector("[data-testid=reason]").value`); kept != "the post is asked" {
			t.Errorf("%s: the reason that was written is %q", id, kept)
		}
		x.Mend(theatre.FullBox)
		write(b, "by", "Grace")
		b.Click("confirm")
		b.Shows(within("incident-over"), "letters.send needs no help any more")
	}
}
