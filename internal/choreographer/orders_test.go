package choreographer_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/plan/plantest"
	"github.com/skaldhq/skald/participant"
)

var deep = flag.Int("steps", 3, "explore every order of deliveries of definitions with up to this many steps; 4 takes twelve minutes")

// definitions yields every valid definition of n steps, each with a participant of its own.
func definitions(n int, yield func(*plan.Plan)) {
	once := func(name string, kind participant.Kind, after ...string) plan.DraftStep {
		s := step(name, kind)
		if s.Follows = after; s.Retry.Attempts > 0 {
			s.Retry.Attempts = 1
		}
		return s
	}
	plantest.Every(n, func(shape plantest.Shape) plan.Draft { return choreographer.Drafted(shape, once) }, yield)
}

// Every order of deliveries for every small definition, and for those of one step less also with a handler that breaks, a cancel at any moment, and a late copy of a call. A token that comes twice
// and a process that dies between commit, publish and acknowledgement are in every run.
func TestEveryOrderOfDeliveriesEndsRight(t *testing.T) {
	if testing.Short() { // it runs one goroutine at a time
		*deep = 2
	}
	var tried []string
	for n := 1; n <= *deep; n++ {
		defs, worlds := 0, 0
		budgets := []budget{{}}
		if n < *deep {
			budgets = []budget{{fails: 1}, {stops: 1}, {late: 1}}
		}
		definitions(n, func(p *plan.Plan) {
			defs++
			for _, b := range budgets {
				k, violation := newStage(t, p, sound).explore(b)
				if violation != "" {
					t.Fatal(violation)
				}
				worlds += k
			}
		})
		tried = append(tried, fmt.Sprintf("%d definitions of %d steps with %d worlds", defs, n, worlds))
	}
	t.Attr("tried", "every order of deliveries: "+strings.Join(tried, ", "))
}

// Orders drawn by chance, for definitions of three to five steps, with everything that can go wrong together.
func TestRandomOrdersOfLargerDefinitionsEndRight(t *testing.T) {
	first, walks, worlds := seed(), 1000, 0
	t.Logf("-seed %d", first)
	random := rand.New(rand.NewPCG(first, first))
	for range walks {
		s := newStage(t, randomPlan(random, 3+random.IntN(3)), sound)
		k, violation := s.walk(random, budget{fails: 2, stops: int8(random.IntN(2)), late: 1})
		if violation != "" {
			t.Fatal(violation)
		}
		worlds += k
	}
	t.Attr("tried", fmt.Sprintf("%d walks through %d worlds (-seed %d)", walks, worlds, first))
}

// seed is a new one, or the one that a test printed.
func seed() uint64 {
	if *again != 0 {
		return *again
	}
	return uint64(time.Now().UnixNano())
}

// walk follows one order of events to its end.
func (s *stage) walk(random *rand.Rand, b budget) (worlds int, violation string) {
	w := s.first(b)
	for {
		s.skip(w)
		if worlds++; worlds > 1000 {
			return worlds, fmt.Sprintf("it does not end: %s\n%s", s.p.Canonical, w.key())
		}
		var next []*world
		live := s.moves(w, func(v *world) { next = append(next, v) })
		if why := s.wrong(w, !live); why != "" {
			return worlds, fmt.Sprintf("%s: %s\n%s", why, s.p.Canonical, w.key())
		}
		if !live {
			return worlds, ""
		}
		w = next[random.IntN(len(next))]
	}
}

var again = flag.Uint64("seed", 0, "seed of what is drawn by chance, as a test printed it")

// randomPlan makes a valid definition.
func randomPlan(random *rand.Rand, n int) *plan.Plan {
	for {
		d := plan.Draft{Name: "model", IncidentAfter: time.Hour, Deadline: 1000 * time.Hour}
		pivot := random.IntN(2 * n) // none if it is too large
		for i := range n {
			kind := participant.Compensatable
			switch {
			case i == pivot:
				kind = participant.Pivot
			case i > pivot:
				kind = participant.Retriable
			case random.IntN(4) == 0:
				kind = participant.ReadOnly
			}
			s := step(string(rune('a'+i)), kind)
			if s.Retry.Attempts > 0 {
				s.Retry.Attempts = 1 + random.IntN(2)
			}
			for j := range i {
				if i == pivot || j == pivot || random.IntN(2) == 0 {
					s.Follows = append(s.Follows, string(rune('a'+j)))
				}
			}
			s.ReadsOf = s.Follows
			d.Steps = append(d.Steps, s)
		}
		if p, err := plan.Build(d); err == nil {
			return p
		}
	}
}

func TestEveryBrokenProtocolIsCaught(t *testing.T) {
	for _, breakage := range []struct {
		name   string
		broken breakage
		budget budget
	}{
		{"no compare-and-set", noCompareAndSet, budget{stops: 1}},
		{"acknowledged before the commit", ackBeforeCommit, budget{lost: 1}},
		{"undone before all successors are clear", undoBeforeAllSuccessors, budget{}},
		{"no tombstone", noTombstone, budget{stops: 1, late: 1}},
		{"join only in memory", joinInMemory, budget{}},
	} {
		t.Run(breakage.name, func(t *testing.T) {
			caught, tried := "", 0
			for n := 1; n <= 3; n++ {
				definitions(n, func(p *plan.Plan) {
					if caught == "" {
						tried++
						_, caught = newStage(t, p, breakage.broken).explore(breakage.budget)
					}
				})
			}
			if caught == "" {
				t.Fatal("no run shows that it is broken")
			}
			t.Logf("definition %d: %s", tried, caught)
			t.Attr("tried", fmt.Sprintf("caught in definition %d", tried))
		})
	}
}
