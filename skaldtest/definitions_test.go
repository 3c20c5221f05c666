package skaldtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/plan/plantest"
	"github.com/skaldhq/skald/participant"
)

// join is a mapping that shows everything it reads.
func join(input []byte, results [][]byte) ([]byte, error) {
	return append(append([]byte{'['}, bytes.Join(append([][]byte{input}, results...), []byte{','})...), ']'), nil
}

// draftStep is a step of a model: its name says the operation.
func draftStep(name, owner string, kind participant.Kind, follows ...string) plan.DraftStep {
	s := plan.DraftStep{Follows: follows, Step: plan.Step{
		Name: name, Action: owner + "." + name, Kind: kind, Timeout: 10 * time.Second, Map: join,
	}}
	s.Retry = plan.Retry{Initial: 100 * time.Millisecond, Factor: 2, Jitter: 0.2, Cap: plan.MaxBackoff}
	s.Undo = s.Retry
	switch kind {
	case participant.Compensatable:
		s.Compensation = owner + ".un" + name
		s.Retry.Attempts = 6
	case participant.ReadOnly:
		s.Retry.Attempts = 6
	case participant.Pivot, participant.Retriable:
	}
	return s
}

// orderPlan is the shape of the order system's definition.
func orderPlan(tb testing.TB) *plan.Plan {
	tb.Helper()
	p, err := plan.Build(plan.Draft{Name: "order", Deadline: time.Hour, IncidentAfter: 30 * time.Second, Steps: []plan.DraftStep{
		draftStep("create", "commande", participant.Compensatable),
		draftStep("check", "produit", participant.ReadOnly, "create"),
		draftStep("reserve", "inventaire", participant.Compensatable, "check"),
		draftStep("charge", "paiement", participant.Compensatable, "check"),
		draftStep("issue", "transaction", participant.Pivot, "reserve", "charge"),
		draftStep("confirm", "commande", participant.Retriable, "issue"),
		draftStep("send", "transaction", participant.Retriable, "issue"),
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// every yields every valid definition of n steps: every DAG and every mix of kinds. Every edge also carries data.
func every(n int, yield func(*plan.Plan)) {
	plantest.Every(n, func(shape plantest.Shape) plan.Draft {
		d := plan.Draft{Name: "model", IncidentAfter: time.Hour, Deadline: 2 * time.Hour}
		for i, kind := range shape.Kinds {
			s := draftStep(plantest.Name(i), "x", kind)
			s.Retry.Attempts = min(s.Retry.Attempts, 2)
			for _, j := range shape.Follows[i] {
				s.ReadsOf = append(s.ReadsOf, plantest.Name(j))
			}
			d.Steps = append(d.Steps, s)
		}
		return d
	}, yield)
}

// someSetup is what the seed makes of everything that a run may differ in.
func someSetup(seed uint64) setup {
	r := rand.New(rand.NewPCG(seed, 7))
	s := setup{seed: seed, sagas: 10, levels: map[string]participant.Level{}, inputs: [][]byte{[]byte(`1`), []byte(`{"n":2}`)}}
	s.plan = somePlan(r)
	for _, owner := range []string{"p0", "p1", "p2"} {
		if r.IntN(8) == 0 {
			s.levels[owner] = participant.L0 + participant.Level(r.IntN(2))
		}
	}
	s.chance = chance{enabled: map[fault]bool{}, budget: 6 + r.IntN(12), one: []int{6, 12, 25}[r.IntN(3)]}
	for _, f := range allFaults() {
		s.chance.enabled[f] = r.IntN(2) == 0
	}
	if s.chance.enabled[giant] { // costs a mebibyte each time
		s.chance.enabled[giant] = r.IntN(10) == 0
	}
	frequent := []fault{crash, lose, loseAnswer, fail, twice}
	s.chance.enabled[frequent[r.IntN(len(frequent))]] = true
	s.maxInFlight = []int{0, 0, 2, 4}[r.IntN(4)]
	s.maxCalls = []int{0, 0, 1, 2}[r.IntN(4)]
	s.linger = []time.Duration{0, 0, time.Millisecond, 60 * time.Millisecond}[r.IntN(4)]
	return s
}

// somePlan makes a definition: steps that can fail, perhaps a pivot, and steps that cannot.
func somePlan(r *rand.Rand) *plan.Plan {
	d := plan.Draft{Name: "random", IncidentAfter: 30 * time.Second, Deadline: time.Hour}
	if r.IntN(8) == 0 {
		d.Durability = plan.Strict
	}
	before, pivot, after := 1+r.IntN(4), r.IntN(3) > 0, r.IntN(3)
	add := func(kind participant.Kind, follows ...string) {
		s := draftStep(fmt.Sprintf("%c", 'a'+len(d.Steps)), fmt.Sprintf("p%d", r.IntN(3)), kind, follows...)
		s.ReadsOf, s.Stored = s.Follows, kind == participant.ReadOnly && r.IntN(2) == 0
		s.Strict = r.IntN(8) == 0
		if kind == participant.Compensatable && r.IntN(3) == 0 {
			s.Timeout, s.Deadline = 2*time.Second, 3*time.Second
		}
		d.Steps = append(d.Steps, s)
	}
	for i := range before {
		kind := participant.Compensatable
		if r.IntN(4) == 0 {
			kind = participant.ReadOnly
		}
		var follows []string
		for j := range i {
			if r.IntN(2) == 0 {
				follows = append(follows, d.Steps[j].Name)
			}
		}
		add(kind, follows...)
	}
	if pivot {
		var all []string
		for _, s := range d.Steps {
			all = append(all, s.Name)
		}
		add(participant.Pivot, all...)
		for range after {
			follows := []string{d.Steps[before].Name}
			if last := len(d.Steps) - 1; last > before && r.IntN(2) == 0 {
				follows = append(follows, d.Steps[last].Name)
			}
			add(participant.Retriable, follows...)
		}
	}
	p, err := plan.Build(d)
	if err != nil {
		panic(err)
	}
	return p
}
