package skaldtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// setup is what a run explores.
type setup struct {
	plan         *plan.Plan
	inputs       [][]byte
	participants map[string]func() Participant // by owner; one that is missing is modelled
	levels       map[string]participant.Level  // of modelled ones; L2 unless said
	sagas        int
	seed         uint64
	script       faults // nil: chance decides
	chance       chance
	ordered      bool   // no chance in the schedule: who has waited longest goes on, and everything takes equally long
	refusing     string // a step that is always refused
	noRefusals   bool
	trace        bool               // keep the log as text
	places       bool               // keep the sites
	pool         *pool              // of coroutines; nil: one of its own
	newStore     func() store.Store // makes an empty one; nil: a memstore

	maxInFlight int
	maxCalls    int
	linger      time.Duration
}

// outcome is what came of a run.
type outcome struct {
	violation string
	happened  faults
	sites     []site // that it came to, in order; if places were asked for
	steps     int
	hash      uint64
	seen      map[string]int // how often each fault of docs/faults.md happened
	log       []string
}

// world is one run.
type world struct {
	setup
	rand   *rand.Rand // of the schedule; nil if ordered
	now    time.Duration
	timers timers
	timed  int
	tasks  []*task

	current *task
	steps   int
	events  int
	sites   int
	visited []site // if places are asked for

	disk      *disk
	processes []*process
	newest    *process
	opened    int
	reopening bool
	changed   bool       // there is another version of the definition by now
	next      *plan.Plan // that version; nil until it is first asked for

	participants map[string]*part
	ledger       ledger
	claims       map[journal.SagaID]*claim // what clients were told
	order        []journal.SagaID          // of claims
	clients      int                       // that are not done

	happened  faults
	lastFault time.Duration
	seen      map[string]int
	hash      uint64
	log       []string
	violation string
}

// explore runs one world to its end.
func explore(s setup) outcome {
	w := &world{
		setup: s, hash: 14695981039346656037, happened: faults{}, seen: map[string]int{},
		participants: map[string]*part{}, ledger: ledger{}, claims: map[journal.SagaID]*claim{},
	}
	if w.pool == nil {
		w.pool = &pool{}
		defer w.pool.close()
	}
	if !s.ordered {
		w.rand = rand.New(rand.NewPCG(s.seed, 1))
	}
	w.disk = newDisk(w)
	w.join(s.plan)
	w.open()
	w.beginClients()
	w.run()
	if w.violation == "" {
		w.checkEnd()
	}
	w.disk.close()
	for _, p := range slices.Sorted(mapKeys(w.participants)) {
		w.participants[p].close()
	}
	return outcome{w.violation, w.happened, w.visited, w.steps, w.hash, w.seen, w.log}
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// random is a number below n, which must be positive; half of n if nothing is left to chance.
func (w *world) random(n int) int {
	if w.rand == nil {
		return n / 2
	}
	return w.rand.IntN(n)
}

func (w *world) jitter() float64 { return float64(w.random(2001)-1000) / 1000 }

// saw counts a fault that happened.
func (w *world) saw(id string) { w.seen[id]++ }

// mix takes something into the hash of the run.
func (w *world) mix(values ...uint64) {
	for _, v := range values {
		w.hash = (w.hash ^ v) * 1099511628211
		w.hash ^= w.hash >> 29
	}
}

func (w *world) mixString(s string) {
	h := w.hash
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	w.hash = h
}

// note says what happens.
func (w *world) note(what, saga, detail string, n uint64) {
	w.count()
	w.mixString(what)
	w.mixString(saga)
	w.mixString(detail)
	w.mix(n)
	if w.trace {
		w.log = append(w.log, strings.TrimRight(fmt.Sprintf("%12s %5d  %-20s %-4s %s %d", w.now, w.sites, what, saga, detail, n), " "))
	}
}

// observe counts what the journal shows of faults.
func (w *world) observe(s *store.Summary, e *journal.Event) {
	switch e.Kind {
	case journal.StepAnsweredLate:
		w.saw("F07")
	case journal.CompensationRetrying:
		if e.Attempt >= 5 {
			w.saw("F09")
		}
		w.checkPause(s, e)
	case journal.StepRetrying:
		w.checkPause(s, e)
	case journal.StepRefused, journal.StepFailed:
		if w.ledger.of(s.ID).flying > 0 {
			w.saw("F34")
		}
	case journal.IncidentOpened:
		if e.Reason == reasonRefusedUndo {
			w.saw("F11")
		}
	case journal.SagaCompleted, journal.SagaCompensated:
		if s.Version == w.plan.Version && w.changed {
			w.saw("F24")
		}
	default:
	}
}

// checkPause holds a retry against the longest pause there may be.
func (w *world) checkPause(s *store.Summary, e *journal.Event) {
	if !e.At.IsZero() && e.At.Sub(e.Time) > plan.MaxBackoff {
		w.violate("saga %s, step %s: %s until the next attempt, which is more than %s", s.ID, e.Step, e.At.Sub(e.Time), plan.MaxBackoff)
	}
}
