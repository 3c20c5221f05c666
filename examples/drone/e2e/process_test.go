package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/drone/service/remediation"
	"github.com/skaldhq/skald/examples/killtest"
)

// How the processes are killed: go test ./drone/e2e -run KilledProcesses -drone.kills 60 -drone.seed 7.
var (
	kills = flag.Int("drone.kills", 27, "how many processes TestKilledProcessesLoseNothing kills: each three times; with those of the order system it is more than a hundred")
	seed  = flag.Uint64("drone.seed", 0, "repeats which process is killed when; 0: another each time")
)

// fast is the factor of the programs that tests start.
const fast = "500"

// plenty is how many drones are never used up, so that only what a test does turns deliveries back.
const plenty = 400

func TestKilledAfterTheAnswerTheDeliveryIsMade(t *testing.T) {
	t.Parallel()
	const all = "../cmd/all"
	at := killtest.Address(t)
	p := killtest.Start(t, killtest.Program{
		Name: "all", Path: killtest.Build(t, all)[all], Args: []string{"-listen", at, "-data", filepath.Join(t.TempDir(), "data"), "-factor", fast}, Ready: "the drone system runs",
	})
	w := outside(t, func(string) string { return "http://" + at })
	var ids []string
	for range 2 {
		p.WaitReady(t)
		for range 3 {
			ids = append(ids, w.send(parcelOf()))
		}
		p.Rage(t.Context(), killtest.Havoc{Kills: 1}) // right after the answer
	}
	p.WaitReady(t)
	for _, id := range ids {
		w.ends(id, "completed")
	}
	w.settle()
	stages := map[string]int{}
	for _, x := range get[[]item](w, "/api/deliveries") {
		stages[x.Stage]++
	}
	if len(stages) != 1 || stages["Completed"] != len(ids) {
		t.Errorf("stages %v, want %d completed", stages, len(ids))
	}
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

// outside is a world in processes of its own, of which only the addresses are known. What a client waits for is bounded: whoever is killed answers no more.
func outside(t *testing.T, url func(service string) string) *world {
	t.Helper()
	return &world{t: t, url: url, client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// The parts of a town beside the services.
const (
	sidecar   = "sidecar"
	outsiders = "outsiders"
	outsider  = "outsider"
)

// town is the whole system with each service, and the broker, as a process of its own: Package is the one in JavaScript, and its sidecar is one more.
func town(t *testing.T) (*world, *killtest.Fleet) {
	t.Helper()
	if _, err := node.Version(t.Context(), ""); err != nil {
		t.Skip(err)
	}
	javascript, err := exec.LookPath("node")
	if err != nil {
		t.Fatal(err)
	}
	data, at := t.TempDir(), map[string]string{}
	for _, name := range []string{"broker", parcel.Name, sidecar, drone.Name, delivery.Name, remediation.Name, outsiders, outsider, ingestion.Name} {
		at[name] = killtest.Address(t)
	}
	url := func(name string) string { return "http://" + at[name] }
	const broker, beside = "../../cmd/broker", "../node/cmd/package"
	packages := []string{broker, beside}
	for _, name := range []string{drone.Name, delivery.Name, remediation.Name, outsiders, outsider, ingestion.Name} {
		packages = append(packages, "../cmd/"+name)
	}
	built := killtest.Build(t, packages...)
	service := func(name, path string, args ...string) killtest.Program {
		env := []string{"LISTEN=" + at[name], "DATA=" + filepath.Join(data, name), "BROKER=nats://" + at["broker"]}
		return killtest.Program{Name: name, Path: path, Args: args, Env: env, Ready: "listens on"}
	}
	p := killtest.Start(t,
		service("broker", built[broker]),
		service(parcel.Name, javascript, "../node/main.mjs"),
		service(sidecar, built[beside], "-service", url(parcel.Name), "-sidecar", at[sidecar]),
		service(drone.Name, built["../cmd/drone"], "-factor", fast, "-drones", fmt.Sprint(plenty)),
		service(delivery.Name, built["../cmd/delivery"], "-factor", fast),
		service(remediation.Name, built["../cmd/remediation"]),
		service(outsiders, built["../cmd/outsiders"], "-allow-loopback"),
		service(outsider, built["../cmd/outsider"], "-service", url(outsiders)),
		service(ingestion.Name, built["../cmd/ingestion"], "-sidecar", parcel.Name+"=JavaScript", "-package", url(parcel.Name), "-drone", url(drone.Name),
			"-delivery", url(delivery.Name), "-remediation", url(remediation.Name), "-outsider", url(outsider)),
	)
	p.WaitReady(t)
	w := outside(t, url)
	w.eventually("the outsider has subscribed", func() bool {
		all := get[[]struct{ State string }](w, url(outsiders)+"/api/subscriptions")
		return len(all) == 1 && all[0].State == "validated"
	})
	return w, p
}

// Whatever is killed while deliveries are requested, made and turned back, each one whose request was accepted ends as it should, with one drone and one package, and none is left behind. Each status event
// gets to the outsider who subscribed.
func TestKilledProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	w, p := town(t)
	h := killtest.Havoc{Seed: *seed, Kills: *kills, Pause: 350 * time.Millisecond, Down: 150 * time.Millisecond}
	if h.Seed == 0 {
		h.Seed = rand.Uint64()
	}
	t.Logf("repeat with -drone.seed %d -drone.kills %d", h.Seed, h.Kills)
	requesting, enough := context.WithCancel(t.Context())
	defer enough()
	clients := w.requesting(requesting, h.Seed)
	began := time.Now()
	killed := p.Rage(t.Context(), h)
	enough()
	expected := clients()
	t.Attr("tried", fmt.Sprintf("%d deliveries accepted during %d kills in %s (-drone.seed %d): %v", len(expected), h.Kills, time.Since(began).Round(time.Second), h.Seed, killed))
	if err := p.Wrought(h, killed); err != nil {
		t.Error(err)
	}
	if len(expected) < h.Kills {
		t.Errorf("only %d deliveries were accepted: that is no load", len(expected))
	}
	p.WaitReady(t)
	exhausted := 0
	for _, id := range slices.Sorted(maps.Keys(expected)) {
		h := w.untilEnded(id)
		if h.Outcome == "compensated" && h.Reason == "skald.retries_exhausted" && h.Cause == "package.upsert" { // the service behind the sidecar was away for all attempts: on a busy machine it starts slowly
			expected[id], exhausted = h.Outcome, exhausted+1
		}
		if h.Outcome != expected[id] {
			t.Errorf("delivery %s is %s (%s at %s), want %s", id, h.Outcome, h.Reason, h.Cause, expected[id])
		}
	}
	if 4*exhausted > len(expected) {
		t.Errorf("%d of %d deliveries were turned back because of the service behind the sidecar", exhausted, len(expected))
	}
	if all := w.outcomes(); len(all) != len(expected) {
		t.Errorf("there are %d deliveries, and %d were accepted", len(all), len(expected))
	}
	w.audit()
	w.auditOutsider(expected)
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

// requesting lets clients request deliveries until the context ends, some of which have to be turned back. Each insists until its request is accepted, also then: so nothing that was asked for is still on its way
// when all have left. The returned function waits for that and returns how each delivery has to end.
func (w *world) requesting(open context.Context, seed uint64) func() map[string]string {
	const clients = 4
	outcomes := map[string]string{}
	var mu sync.Mutex
	var work sync.WaitGroup
	for i := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(i+2)))
		work.Go(func() {
			for open.Err() == nil {
				q, outcome := parcelOf(), "completed"
				if r.IntN(3) == 0 {
					q.Dropoff, outcome = airport, "compensated"
				}
				id, err := uuid.NewRandomFromReader(chanceReader{r})
				if err != nil || !w.insist(q, id.String()) {
					w.t.Errorf("request %s is not accepted: %v", id, err)
					return
				}
				mu.Lock()
				outcomes[id.String()] = outcome
				mu.Unlock()
				killtest.Pause(open, time.Duration(r.IntN(400))*time.Millisecond)
			}
		})
	}
	return func() map[string]string {
		work.Wait()
		return outcomes
	}
}

// chanceReader makes ids of the test's own choices.
type chanceReader struct{ *rand.Rand }

func (c chanceReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c.Uint32())
	}
	return len(p), nil
}

// insist requests a delivery as a client does whose request may be lost: again, with the same key, until it is accepted. It is false if that takes too long.
func (w *world) insist(q wanted, key string) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		a, err := w.try(http.MethodPost, "/api/deliveryrequests", q, "Idempotency-Key", key)
		if err == nil && a.status == http.StatusAccepted {
			return true
		}
		killtest.Pause(w.t.Context(), 100*time.Millisecond)
	}
	return false
}

// untilEnded waits for an outcome at a front door that may be away for a while.
func (w *world) untilEnded(id string) (h history) {
	w.t.Helper()
	last := ""
	w.eventually("delivery "+id+" has an outcome", func() bool {
		a, err := w.try(http.MethodGet, "/api/deliveryrequests/"+id+"/history", nil)
		last = fmt.Sprintf("%d %s %v", a.status, a.body, err)
		if err != nil || a.status != http.StatusOK {
			return false
		}
		h = decode[history](w.t, a.body)
		return h.Outcome != ""
	}, func() string { return last })
	return h
}

// auditOutsider compares what the outsider took in with what there was to tell: of a delivery that was made all its stages, each once; those here that are turned back are so before there is anything to tell.
func (w *world) auditOutsider(outcomes map[string]string) {
	w.t.Helper()
	const stages = 6 // DeliveryCreated, DeliveryHeadedToPickup, DroneShipped, DeliveryHeadedToDropoff, DeliveryCompleted, DeliveryNotified
	want := 0
	for _, o := range outcomes {
		if o == "completed" {
			want += stages
		}
	}
	var got struct{ Received, Duplicates, Refused int }
	w.eventually("the outsider has all events", func() bool {
		got = get[struct{ Received, Duplicates, Refused int }](w, w.url(outsider)+"/events")
		return got.Received >= want
	}, func() string { return fmt.Sprintf("%+v, want %d", got, want) })
	if got.Received != want || got.Refused != 0 {
		w.t.Errorf("the outsider took in %d events and refused %d, want %d; copies were %d", got.Received, got.Refused, want, got.Duplicates)
	}
}
