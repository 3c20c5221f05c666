package orchestrator_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

// F24: a saga whose definition is missing goes on as soon as somebody registers it, also when that happens while the coordinator is just finding out that it is missing.
func TestASagaGoesOnWhenItsDefinitionIsRegistered(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "after the incident": time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := begin(t)
				old := s.c.Plans[0]
				s.shop.script("create", takes(9*time.Second))
				s.start("one")
				s.end()
				s.c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Revision = "2" })}
				s.open()
				defer s.end()
				if wait > 0 {
					time.Sleep(wait)
					synctest.Wait()
					if g := s.get("one"); g.Summary.Incident != orchestrator.ReasonDefinition {
						t.Fatalf("incident %q", g.Summary.Incident)
					}
				}
				if err := s.Register(t.Context(), []*plan.Plan{old}, nil); err != nil {
					t.Fatal(err)
				}
				if got := s.outcome("one"); got != store.Completed {
					t.Fatalf("outcome %s", got)
				}
				if g := s.get("one"); g.View.Version != old.Version || g.Summary.Incident != "" {
					t.Errorf("version %s, incident %q", g.View.Version, g.Summary.Incident)
				}
			})
		})
	}
}

func TestTheLatestIsTheLastThatWasNew(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		first := s.c.Plans[0]
		second := order(t, func(d *plan.Draft) { d.Revision = "2" })
		for _, p := range []*plan.Plan{second, first, second, first} {
			if err := s.Register(t.Context(), []*plan.Plan{p}, nil); err != nil {
				t.Fatal(err)
			}
		}
		s.start("one")
		if g := s.get("one"); g.View.Version != second.Version {
			t.Errorf("it has version %s, want %s", g.View.Version, second.Version)
		}
		kept, err := s.store.Definitions(t.Context())
		if err != nil || len(kept) != 2 {
			t.Errorf("kept are %d definitions, %v", len(kept), err)
		}
	})
}

func TestADefinitionOfStrangersIsNotRegistered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		p := order(t, func(d *plan.Draft) { d.Name, d.Steps[0].Action = "other", "stranger.act" })
		var faults *plan.Faults
		if err := s.Register(t.Context(), []*plan.Plan{p}, nil); !errors.As(err, &faults) || !strings.HasPrefix(err.Error(), "definition other has 1 fault\n  - step create: no participant stranger is known for stranger.act; ") {
			t.Errorf("the error is %v", err)
		}
		silent := map[string]orchestrator.Participant{"stranger": {Level: participant.L1}}
		if err := s.Register(t.Context(), []*plan.Plan{p}, silent); !errors.As(err, &faults) || !strings.Contains(err.Error(), "participant stranger has no URL") || !strings.Contains(err.Error(), "--mode=choreographed") {
			t.Errorf("the error is %v", err)
		}
		if _, _, err := s.Start(t.Context(), orchestrator.Request{Definition: "other", Input: []byte("1")}); !errors.Is(err, orchestrator.ErrDefinition) {
			t.Errorf("started all the same: %v", err)
		}
		s.end()
		if err := s.Register(t.Context(), s.c.Plans, nil); !errors.Is(err, orchestrator.ErrStopped) {
			t.Errorf("registered with a stopped coordinator: %v", err)
		}
	})
}
