package plantest_test

import (
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/internal/plan/plantest"
	"github.com/skaldhq/skald/participant"
)

// Directed acyclic graphs without names: 1, 2, 6, 31 of one to four steps (OEIS A003087). With steps of one kind that may stand anywhere there are as many definitions.
func TestEveryGraphComesOnce(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 6, 4: 31} {
		got := 0
		plantest.Every(n, func(s plantest.Shape) plan.Draft {
			d := plan.Draft{Name: "model", IncidentAfter: time.Hour, Deadline: time.Hour}
			for i, kind := range s.Kinds {
				if kind != participant.Compensatable {
					return plan.Draft{} // it does not build
				}
				step := plan.DraftStep{Step: plan.Step{
					Name: plantest.Name(i), Action: "x." + plantest.Name(i), Compensation: "x.undo", Kind: kind, Timeout: time.Second,
					Map: func([]byte, [][]byte) ([]byte, error) { return nil, nil },
				}}
				step.Retry = plan.Retry{Initial: 1, Factor: 1, Cap: 1, Attempts: 1}
				step.Undo = plan.Retry{Initial: 1, Factor: 1, Cap: 1}
				for _, j := range s.Follows[i] {
					step.Follows = append(step.Follows, plantest.Name(j))
				}
				d.Steps = append(d.Steps, step)
			}
			return d
		}, func(*plan.Plan) { got++ })
		if got != want {
			t.Errorf("%d graphs of %d steps, want %d", got, n, want)
		}
	}
}
