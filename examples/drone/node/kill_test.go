package node_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/node"
	"github.com/skaldhq/skald/examples/killtest"
)

// How much is killed, under which load.
const (
	kills  = 16
	inLoad = 8 // sagas at a time
)

// plan is what a saga of the load asks for, by its number, and how it has to end.
func plan(n int) (o order, state, reason string) {
	o.UpsertRequest = parcel.UpsertRequest{Delivery: fmt.Sprintf("d-%d", n), Package: fmt.Sprintf("p-%d", n), Size: parcel.Small, Weight: 1, Tag: "x"}
	switch n % 4 {
	case 1:
		o.Weight = 4
		return o, "compensated", parcel.ReasonTooHeavy
	case 2:
		o.Strike = true
		return o, "compensated", "CourierFail.Strike"
	}
	return o, "completed", ""
}

// F35, F14, F15: the broker, the sidecar and the service are killed at random under load. Every saga ends as it should, and nothing takes effect twice, because the service honours the
// Idempotency-Key.
func TestEverySagaEndsWithOneEffectWhateverIsKilled(t *testing.T) {
	needNode(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	data, port, address := t.TempDir(), killtest.Address(t), killtest.Address(t)
	server := startRole(t, "broker", func() []string { return []string{filepath.Join(data, "broker"), port} })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	service := startService(ctx, t, data, address)
	beside := startRole(t, "sidecar", func() []string {
		return []string{"--name=package", "--broker=nats://" + port, "--service=http://" + address, "--data=" + filepath.Join(data, "sidecar")}
	})
	e, saga := engine(t, "nats://"+port)
	started := load(ctx, t, e, saga, func() {
		for k := range kills {
			killtest.Pause(ctx, time.Duration(50+chance.IntN(250))*time.Millisecond)
			var err error
			switch victim := chance.IntN(5); {
			case victim == 0:
				server.kill()
				err = server.start(ctx)
			case victim < 3:
				beside.kill()
				err = beside.start(ctx)
			default:
				service.Kill()
				killtest.Pause(ctx, time.Duration(chance.IntN(100))*time.Millisecond)
				service, err = node.StartProcess(ctx, "", filepath.Join(data, "service"), address, io.Discard)
			}
			if err != nil {
				t.Errorf("kill %d: %v", k, err)
				return
			}
		}
	})
	t.Cleanup(func() { service.Kill() })
	audit(ctx, t, e, started, filepath.Join(data, "service"))
	if !strings.Contains(beside.said(), "call without a known result") {
		t.Errorf("no call was cut off, so the kills showed nothing:\n%s", beside.said())
	}
}

func startService(ctx context.Context, t *testing.T, data, address string) *node.Process {
	t.Helper()
	p, err := node.StartProcess(ctx, "", filepath.Join(data, "service"), address, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// load starts sagas until the havoc is over, and returns how many there are.
func load(ctx context.Context, t *testing.T, e *skald.Engine, saga *skald.Saga[order], havoc func()) int {
	over := make(chan struct{})
	go func() {
		defer close(over)
		havoc()
	}()
	var mu sync.Mutex
	number := 0
	next := func() int {
		mu.Lock()
		defer mu.Unlock()
		number++
		return number - 1
	}
	var workers sync.WaitGroup
	for range inLoad {
		workers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				n := next()
				o, _, _ := plan(n)
				for { // the broker may be away: the start is made again under the same id
					run, err := saga.Start(ctx, e, o, skald.WithID(skald.SagaID(o.Delivery)))
					if err == nil {
						glance(ctx, run)
						break
					}
					if ctx.Err() != nil {
						t.Errorf("saga %d was not started: %v", n, err)
						return
					}
					killtest.Pause(ctx, 20*time.Millisecond)
				}
			}
		})
	}
	workers.Wait()
	<-over
	return number
}

// glance waits for a saga, but not for one that has to wait for a lock that somebody died with. All are looked at in the end.
func glance(ctx context.Context, run skald.Run) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = run.Wait(ctx)
}

// audit looks whether every saga ended as it should, and whether that is what the service did.
func audit(ctx context.Context, t *testing.T, e *skald.Engine, started int, folder string) {
	t.Helper()
	if started < 2*kills {
		t.Errorf("there were only %d sagas", started)
	}
	t.Logf("%d sagas, %d kills", started, kills)
	type done struct{ acted, undone int }
	want := map[bool]done{true: {200, 0}, false: {200, 200}}
	ended := make(map[string]bool)
	for n := range started {
		o, state, reason := plan(n)
		status, err := e.Wait(ctx, skald.SagaID(o.Delivery))
		if err != nil || string(status.State) != state || status.Reason != reason {
			t.Errorf("%s ended as %s, %s, want %s, %s; %v", o.Delivery, status.State, status.Reason, state, reason, err)
		}
		ended[o.Delivery] = state == "completed"
	}
	entries := book(t, folder)
	for id, completed := range ended {
		action, undo := entries[id+"/package.upsert/action"], entries[id+"/package.upsert/compensation"]
		if action.Status == 409 && !completed && undo.Effect == nil {
			continue // too heavy: nothing to undo
		}
		if got := (done{action.Status, undo.Status}); got != want[completed] {
			t.Errorf("%s: the service has %+v, want %+v", id, got, want[completed])
		}
	}
}
