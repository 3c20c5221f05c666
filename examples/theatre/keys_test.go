package theatre_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/theatre"
)

// press presses keys one after the other.
func press(b *browsertest.Browser, keys ...string) {
	for _, key := range keys {
		b.Run("press "+key, chromedp.KeyEvent(key))
	}
}

// tabTo presses the tabulator until something, by its data-testid, has the focus.
func tabTo(t *testing.T, b *browsertest.Browser, name string) {
	t.Helper()
	const most = 60
	for range most {
		press(b, "\t")
		if browsertest.Says[string](b, `document.activeElement.dataset.testid ?? ""`) == name {
			return
		}
	}
	t.Fatalf("%d times the tabulator do not lead to %s", most, name)
}

// put has a text in a field at once, in the place of what was in it.
func put(t *testing.T, b *browsertest.Browser, name, text string) {
	t.Helper()
	value, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	browsertest.Says[bool](b, fmt.Sprintf(`(() => { const field = document.querySelector(%q); field.value = %s; return field.dispatchEvent(new Event("input", { bubbles: true })); })()`, browsertest.ID(name), value))
}

// With the keyboard alone: a stuck saga is found, understood and mended, the dialog gives the focus back, and every part of a saga's page can be reached.
func TestStuckSagaIsMendedByKeysAlone(t *testing.T) {
	t.Parallel()
	x := open(t)
	begin(t, x, "full", skald.Choreographed, theatre.FullBox)
	until(t, x, "full", "it is stuck", stuck)
	b := chromium.Open(t, 1280, 900)
	b.Visit(x.URL() + "/")
	b.Shows(within("tile-incidents"), "1")
	press(b, "?")
	b.Sees(within("dialog"))
	press(b, "\x1b")
	sees(t, b, `!document.querySelector("dialog")`)
	press(b, "g", "i")
	b.Sees(within("incident"))
	tabTo(t, b, "verb-retry")
	press(b, "\r")
	b.Sees(within("reason"))
	press(b, "\x1b")
	sees(t, b, `!document.querySelector("dialog") && document.activeElement.dataset.testid === "verb-retry"`)

	x.Mend(theatre.FullBox)
	press(b, "\r")
	sees(t, b, `document.activeElement.dataset.testid === "reason"`)
	press(b, "the box was emptied")
	tabTo(t, b, "by")
	press(b, "Grace")
	tabTo(t, b, "confirm")
	press(b, "\r")
	until(t, x, "full", "it has ended", ended)
	b.Shows(within("empty"), "Nothing needs you")

	press(b, "g", "s")
	b.Sees(within("row"))
	press(b, "j", "\r")
	b.Sees(within("graph"))
	tabTo(t, b, "node")
	press(b, "\r")
	sees(t, b, `document.activeElement.getAttribute("aria-pressed") === "true" && location.hash.includes("step=")`)
	tabTo(t, b, "tab-steps")
	for _, view := range []string{"sequence", "journal", "input", "deliveries", "letters", "steps"} {
		press(b, kb.ArrowRight)
		sees(t, b, `document.activeElement.dataset.testid === "tab-`+view+`" && document.activeElement.getAttribute("aria-selected") === "true"`)
	}
}

// Who retries with another input mends what the step was called with, and does not write it anew: the input that was mapped, or the one that somebody gave before.
func TestRetryWithAnotherInputBeginsWithTheOneThatWasUsed(t *testing.T) {
	t.Parallel()
	x := open(t)
	b := chromium.Open(t, 400, 900)
	for _, mode := range bothModes {
		id := skald.SagaID("full-" + mode)
		begin(t, x, id, mode, theatre.FullBox)
		since := until(t, x, id, "it is stuck", stuck).Incidents[0].Since
		b.Visit(x.URL() + "/#/sagas/" + string(id))
		for _, change := range []struct{ from, to theatre.Letter }{
			{theatre.Letter{To: "Ada Lovelace", Trouble: theatre.FullBox}, theatre.Letter{To: "Alan Turing", Trouble: theatre.FullBox}},
			{theatre.Letter{To: "Alan Turing", Trouble: theatre.FullBox}, theatre.Letter{To: "Alan Turing"}},
		} {
			b.Click("verb-replace")
			b.Shows(within("payload-says"), "What it was called with")
			var has theatre.Letter
			if err := json.Unmarshal([]byte(browsertest.Says[string](b, `document.querySelector("[data-testid=payload]").value`)), &has); err != nil {
				t.Fatal(err)
			}
			if has.To != change.from.To || has.Trouble != change.from.Trouble || has.Text == "" {
				t.Errorf("%s: the form begins with %+v, not with %+v", id, has, change.from)
			}
			change.to.Text = has.Text
			given, err := json.Marshal(change.to)
			if err != nil {
				t.Fatal(err)
			}
			put(t, b, "payload", `{"to": "[redacted]"}`)
			b.Shows(within("payload-says"), "stands where a value is not kept")
			put(t, b, "payload", string(given))
			b.Shoot("replace")
			decide(b, "the other box has room")
			if change.to.Trouble != "" { // it is refused again
				since = until(t, x, id, "it is stuck again", func(s *skald.Status) bool { return stuck(s) && s.Incidents[0].Since.After(since) }).Incidents[0].Since
				b.Visit("about:blank")
				b.Visit(x.URL() + "/#/sagas/" + string(id))
			}
		}
		if s := until(t, x, id, "it has ended", ended); s.State != skald.Completed {
			t.Errorf("%s is %s", id, s.State)
		}
		b.Shows(within("incident-over"), "letters.send needs no help any more")
	}
}
