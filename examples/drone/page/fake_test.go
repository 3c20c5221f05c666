package page_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/drone/page"
)

// fake answers as the drone system does, with what the test says.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]string // by "METHOD path"
	asked   []string          // "METHOD path body", of what changes something
	changed chan struct{}
	down    bool
}

const areaJSON = `{"center":"55.676100,12.568300","bounds":["55.600000,12.450000","55.750000,12.700000"],"timeFactor":60,
"depots":[{"name":"Nordhavn","at":"55.710000,12.595000"},{"name":"Vesterbro","at":"55.665500,12.543000"},{"name":"Amager","at":"55.656000,12.613000"}],
"noFly":[{"name":"Airport","at":"55.618000,12.650000","radius_m":2500},{"name":"Royal palace","at":"55.684100,12.593000","radius_m":250}],
"places":[{"name":"City hall","at":"55.675900,12.569700"},{"name":"Central station","at":"55.672700,12.564600"},{"name":"University hospital","at":"55.696300,12.566400"},{"name":"Botanical garden","at":"55.687200,12.573800"},
{"name":"Opera","at":"55.682000,12.601000"},{"name":"Zoo","at":"55.672600,12.521400"},{"name":"Harbour baths","at":"55.661000,12.572000"},{"name":"Beach park","at":"55.657000,12.640000"},{"name":"Stadium","at":"55.702600,12.572200"},{"name":"Bellahøj","at":"55.707600,12.520000"}]}`

const servicesJSON = `[{"name":"package","language":"JavaScript","level":"L1"},{"name":"drone","language":"Go","level":"L2"},{"name":"delivery","language":"Go","level":"L2"}]`

const (
	flying = "0b9d6a52-7c10-4f7e-9a39-5a54cbd9a001"
	undone = "0b9d6a52-7c10-4f7e-9a39-5a54cbd9a002"
	there  = "0b9d6a52-7c10-4f7e-9a39-5a54cbd9a003"
)

const deliveriesJSON = `[
{"id":"` + flying + `","ownerId":"page","stage":"HeadedToDropoff","pickup":"55.675900,12.569700","dropoff":"55.696300,12.566400","at":"55.68,12.56","droneId":"d-02","outcome":"running","legs":{"package":"done","drone":"done","delivery":"done"},"requested":"2026-11-21T20:00:03Z","updated":"2026-11-21T20:00:05Z"},
{"id":"` + undone + `","ownerId":"page","stage":"","pickup":"55.682000,12.601000","dropoff":"55.657000,12.640000","reason":"PackageFail.TooHeavy","outcome":"compensated","legs":{"package":"refused","drone":"undone","delivery":"waiting"},"requested":"2026-11-21T20:00:02Z","updated":"2026-11-21T20:00:05Z"},
{"id":"` + there + `","ownerId":"page","stage":"Completed","pickup":"55.672600,12.521400","dropoff":"55.702600,12.572200","droneId":"d-05","outcome":"completed","legs":{"package":"done","drone":"done","delivery":"done"},"requested":"2026-11-21T20:00:01Z","updated":"2026-11-21T20:00:05Z"}]`

const historyJSON = `{"id":"` + flying + `","state":"running","outcome":"running","mode":"choreographed","steps":[
{"name":"package.upsert","level":"L1","state":"done","attempt":1},{"name":"drone.assign","level":"L2","state":"done","attempt":1},{"name":"delivery.start","level":"L2","state":"done","attempt":1},{"name":"delivery.ship","level":"L2","state":"done","attempt":3},
{"name":"delivery.complete","state":"running","attempt":2},{"name":"drone.release","state":"waiting"},{"name":"delivery.notify","state":"waiting"}],"incidents":[],
"events":[{"seq":1,"at":"2026-11-21T20:00:03.012Z","kind":"SagaStarted"},{"seq":2,"at":"2026-11-21T20:00:03.112Z","kind":"StepSucceeded","step":"package.upsert"},{"seq":3,"at":"2026-11-21T20:00:03.132Z","kind":"StepSucceeded","step":"drone.assign"},
{"seq":4,"at":"2026-11-21T20:00:03.212Z","kind":"StepSucceeded","step":"delivery.start"},{"seq":5,"at":"2026-11-21T20:00:08.332Z","kind":"StepSucceeded","step":"delivery.ship"}]}`

const undoneJSON = `{"id":"` + undone + `","state":"compensated","outcome":"compensated","mode":"choreographed","reason":"PackageFail.TooHeavy","cause":"package.upsert","steps":[
{"name":"package.upsert","state":"refused","attempt":1,"reason":"PackageFail.TooHeavy"},{"name":"drone.assign","state":"undone","attempt":1},{"name":"delivery.start","state":"skipped"},{"name":"delivery.ship","state":"skipped"},
{"name":"delivery.complete","state":"skipped"},{"name":"drone.release","state":"skipped"},{"name":"delivery.notify","state":"skipped"}],"incidents":[],
"events":[{"seq":1,"at":"2026-11-21T20:00:02.012Z","kind":"SagaStarted"},{"seq":2,"at":"2026-11-21T20:00:02.112Z","kind":"StepRefused","step":"package.upsert","reason":"PackageFail.TooHeavy","detail":"<b>9 kg</b> & more"}]}`

const lettersJSON = `[{"id":"aa01","reason":"DroneFail.NoneAvailable","description":"all 10 drones are busy","meaning":"no drone that could do it is free","remedy":"replay","saga":"` + flying + `","step":"drone.assign","count":3,"first":"2026-11-21T20:00:01Z","last":"2026-11-21T20:00:04Z","state":"waiting","at":"2026-11-21T20:00:04Z"},
{"id":"aa02","reason":"PackageFail.TooHeavy","description":"9.0 kg is more than the 2.5 kg of a Small package","meaning":"the package weighs more than its size may","remedy":"compensate","saga":"` + undone + `","step":"package.upsert","count":1,"first":"2026-11-21T20:00:02Z","last":"2026-11-21T20:00:02Z","state":"discarded","note":"remediation: compensated","at":"2026-11-21T20:00:02Z"}]`

const outsiderJSON = `{"subscribed":true,"received":4,"duplicates":1,"refused":0,"events":[
{"id":"e4","type":"DroneShipped","source":"delivery","subject":"` + flying + `","received":"2026-11-21T20:00:08.4Z","copies":1,"data":{}},{"id":"e3","type":"DeliveryHeadedToPickup","source":"delivery","subject":"` + flying + `","received":"2026-11-21T20:00:03.4Z","copies":2,"data":{}},
{"id":"e2","type":"DeliveryCreated","source":"delivery","subject":"` + flying + `","received":"2026-11-21T20:00:03.3Z","copies":1,"data":{}},{"id":"e1","type":"DeliveryCompleted","source":"delivery","subject":"` + there + `","received":"2026-11-21T20:00:01.3Z","copies":1,"data":{}}]}`

const switchesJSON = `[{"service":"delivery","operation":"delivery.ship","mode":"off","count":0,"delay_ms":0},{"service":"delivery","operation":"delivery.start","mode":"off","count":0,"delay_ms":0},
{"service":"drone","operation":"drone.assign","mode":"off","count":0,"delay_ms":0},{"service":"drone","operation":"drone.free","mode":"off","count":0,"delay_ms":0},{"service":"package","operation":"package.upsert","mode":"refuse","count":0,"delay_ms":0}]`

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{changed: make(chan struct{}), answers: map[string]string{
		"GET /api/area": areaJSON, "GET /api/services": servicesJSON, "GET /api/fleet": fleetAt(0), "GET /api/deliveries": deliveriesJSON, "GET /api/deadletters": lettersJSON, "GET /api/outsider": outsiderJSON, "GET /api/switches": switchesJSON,
		"GET /api/deliveryrequests/" + flying + "/history": historyJSON, "GET /api/deliveryrequests/" + undone + "/history": undoneJSON,
	}}
	mux := http.NewServeMux()
	mux.Handle("/", page.Handler())
	mux.HandleFunc("GET /api/stream", f.stream)
	mux.HandleFunc("/api/", f.answer)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		down := f.down
		f.mu.Unlock()
		if down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	call := r.Method + " " + r.URL.Path
	if r.Method != http.MethodGet {
		f.asked = append(f.asked, call+" "+string(body))
	}
	if call == "POST /api/deliveryrequests" && f.answers[call] == "" {
		w.Header().Set("Location", "/api/deliveries/"+flying)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	answer, known := f.answers[call]
	switch {
	case known && r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
	case known:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
	case r.Method == http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	_, _ = io.WriteString(w, answer)
}

// set changes an answer; one of fleet or deliveries is streamed, too.
func (f *fake) set(call, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[call] = answer
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) stop(down bool) {
	f.mu.Lock()
	f.down = down
	f.mu.Unlock()
	if down {
		f.CloseClientConnections()
	}
}

// calls returns what changed something so far.
func (f *fake) calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

func (f *fake) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		f.mu.Lock()
		fleet, deliveries, changed := f.answers["GET /api/fleet"], f.answers["GET /api/deliveries"], f.changed
		f.mu.Unlock()
		fmt.Fprintf(w, "event: fleet\ndata: %s\n\nevent: deliveries\ndata: %s\n\n", line(fleet), line(deliveries))
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// line is JSON without line breaks.
func line(text string) string {
	packed, err := json.Marshal(json.RawMessage(text))
	if err != nil {
		return "[]"
	}
	return string(packed)
}

// fleetAt is the fleet with the one that flies at a part of its way.
func fleetAt(part float64) string {
	lat, lon := 55.6759+part*(55.6963-55.6759), 12.5697+part*(12.5664-12.5697)
	heading := math.Mod(360+math.Atan2((12.5664-12.5697)*math.Cos(55.68*math.Pi/180), 55.6963-55.6759)*180/math.Pi, 360)
	fleet := []map[string]any{
		{"id": "d-02", "name": "Terne", "state": "to_dropoff", "at": fmt.Sprintf("%.6f,%.6f", lat, lon), "heading": heading, "battery": 0.71, "capacity_kg": 2.5, "delivery": flying},
		{"id": "d-06", "name": "Krage", "state": "to_pickup", "at": "55.668000,12.580000", "heading": 70, "battery": 0.9, "capacity_kg": 5, "delivery": "0b9d6a52-7c10-4f7e-9a39-5a54cbd9a009"},
	}
	for i, d := range []struct {
		name, at string
		carries  float64
	}{{"Alke", "55.710000,12.595000", 2.5}, {"Svale", "55.656000,12.613000", 2.5}, {"Lærke", "55.665500,12.543000", 2.5}, {"Måge", "55.702600,12.572200", 5}, {"Ravn", "55.656000,12.613000", 5},
		{"Hejre", "55.710000,12.595000", 10}, {"Svane", "55.665500,12.543000", 10}, {"Ørn", "55.656000,12.613000", 10}} {
		fleet = append(fleet, map[string]any{"id": fmt.Sprintf("d-1%d", i), "name": d.name, "state": "idle", "at": d.at, "heading": 0, "battery": 1 - float64(i)/9, "capacity_kg": d.carries})
	}
	text, err := json.Marshal(fleet)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// until waits for something to become true.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(browsertest.Patience)
	defer deadline.Stop()
	for tick := time.NewTicker(20 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", browsertest.Patience, what)
		}
	}
}
