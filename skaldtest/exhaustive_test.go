package skaldtest

import (
	"flag"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

var deep = flag.Int("steps", 4, "crash every definition of up to this many steps at every place")

// refusals are the behaviours under which a definition is explored: nothing is refused, or one step is.
func refusals(p *plan.Plan) []string {
	all := []string{""}
	for i := range p.Steps {
		all = append(all, p.Steps[i].Name)
	}
	return all
}

// tally counts what an exhaustive exploration did.
type tally struct{ definitions, sites, runs atomic.Int64 }

// single runs one saga of a plan with every fault of a list at every place in turn where it can happen, for every behaviour, and returns the first run that
// goes wrong. It counts runs.
func single(p *plan.Plan, x *pool, what []fault, n *tally) (s setup, o outcome, bad bool) {
	for _, step := range refusals(p) {
		s = setup{plan: p, pool: x, sagas: 1, ordered: true, refusing: step, script: faults{}}
		if s, o, bad = s.everywhere(what, n); bad {
			return s, o, true
		}
		if !slices.Contains(what, sidecar) {
			continue
		}
		s.levels, s.script = level(p, participant.L1), faults{}
		if s, o, bad = s.everywhere([]fault{sidecar}, n); bad {
			return s, o, true
		}
	}
	return s, o, false
}

// everywhere makes the run with every fault of a list at every place in turn. A run in which the fault did not happen is bad, too: it shows nothing.
func (s setup) everywhere(what []fault, n *tally) (bad setup, o outcome, found bool) {
	if o = s.listed(); o.violation != "" {
		return s, o, true
	}
	sites := o.sites
	n.sites.Add(int64(len(sites)))
	for k, at := range sites {
		for _, f := range possible(at) {
			if !slices.Contains(what, f) {
				continue
			}
			s.script = faults{k: f}
			o = explore(s)
			n.runs.Add(1)
			if o.violation != "" || len(o.happened) == 0 {
				return s, o, true
			}
		}
	}
	return s, o, false
}

// level is the same one for every participant of a plan.
func level(p *plan.Plan, l participant.Level) map[string]participant.Level {
	all := map[string]participant.Level{}
	for i := range p.Steps {
		all[plan.Owner(p.Steps[i].Action)] = l
	}
	return all
}

// all runs f for every plan, on all processors, and fails with the first run that goes wrong.
func all(t *testing.T, plans []*plan.Plan, f func(p *plan.Plan, x *pool, n *tally) (setup, outcome, bool)) *tally {
	t.Helper()
	n := &tally{}
	each(len(plans), func(k int, x *pool) bool {
		n.definitions.Add(1)
		s, o, bad := f(plans[k], x, n)
		switch {
		case !bad:
		case o.violation == "":
			t.Errorf("this run was to have a fault, which never happened, so that it shows nothing:\n%s\nrun %s", plans[k].Flow(), s)
		default:
			s, o = shrink(s, o)
			violated(t, o, fmt.Sprintf("%s\nrun %s", plans[k].Flow(), s))
		}
		return !bad
	})
	return n
}

func upTo(steps int) []*plan.Plan {
	var plans []*plan.Plan
	for n := 1; n <= steps; n++ {
		every(n, func(p *plan.Plan) { plans = append(plans, p) })
	}
	return plans
}

func TestOrderSurvivesEveryFaultAtEveryPlace(t *testing.T) {
	n := all(t, []*plan.Plan{orderPlan(t)}, func(p *plan.Plan, x *pool, n *tally) (setup, outcome, bool) { return single(p, x, allFaults(), n) })
	t.Logf("%d places, %d runs", n.sites.Load(), n.runs.Load())
}

func TestEveryDefinitionSurvivesACrashAtEveryPlace(t *testing.T) {
	n := all(t, upTo(*deep), func(p *plan.Plan, x *pool, n *tally) (setup, outcome, bool) {
		return single(p, x, []fault{crash, pause}, n)
	})
	t.Logf("%d definitions of up to %d steps, %d places, %d runs with a fault", n.definitions.Load(), *deep, n.sites.Load(), n.runs.Load())
}

func TestSmallDefinitionsSurviveEveryFaultAtEveryPlace(t *testing.T) {
	others := slices.DeleteFunc(allFaults(), func(f fault) bool { return f == crash || f == pause }) // those two: see above
	n := all(t, upTo(min(*deep, 3)), func(p *plan.Plan, x *pool, n *tally) (setup, outcome, bool) { return single(p, x, others, n) })
	t.Logf("%d definitions of up to %d steps, %d places, %d runs with a fault", n.definitions.Load(), min(*deep, 3), n.sites.Load(), n.runs.Load())
}
