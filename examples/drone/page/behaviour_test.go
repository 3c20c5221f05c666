package page_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/skaldhq/skald/examples/browsertest"
)

// request is what the page posts.
type request struct {
	OwnerID, PickupLocation, DropOffLocation, PickupTime, Deadline, ConfirmationRequired string
	PackageInfo                                                                          struct {
		PackageID, Size string
		Weight          float64
	}
}

// posted waits until there are n calls that begin so, and returns them.
func (f *fake) posted(t *testing.T, call string, n int) []string {
	t.Helper()
	var found []string
	until(t, call, func() bool {
		found = nil
		for _, c := range f.calls() {
			if rest, ok := strings.CutPrefix(c, call+" "); ok {
				found = append(found, rest)
			}
		}
		return len(found) >= n
	})
	return found
}

func TestARequestIsMadeWithTheMapAndTheKeyboard(t *testing.T) {
	f := newFake(t)
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL)
	b.Sees(`[data-testid="city"] [aria-label="Opera: choose this place"]`)
	// A with the keyboard, B with a click on a place.
	b.Run("choose A", chromedp.Focus(chromedp.CSS(`[aria-label="Opera: choose this place"]`)), chromedp.KeyEvent("\r"))
	b.Run("choose B", chromedp.Click(chromedp.CSS(`[aria-label="Zoo: choose this place"]`), chromedp.NodeVisible))
	if got := browsertest.Says[string](b, `[...document.querySelectorAll('.near')].map((n) => n.textContent).join("|")`); !strings.HasPrefix(got, "Opera|Zoo|") {
		t.Errorf("the form names %q", got)
	}
	b.Run("weigh", chromedp.SetValue(browsertest.ID("field-weight"), "3,5"))
	b.Click("request-submit")
	b.Shows(browsertest.ID("request-answer"), "Accepted")
	var r request
	if err := json.Unmarshal([]byte(f.posted(t, "POST /api/deliveryrequests", 1)[0]), &r); err != nil {
		t.Fatal(err)
	}
	if r.PickupLocation != "55.682,12.601" || r.DropOffLocation != "55.6726,12.5214" || r.PackageInfo.Weight != 3.5 || r.PackageInfo.Size != "Medium" || r.PickupTime != "" || r.Deadline != "" || r.PackageInfo.PackageID == "" {
		t.Errorf("posted %+v", r)
	}
	b.Sees(`[data-testid="delivery-` + flying + `"][aria-current="true"]`)
	// Anywhere else on the map is a place, too.
	b.Run("click the middle", chromedp.Click(browsertest.ID("city"), chromedp.NodeVisible))
	if at := browsertest.Says[string](b, `document.querySelector('[data-testid="field-pickup"]').value`); !strings.HasPrefix(at, "55.6") || at == "55.682,12.601" {
		t.Errorf("a click set %q", at)
	}
}

func TestWhatIsRefusedIsSaid(t *testing.T) {
	f := newFake(t)
	f.set("POST /api/deliveryrequests", `{"title":"Unprocessable","status":422,"detail":"the request cannot be read","errors":[{"field":"weight","detail":"Give <i>kilograms</i>."}]}`)
	f.set("DELETE /api/deliveryrequests/"+flying, `{"title":"Conflict","status":409,"detail":"it has shipped","reason":"DeliveryFail.Shipped"}`)
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL + "/#" + flying)
	b.Click("request-submit")
	if said := b.Shows(browsertest.ID("request-answer"), "Not accepted."); !strings.Contains(said, "The request cannot be read. Give <i>kilograms</i>.") {
		t.Errorf("it says %q", said)
	}
	b.Click("cancel")
	if said := b.Shows(browsertest.ID("action-answer"), "DeliveryFail.Shipped"); !strings.Contains(said, "too late") {
		t.Errorf("it says %q", said)
	}
	b.Click("reschedule")
	b.Click("reschedule-send")
	b.Shows(browsertest.ID("action-answer"), "The new times were asked for.")
	if body := f.posted(t, "PATCH /api/deliveryrequests/"+flying, 1)[0]; !strings.Contains(body, `"pickupTime":"20`) || !strings.Contains(body, `"deadline":""`) {
		t.Errorf("asked %s", body)
	}
}

func TestDeadLettersAreSettledWithAReason(t *testing.T) {
	f := newFake(t)
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL)
	b.Shows(browsertest.ID("letters"), "DroneFail.NoneAvailable")
	b.Click("letter-replay")
	b.Run("say why", chromedp.SendKeys(chromedp.CSS(`.verb-form input`), "a drone landed\r"))
	if body := f.posted(t, "POST /api/deadletters/aa01/replay", 1)[0]; body != `{"by":"page","reason":"a drone landed"}` {
		t.Errorf("asked %s", body)
	}
	f.set("GET /api/deadletters", `[]`)
	b.Shows(`#letters`, "None. Try a parcel")
}

func TestSwitchesAreSetInThePanel(t *testing.T) {
	f := newFake(t)
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL)
	b.Shows(browsertest.ID("switches-open"), "1")
	b.Click("switches-open")
	b.Shows(`#switches`, "1 operation made to fail.")
	b.Run("make it slow", chromedp.Focus(browsertest.ID("switch-drone.assign")), chromedp.KeyEvent("Is s"))
	if body := f.posted(t, "PUT /api/switches/drone.assign", 1)[0]; body != `{"mode":"slow","count":0,"delay_ms":3000}` {
		t.Errorf("asked %s", body)
	}
	b.Click("switches-reset")
	f.posted(t, "DELETE /api/switches", 1)
	b.Run("escape", chromedp.KeyEvent("\x1b"))
	until(t, "the panel is closed", func() bool { return !browsertest.Says[bool](b, `document.querySelector('#switches').open`) })
	if !browsertest.Says[bool](b, `document.activeElement.id === "switches-open"`) {
		t.Error("the focus is lost")
	}
}

// What the services say is text, whatever it looks like.
func TestDataStaysText(t *testing.T) {
	f := newFake(t)
	evil := `<img src=x onerror=window.broken=1>`
	for _, call := range []string{"GET /api/fleet", "GET /api/deliveries", "GET /api/deadletters", "GET /api/outsider"} {
		f.set(call, strings.NewReplacer("Terne", evil, "d-02", evil, "all 10 drones are busy", evil, "DroneShipped", evil).Replace(f.answers[call]))
	}
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL + "/#" + undone)
	for _, selector := range []chromedp.CSS{`#fleet`, `#list`, `#letters`, `#outsider`} {
		b.Shows(selector, evil)
	}
	if browsertest.Says[bool](b, `window.broken === 1 || document.querySelector("main img") !== null`) {
		t.Error("what a service said became markup")
	}
}

func TestEmptyAndBrokenAreSaid(t *testing.T) {
	f := newFake(t)
	f.set("GET /api/deliveries", `[]`)
	f.set("GET /api/fleet", `[]`)
	f.set("GET /api/deadletters", `[]`)
	f.set("GET /api/outsider", `{"subscribed":false,"received":0,"duplicates":0,"refused":0,"events":[]}`)
	b := chromium.Open(t, 400, 900)
	b.Visit(f.URL)
	b.Shows(`#list`, "Nothing has been requested yet.")
	b.Shows(`#detail`, "Choose a delivery")
	b.Shows(`#letters`, "None. Try")
	b.Shows(`#outsider`, "It has not subscribed yet.")
	b.Shows(`#fleet`, "There are no drones.")
	b.Shows(browsertest.ID("connection"), "Live")
	f.stop(true)
	b.Shows(browsertest.ID("connection"), "Connection lost")
	b.Shows(`#letters`, "cannot be read")
	f.stop(false)
	f.set("GET /api/deliveries", deliveriesJSON)
	b.Shows(browsertest.ID("connection"), "Live")
	b.Shows(`#list`, "On the way to the drop-off")
}

func TestTheCityIsDrawnAsSoonAsItIsKnown(t *testing.T) {
	f := newFake(t)
	area := f.answers["GET /api/area"]
	f.set("GET /api/area", ``)
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL)
	b.Shows(`#map`, "The city cannot be drawn.")
	f.set("GET /api/area", area)
	b.Sees(browsertest.ID("city"))
	b.Sees(browsertest.ID("drone-d-02"))
}

// A drone is where it is said to be, and gets there smoothly.
func TestADroneMoves(t *testing.T) {
	f := newFake(t)
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL)
	b.Sees(browsertest.ID("drone-d-02"))
	const top = `document.querySelector('[data-testid="drone-d-02"]').getBoundingClientRect().top`
	before := browsertest.Says[float64](b, top)
	f.set("GET /api/fleet", fleetAt(1))
	until(t, "the drone is further north", func() bool { return browsertest.Says[float64](b, top) < before-40 })
	b.Run("choose it", chromedp.Click(browsertest.ID("drone-d-02"), chromedp.NodeVisible))
	b.Sees(`[data-testid="drone-d-02"][data-selected="true"]`)
}

// A way that leads out of the part of the city that is shown widens the map, and another one narrows it again.
func TestTheMapShowsTheWholeWay(t *testing.T) {
	f := newFake(t)
	f.set("GET /api/deliveries", strings.Replace(deliveriesJSON, "55.682000,12.601000", "55.605000,12.460000", 1))
	b := chromium.Open(t, 1280, 900)
	b.Visit(f.URL + "/#" + undone)
	b.Sees(browsertest.ID("map-whole") + `[aria-pressed="true"]`)
	b.Click("delivery-" + there)
	b.Sees(browsertest.ID("map-whole") + `[aria-pressed="false"]`)
	b.Click("map-whole")
	b.Sees(browsertest.ID("map-whole") + `[aria-pressed="true"]`)
}
