package soak

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/sqlitestore"
)

// More by hand: go test ./internal/soak -timeout 0 -sagas 2000000 -v.
var (
	sagas = flag.Int("sagas", 20_000, "how many sagas are run")
	every = flag.Duration("every", time.Second, "how often there is a fault")
	seed  = flag.Uint64("seed", 0, "repeats the order of the faults; 0: another each time")
)

const (
	callLimit  = 2 * time.Second // of one call; long, because a call that is given up while it works on a busy machine makes the machine busier
	retryFirst = 10 * time.Millisecond
	retryMost  = 200 * time.Millisecond
	customers  = 32
	quarters   = 4
	lasting    = 200 * time.Millisecond // of a fault
)

// house is everything under test.
type house struct {
	t           *testing.T
	path        string
	saga        *skald.Saga[visit]
	seats, bank *service
	egress      *httpparticipant.Egress
	calls       map[string]skald.Participant

	mu     sync.Mutex
	engine *skald.Engine
	store  *sqlitestore.Store
	again  chan struct{} // closed when there is another engine

	outcomes []store.State // by the saga's number
	happened map[string]int
	ahead    []int // the faults of this round that have not come about: each does before one comes again, also from one quarter to the next
}

func open(t *testing.T, sagas int) *house {
	t.Helper()
	h := &house{t: t, path: filepath.Join(t.TempDir(), "journals.db"), saga: definition(t), seats: theatre(t), bank: bank(t),
		egress: httpparticipant.NewEgress(httpparticipant.EgressConfig{}), again: make(chan struct{}), outcomes: make([]store.State, sagas), happened: make(map[string]int)}
	h.calls = make(map[string]skald.Participant)
	for name, s := range map[string]*service{"seats": h.seats, "bank": h.bank} {
		client, err := httpparticipant.New(httpparticipant.Config{BaseURL: s.url(), Egress: h.egress})
		if err != nil {
			t.Fatal(err)
		}
		h.calls[name] = skald.Participant{Invoker: client, Level: participant.L2, Failures: 50, Pause: 100 * time.Millisecond}
	}
	h.opens()
	t.Cleanup(func() {
		h.closes(context.WithoutCancel(t.Context()))
		h.egress.Close()
	})
	return h
}

// opens opens the store and an engine on it.
func (h *house) opens() {
	st, err := sqlitestore.Open(sqlitestore.Config{Path: h.path})
	if err != nil {
		h.t.Errorf("opening the store: %v", err)
		return
	}
	h.store = st
	h.take(h.next())
}

// next is another engine on the store.
func (h *house) next() *skald.Engine {
	e, err := skald.Open(context.Background(), skald.Config{Store: h.store, Sagas: []skald.Registered{h.saga}, Participants: h.calls, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Errorf("opening an engine: %v", err)
	}
	return e
}

// take hands an engine to the customers.
func (h *house) take(e *skald.Engine) (before *skald.Engine) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before, h.engine = h.engine, e
	close(h.again)
	h.again = make(chan struct{})
	return before
}

func (h *house) now() (*skald.Engine, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.engine, h.again
}

func (h *house) closes(ctx context.Context) {
	e, _ := h.now()
	_ = e.Stop(ctx) // with a context that has ended it is cut off, which it says
	if err := h.store.Close(); err != nil {
		h.t.Errorf("closing the store: %v", err)
	}
}

// TestManySagasWithAFaultEverySecond runs sagas in four quarters. After each everything is at rest and measured: the last must need no more than the first.
func TestManySagasWithAFaultEverySecond(t *testing.T) {
	n := *sagas
	if testing.Short() {
		n = 200 // the race detector makes each cost twenty times as much
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat the order of the faults with -seed %d", *seed)
	h := open(t, n)
	began := time.Now()
	order := rand.New(rand.NewPCG(*seed, 1))
	var use [quarters]usage
	rest := runtime.NumGoroutine()
	for q := range quarters {
		h.quarter(q*n/quarters, (q+1)*n/quarters, order)
		use[q] = h.measure(rest)
		t.Logf("%6d sagas: %s", (q+1)*n/quarters, use[q])
	}
	took := time.Since(began)
	t.Logf("%d sagas in %s, %.0f a second; faults %v", n, took.Round(time.Second), float64(n)/took.Seconds(), h.happened)
	h.audit()
	h.everyFaultHappened()
	first, last := use[0], use[quarters-1]
	if most := first.heap + first.heap/4 + 2<<20; last.heap > most {
		t.Errorf("the heap grew from %d to %d KiB", first.heap>>10, last.heap>>10)
	}
	if last.goroutines > rest {
		t.Errorf("goroutines grew from %d to %d", rest, last.goroutines)
	}
}

// quarter runs the sagas of these numbers, with faults meanwhile.
func (h *house) quarter(from, to int, order *rand.Rand) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var trouble, buying sync.WaitGroup
	trouble.Go(func() { h.havoc(ctx, order) })
	var next atomic.Int64
	next.Store(int64(from))
	for range customers {
		buying.Go(func() {
			for n := int(next.Add(1)) - 1; n < to; n = int(next.Add(1)) - 1 {
				h.outcomes[n] = h.order(ctx, n)
			}
		})
	}
	buying.Wait()
	cancel()
	trouble.Wait()
}

func id(n int) journal.SagaID { return journal.SagaID(fmt.Sprintf("saga-%d", n)) }

func poor(n int) bool { return n%5 == 0 }

// order starts a saga and waits for its end, with whichever engine there is, again and again if need be.
func (h *house) order(ctx context.Context, n int) store.State {
	for {
		e, other := h.now()
		_, err := h.saga.Start(ctx, e, visit{Poor: poor(n)}, skald.WithID(id(n)))
		if err == nil {
			var s skald.Status
			if s, err = e.Wait(ctx, id(n)); err == nil {
				return s.State
			}
		}
		if ctx.Err() != nil {
			h.t.Errorf("saga %d: %v", n, err)
			return ""
		}
		moment := time.NewTimer(20 * time.Millisecond)
		select {
		case <-other:
		case <-moment.C:
		}
		moment.Stop()
	}
}

// usage is what the process needs at rest.
type usage struct {
	heap       uint64 // bytes
	goroutines int
}

func (u usage) String() string {
	return fmt.Sprintf("%d KiB of heap, %d goroutines", u.heap>>10, u.goroutines)
}

// measure says what is left when everything has come to rest. Kept connections are closed first, how many there are is chance; what serves them ends by itself, and is waited for.
func (h *house) measure(rest int) usage {
	h.egress.Close()
	for until := time.Now().Add(2 * time.Minute); runtime.NumGoroutine() > rest && time.Now().Before(until); {
		runtime.Gosched()
	}
	runtime.GC()
	runtime.GC() // what the first one finds to finalize
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{m.HeapAlloc, runtime.NumGoroutine()}
}

// audit holds the effects against the outcomes.
func (h *house) audit() {
	seats, admissions, charges := h.seats.effects(h.t, "seats"), h.seats.effects(h.t, "admissions"), h.bank.effects(h.t, "charges")
	completed := 0
	for n, outcome := range h.outcomes {
		want := 0
		if outcome == store.Completed {
			want = 1
			completed++
		}
		if got := [...]int{seats[id(n)], admissions[id(n)], charges[id(n)]}; got != [...]int{want, want, want} {
			h.t.Errorf("saga %d is %s and has %v seats, admissions and charges", n, outcome, got)
		}
		if outcome != store.Completed && outcome != store.Compensated || poor(n) && outcome == store.Completed {
			h.t.Errorf("saga %d ended as %q, with money: %v", n, outcome, !poor(n))
		}
	}
	if completed < len(h.outcomes)/2 {
		h.t.Errorf("only %d of %d completed", completed, len(h.outcomes))
	}
}

// everyFaultHappened says which fault had no effect, so that nothing was shown about it.
func (h *house) everyFaultHappened() {
	for _, s := range []*service{h.seats, h.bank} {
		for what := failing; what <= doubled; what++ {
			h.happened[what.String()] += int(s.struck[what].Load())
		}
	}
	if testing.Short() {
		return // a moment is too short for all of them
	}
	for _, what := range slices.Sorted(maps.Keys(h.happened)) {
		if h.happened[what] == 0 {
			h.t.Errorf("%s: never happened", what)
		}
	}
}
