package skaldtest

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

var (
	pairs       = flag.Int("pairs", 3, "two faults of all kinds at all pairs of places, in every definition of up to this many steps")
	pairsSample = flag.Int("pairs-sample", 12, "in definitions of three steps and more, try every so-many-th first fault and, after each, every so-many-th second one; 1 tries all of them, for some ten minutes")
)

// pair is two kinds of faults, in the order in which they happen.
type pair struct{ first, second fault }

// follows says whether a run of one saga has a place for the second fault after the first. All have, but for what may be different when a coordinator starts: that
// follows faults after which one does.
func (p pair) follows() bool {
	starting, restarting := possible(atOpen), []fault{crash, pause, takeover, lostCommit, unknownCommit, badSync}
	return !slices.Contains(starting, p.first) && (!slices.Contains(starting, p.second) || slices.Contains(restarting, p.first))
}

// pairing counts the runs in which two faults happened, by their kinds.
type pairing struct {
	mu   sync.Mutex
	runs int
	of   map[pair]int
}

func (n *pairing) add(of map[pair]int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p, k := range of {
		n.of[p] += k
		n.runs += k
	}
}

// stride is true for every so-many-th that it is asked about.
type stride struct{ every, at int }

func (s *stride) next() bool {
	s.at++
	return s.at%s.every == 0
}

// couple tries two faults in the one saga of a setup.
type couple struct {
	setup
	first, second stride
	of            map[pair]int
}

// double runs one saga of a plan with two faults, of all kinds and at every pair of places where they can happen, for every behaviour, or with those that the strides
// leave. It returns the first run that goes wrong.
func double(p *plan.Plan, x *pool, s stride, n *pairing) (bad setup, o outcome, found bool) {
	c := &couple{first: s, second: s, of: map[pair]int{}}
	defer func() { n.add(c.of) }()
	for _, step := range refusals(p) {
		for _, l := range []participant.Level{participant.L2, participant.L1} {
			c.setup = setup{plan: p, pool: x, sagas: 1, ordered: true, refusing: step, levels: level(p, l), script: faults{}}
			if bad, o, found = c.all(); found {
				return bad, o, true
			}
		}
	}
	return bad, o, false
}

// all tries a first fault at every place.
func (c *couple) all() (bad setup, o outcome, found bool) {
	for k, at := range c.listed().sites {
		for _, f := range possible(at) {
			if !c.first.next() {
				continue
			}
			if bad, o, found = c.after(k, f); found {
				return bad, o, true
			}
		}
	}
	return bad, o, false
}

// after tries a second fault at every place that the saga comes to after the first. Up to there, the run with both is the run with the first alone, so its places are the
// same ones. If the first cannot happen at its place, nothing that follows differs from a run without it, whose faults are tried elsewhere.
func (c *couple) after(k int, first fault) (s setup, o outcome, found bool) {
	s = c.setup
	s.script = faults{k: first}
	once := s.listed()
	if once.violation != "" || len(once.happened) == 0 {
		return s, once, once.violation != ""
	}
	for j, at := range once.sites {
		if j <= k {
			continue
		}
		for _, second := range possible(at) {
			if c.left(first, second) || !c.second.next() {
				continue
			}
			s.script = faults{k: first, j: second}
			switch o = explore(s); {
			case o.violation != "":
				return s, o, true
			case len(o.happened) == 2:
				c.of[pair{first, second}]++
			case o.hash != once.hash:
				o.violation = "the second fault did not happen, and the run is not the one with the first alone"
				return s, o, true
			}
		}
	}
	return s, o, false
}

// left says that a pair is left to another level: what a sidecar has no part in is tried without one.
func (c *couple) left(first, second fault) bool {
	return c.levels["x"] == participant.L1 && first != sidecar && second != sidecar
}

func TestEveryDefinitionSurvivesTwoFaults(t *testing.T) {
	plans, n := upTo(*pairs), &pairing{of: map[pair]int{}}
	each(len(plans), func(k int, x *pool) bool {
		s := stride{every: 1}
		if len(plans[k].Steps) > 2 {
			s = stride{every: *pairsSample, at: k}
		}
		bad, o, found := double(plans[k], x, s, n)
		if found {
			bad, o = shrink(bad, o)
			violated(t, o, fmt.Sprintf("%s\nlevel %s, run %s", plans[k].Flow(), bad.levels["x"], bad))
		}
		return !found
	})
	t.Logf("%d definitions of up to %d steps, %d runs with two faults", len(plans), *pairs, n.runs)
	n.check(t)
}

// Floors of what `make test` explores: in all, and of each pair of kinds.
const (
	minPairs     = 160_000
	minOfOnePair = 10
)

// check prints how often each pair of kinds happened, and fails if that is less than it was: then something is not explored any more.
func (n *pairing) check(t *testing.T) {
	t.Helper()
	full := *pairs >= 3 && *pairsSample <= 12
	if full && n.runs < minPairs {
		t.Errorf("that is less than %d", minPairs)
	}
	for _, first := range allFaults() {
		var line strings.Builder
		for _, second := range allFaults() {
			p := pair{first, second}
			if k := n.of[p]; p.follows() || k > 0 {
				fmt.Fprintf(&line, "  %s %d", second, k)
				if full && k < minOfOnePair {
					t.Errorf("%s after %s happened %d times, which is less than %d", second, first, k, minOfOnePair)
				}
			}
		}
		if line.Len() > 0 {
			t.Logf("%s, and then%s", first, &line)
		}
	}
}
