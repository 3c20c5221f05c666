package skaldtest

import (
	"fmt"
	"testing"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

func TestEveryDefinitionHasANextVersionThatIsNotTheSame(t *testing.T) {
	for _, modelled := range []bool{true, false} {
		for _, p := range upTo(3) {
			next := nextVersion(p, func(string) bool { return modelled })
			switch {
			case next == nil:
				t.Fatalf("there is none of\n%s", p.Flow())
			case next.Name != p.Name || next.Version == p.Version || len(next.Steps) != len(p.Steps)+1:
				t.Fatalf("%s %s with %d steps became %s %s with %d steps", p.Name, p.Version, len(p.Steps), next.Name, next.Version, len(next.Steps))
			}
			for i := range p.Steps {
				j, _ := next.Index(p.Steps[i].Name)
				if !next.Anc[j].Has(0) || (next.Steps[j].Action != p.Steps[i].Action) != modelled {
					t.Fatalf("step %s became %+v", p.Steps[i].Name, next.Steps[j])
				}
			}
		}
	}
}

func TestDefinitionWithoutRoomForAStepIsNeverChanged(t *testing.T) {
	d := plan.Draft{Name: "long"}
	for i := range plan.MaxSteps {
		d.Steps = append(d.Steps, draftStep(fmt.Sprint("s", i), "x", participant.Compensatable))
	}
	p, err := plan.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	s := setup{plan: p, script: faults{}}
	w := &world{setup: s}
	if w.changes() || w.next != nil {
		t.Error("it has another version")
	}
}
