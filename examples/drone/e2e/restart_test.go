package e2e_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/skaldhq/skald/examples/drone/service/delivery"
	"github.com/skaldhq/skald/examples/drone/service/drone"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
	"github.com/skaldhq/skald/examples/drone/service/parcel"
	"github.com/skaldhq/skald/examples/drone/service/remediation"
	"github.com/skaldhq/skald/examples/drone/system"
	"github.com/skaldhq/skald/examples/killtest"
)

var (
	kills = flag.Int("drone.kills", 8, "how many processes TestKilledProcessesLoseNothing kills")
	seed  = flag.Uint64("drone.seed", 0, "of its choices; 0 makes one")
)

func TestEverythingGoesOnAfterARestartInMidFlight(t *testing.T) {
	w := begin(t, func(c *system.Config) { c.TimeFactor = 120 })
	toPickup := w.send(parcelOf(func(q *wanted) { q.Pickup = zoo }))
	onTheWay := w.send(parcelOf(func(q *wanted) { q.Pickup, q.Dropoff = hospital, zoo }))
	waiting := w.send(parcelOf(later))
	cancelled := w.send(parcelOf(later))
	w.reaches(onTheWay, "HeadedToDropoff")
	w.until(cancelled, "it has begun", func(h history) bool { return h.step("delivery.start") == "done" })
	w.expect(http.StatusAccepted, http.MethodDelete, "/api/deliveryrequests/"+cancelled, nil)
	w.shut()
	w.open()
	w.expect(http.StatusOK, http.MethodPatch, "/api/deliveryrequests/"+waiting, map[string]string{"pickupTime": ""})
	for _, id := range []string{toPickup, onTheWay, waiting} {
		if h := w.ends(id, "completed"); len(h.Incidents) != 0 {
			t.Errorf("delivery %s: %+v", id, h.Incidents)
		}
	}
	w.ends(cancelled, "compensated")
}

func TestKilledAfterTheAnswerTheDeliveryIsMade(t *testing.T) {
	t.Parallel()
	p := launch(t, "all", []string{"-listen", killtest.Address(t), "-data", filepath.Join(t.TempDir(), "data"), "-factor", fmt.Sprint(fast)}, nil)
	w := &world{t: t, client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}, url: func(string) string { return p.url }}
	var ids []string
	for range 2 {
		for range 3 {
			ids = append(ids, w.send(parcelOf()))
		}
		p.kill() // right after the answer
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		w.ends(id, "completed")
	}
	w.settle()
	stages := map[string]int{}
	for _, x := range get[[]item](w, "/api/deliveries?limit=200") {
		stages[x.Stage]++
	}
	if len(stages) != 1 || stages["Completed"] != len(ids) {
		t.Errorf("stages %v, want %d completed", stages, len(ids))
	}
}

// town is the whole system with each service, and the broker, as a process of its own.
func town(t *testing.T) (*world, []*program) {
	t.Helper()
	data, at := t.TempDir(), map[string]string{}
	roles := []string{"broker", parcel.Name, drone.Name, delivery.Name, remediation.Name, ingestion.Name}
	for _, role := range roles {
		at[role] = killtest.Address(t)
	}
	all := make([]*program, 0, len(roles))
	urls := map[string]string{}
	for _, role := range roles {
		env := []string{"LISTEN=" + at[role], "DATA=" + filepath.Join(data, role), "BROKER=nats://" + at["broker"]}
		for _, other := range roles[1:] {
			env = append(env, strings.ToUpper(other)+"=http://"+at[other])
		}
		all = append(all, launch(t, role, nil, env))
		urls[role] = "http://" + at[role]
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	return &world{t: t, client: client, url: func(service string) string { return urls[service] }}, all
}

// Whatever is killed while deliveries are requested, made and turned back, each one whose request was accepted ends as it should, with one drone and one package, and none is left behind.
func TestKilledProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("seed %d", *seed)
	chance := rand.New(rand.NewPCG(*seed, 0))
	w, all := town(t)
	expected := map[string]string{} // outcome by delivery
	for k := range *kills {
		for range 3 {
			q, outcome := parcelOf(), "completed"
			if chance.IntN(3) == 0 {
				q.Dropoff, outcome = airport, "compensated"
			}
			id, err := uuid.NewRandomFromReader(chanceReader{chance})
			if err != nil {
				t.Fatal(err)
			}
			w.sendUntilAccepted(q, id.String())
			expected[id.String()] = outcome
		}
		victim := all[chance.IntN(len(all))]
		t.Logf("kill %d: %s", k, victim.role)
		victim.kill()
		if err := victim.start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(expected)) {
		if h := w.untilEnded(id); h.Outcome != expected[id] {
			t.Errorf("delivery %s is %s (%s at %s), want %s", id, h.Outcome, h.Reason, h.Cause, expected[id])
		}
	}
	w.audit()
	t.Attr("tried", fmt.Sprintf("%d deliveries during %d kills (-seed %d)", len(expected), *kills, *seed))
}

// chanceReader makes ids of the test's own choices.
type chanceReader struct{ *rand.Rand }

func (c chanceReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c.Uint32())
	}
	return len(p), nil
}

// sendUntilAccepted requests a delivery as a client does whose request may be lost: again, with the same key.
func (w *world) sendUntilAccepted(q wanted, key string) {
	w.t.Helper()
	last := ""
	w.eventually("the request is accepted", func() bool {
		a, err := w.try(http.MethodPost, "/api/deliveryrequests", q, "Idempotency-Key", key)
		last = fmt.Sprintf("%d %s %v", a.status, a.body, err)
		return err == nil && a.status == http.StatusAccepted
	}, func() string { return last })
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
