package plan_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

func step(name string, follows ...string) plan.DraftStep {
	return plan.DraftStep{Follows: follows, Step: plan.Step{
		Name: name, Kind: participant.Compensatable, Action: "x." + name, Compensation: "x.un" + name, Timeout: time.Second,
		Map:   func([]byte, [][]byte) ([]byte, error) { return nil, nil },
		Retry: plan.Retry{Initial: time.Millisecond, Factor: 1, Cap: time.Second, Attempts: 1},
		Undo:  plan.Retry{Initial: time.Millisecond, Factor: 1, Cap: time.Second},
	}}
}

func TestCycleNamesItsSteps(t *testing.T) {
	_, err := plan.Build(plan.Draft{Name: "d", Deadline: time.Hour, Steps: []plan.DraftStep{
		step("a"), step("b", "a", "d"), step("c", "b"), step("d", "c"), step("e", "d"),
	}})
	if err == nil || !strings.Contains(err.Error(), "in the cycle of b, c, d") {
		t.Fatal(err)
	}
}

func TestUnknownStepIsNamed(t *testing.T) {
	s := step("a", "nobody")
	s.ReadsOf = []string{"ghost"}
	_, err := plan.Build(plan.Draft{Name: "d", Steps: []plan.DraftStep{s}})
	var faults *plan.Faults
	if !errors.As(err, &faults) || len(faults.List) != 2 || !strings.Contains(err.Error(), `"nobody"`) || !strings.Contains(err.Error(), `"ghost"`) {
		t.Fatal(err)
	}
}

func TestStepsAreOrderedAndEdgesReduced(t *testing.T) {
	p, err := plan.Build(plan.Draft{Name: "d", Deadline: time.Hour, Steps: []plan.DraftStep{
		step("c", "a", "b"), step("b", "a"), step("a"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a", "b", "c"} {
		if p.Steps[i].Name != want {
			t.Errorf("step %d is %s", i, p.Steps[i].Name)
		}
	}
	if p.Preds[2] != plan.One(1) || p.Anc[2] != 3 || p.Desc[0] != 6 || p.Succs[0] != plan.One(1) {
		t.Errorf("preds %b anc %b desc %b succs %b", p.Preds[2], p.Anc[2], p.Desc[0], p.Succs[0])
	}
}

func TestSixtyFourStepsAreAllowedAndOneMoreIsNot(t *testing.T) {
	d := plan.Draft{Name: "d"}
	for i := range 65 {
		s := step("s" + strings.Repeat("x", i))
		s.Sequence = true
		d.Steps = append(d.Steps, s)
	}
	if _, err := plan.Build(d); err == nil || !strings.Contains(err.Error(), "65 steps; 64 are allowed") {
		t.Error(err)
	}
	d.Steps = d.Steps[:64]
	p, err := plan.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	if p.All().Len() != 64 {
		t.Errorf("all: %b", p.All())
	}
}

func TestDelayGrowsToItsCapAndNeverShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := plan.Retry{
			Initial: time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(t, "initial")),
			Factor:  rapid.Float64Range(1, 10).Draw(t, "factor"),
			Cap:     time.Duration(rapid.Int64Range(int64(time.Second), int64(plan.MaxBackoff)).Draw(t, "cap")),
		}
		last := time.Duration(0)
		for _, attempt := range []uint32{1, 2, 3, 10, 60, 64, 65, 1000, 4_000_000_000} {
			d := r.Delay(attempt)
			if d < last || d > r.Cap || d < r.Initial {
				t.Fatalf("attempt %d waits %s after %s", attempt, d, last)
			}
			last = d
		}
	})
}
