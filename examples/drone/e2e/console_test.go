package e2e_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/drone/bus"
)

// The console shows the deliveries' dead letters by reason code: what was remedied by itself and how, and what waits for a person, who sees what is handed out again before it is.
func TestOperatorSeesDeadLettersOfDeliveries(t *testing.T) {
	w := begin(t)
	id := w.send(parcelOf(func(q *wanted) { q.Package.Weight = 2.6 }))
	w.ends(id, "compensated")
	w.letterOf(id, "PackageFail.TooHeavy")
	misspelt := broker.Message{ID: "misspelt", Type: "drone.cancelled!", Source: "elsewhere", Saga: "x", Step: "command.1", Data: []byte(`{"parcel": "p-1"}`), Key: "x"}
	if err := w.broker.Publish(t.Context(), bus.DroneCommands, misspelt); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is set aside", func() bool { return len(lettersOf(w, bus.ReasonUnknownType)) > 0 })

	b := chromium.Open(t, 1280, 900)
	b.Visit(w.system.URL() + "/console/#/dead-letters?state=remedied")
	b.Shows(browsertest.ID("letters"), "PackageFail.TooHeavy")
	b.Shoot("remedied")
	b.Click("letter")
	b.Shows(browsertest.ID("letter-state"), "Remedied")
	b.Shows(browsertest.ID("letter-result"), "the saga turns back")
	b.Click("letter-replay")
	b.Run("compare with the input", chromedp.SetValue(browsertest.ID("against"), "input"), chromedp.Evaluate[chromedp.Void](`void document.querySelector('[data-testid="against"]').dispatchEvent(new Event("change", { bubbles: true }))`))
	b.Shows(browsertest.ID("diff"), `-   "`)
	b.Shoot("diff")

	b.Visit(w.system.URL() + "/console/#/sagas/" + id)
	b.Shows(browsertest.ID("state"), "Compensated")
	b.Click("tab-letters")
	b.Shows(browsertest.ID("saga-letters"), "PackageFail.TooHeavy")
	b.Click("tab-sequence")
	b.Sees(browsertest.ID("sequence"))
	b.Shoot("saga")

	b.Visit(w.system.URL() + "/console/#/dead-letters")
	b.Shows(browsertest.ID("letters"), bus.ReasonUnknownType)
	b.Shows(browsertest.ID("letters"), "a person has to decide")
	b.Click("letter")
	b.Shows(browsertest.ID("letter-result"), "a person has to decide")
	b.Shows(`section[aria-label="Message"]`, `"parcel": "p-1"`)
	b.Click("letter-discard")
	b.Run("say why", chromedp.SendKeys(browsertest.ID("reason"), "nobody sends this any more"))
	b.Fill("by", "Grace")
	b.Click("confirm")
	b.Shows(browsertest.ID("letter-result"), "Grace: nobody sends this any more")
	b.Shows(browsertest.ID("letter-state"), "Discarded")
}
