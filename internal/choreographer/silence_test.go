package choreographer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// Whoever owes a token that is not asked for shows as an incident, too: a step that is to be skipped, a readonly one that is to be cleared.
func TestF33_WhatIsOwedWithoutBeingAskedIsAnIncident(t *testing.T) {
	for away, refusal := range map[string]string{"issue": "looks.do", "look": "issues.do"} {
		play(t, chain, func(s *scene) {
			x := s.track(memstore.NewDisk())
			if away == "look" { // it has told that it is done, and is away when it is to be cleared
				s.down("issue")
				s.start("s-1")
				s.pass(time.Second)
				s.down("look")
				s.says(refusal, refuses("No"))
				s.up("issue")
			} else {
				s.down(away)
				s.says(refusal, refuses("No"))
				s.start("s-1")
			}
			s.pass(time.Minute)
			if open := s.incidents(x, "s-1"); !strings.Contains(open, away+" skald.no_progress") {
				s.t.Errorf("%s is away and the incidents are %q; tokens are %s", away, open, s.tokens("s-1"))
			}
			s.up(away)
			s.pass(time.Minute)
			s.wantEffects("")
			if open := s.incidents(x, "s-1"); open != "" || !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
				s.t.Errorf("in the end the incidents are %q and the tokens %s", open, s.tokens("s-1"))
			}
		})
	}
}

// An initiator that is away keeps no saga from its outcome, which follows from facts, and from what its steps told.
func TestTheOutcomeDoesNotWaitForTheInitiator(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("initiator")
		s.start("s-1")
		told, err := x.Outcome(s.t.Context(), "s-1")
		if err != nil || told.State != store.Completed {
			s.t.Errorf("whoever waits is told %s, %v", told.State, err)
		}
		s.pass(time.Minute)
		s.want("s-1", strings.TrimSuffix(allDone, " skald.end:done"))
		s.wantCompleted(x, "s-1")
		if err := s.initiator.Cancel(s.t.Context(), "s-1", "ann", "too late"); !errors.Is(err, machine.ErrEnded) {
			s.t.Errorf("to cancel it gives %v", err)
		}
		tale := s.tale(x, "s-1")

		s.run("initiator", s.initiator.Run) // it is there again, and says so, too
		s.pass(time.Minute)
		s.want("s-1", allDone)
		if diff := cmp.Diff(tale, s.tale(x, "s-1")); diff != "" {
			s.t.Errorf("the end that is told then changes the journal (-before +after):\n%s", diff)
		}
		s.pass(10 * time.Minute)
		s.want("s-1", "")
	})
}

// The same at the end of the way back, also for a tracker that has begun anew meanwhile: what only lets others go on is in no journal.
func TestCompensatedDoesNotWaitForTheInitiator(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		play(t, chain, func(s *scene) {
			disk := memstore.NewDisk()
			x := s.track(disk)
			s.down("look")
			s.says("issues.do", refuses("NoPaper"))
			s.start("s-1")
			s.pass(time.Second)
			s.down("create")
			s.up("look")
			s.pass(time.Second)
			s.down("initiator")
			if restarted {
				s.down("tracker")
				x = s.track(disk)
			}
			s.up("create")
			began := time.Now()
			told, err := x.Outcome(s.t.Context(), "s-1")
			if took := time.Since(began); err != nil || told.State != store.Compensated || took > time.Second {
				s.t.Errorf("whoever waits is told %s after %s, %v; restarted: %t", told.State, took, err, restarted)
			}
			s.want("s-1", "create:done look:done issue:refused skald.end:skipped look:undone create:undone")
			s.wantEffects("")
		})
	}
}

// An end that lets last steps be undone is told in the place of an initiator that is away, and so the saga ends.
func TestTheWayBackIsToldInThePlaceOfASilentInitiator(t *testing.T) {
	fork := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			d.Steps = []plan.DraftStep{step("create", participant.Compensatable), step("reserve", participant.Compensatable, "create"), step("charge", participant.Compensatable, "create")}
		})
	}
	play(t, fork, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("initiator")
		s.says("charges.do", refuses("NoMoney"))
		s.start("s-1")
		s.pass(time.Second)
		s.want("s-1", "create:done reserve:done charge:refused")
		s.pass(time.Minute)
		s.want("s-1", "create:done reserve:done charge:refused skald.end:skipped reserve:undone create:undone")
		s.wantEffects("")
		if saga, err := x.Get(s.t.Context(), "s-1"); err != nil || saga.State != store.Compensated || saga.Incident != "" {
			s.t.Errorf("the saga is %s, with incident %q, %v", saga.State, saga.Incident, err)
		}
	})
}

// A deadline that passes after the last step was done changes nothing, whoever has told the end.
func TestADeadlineBetweenTheLastStepAndTheEndIsNone(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("initiator")
		s.down("send")
		s.start("s-1")
		s.pass(time.Hour - 5*time.Second)
		s.up("send")
		s.pass(10 * time.Second)
		s.want("s-1", strings.TrimSuffix(allDone, " skald.end:done"))
		s.wantCompleted(x, "s-1")
	})
}

// lagging is a replica that has not heard of anything yet.
type lagging struct {
	broker.Broker
	lags *atomic.Bool
}

// Read implements broker.Broker.
func (l lagging) Read(ctx context.Context, topic string, f broker.Filter) ([]broker.Message, error) {
	if l.lags.Load() {
		return nil, nil
	}
	return l.Broker.Read(ctx, topic, f)
}

// Two processes hear the last two tokens, each of them one, and read the others from a replica that lags behind: neither sees the end. The saga is looked at once more when it has caught up, without any tracker.
func TestAReadThatLaggedBehindIsMadeAgain(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.down("initiator")
		s.start("s-1")
		s.pass(time.Second)
		replica := lagging{s.broker, new(atomic.Bool)}
		replica.lags.Store(true)
		var both []*choreographer.Initiator
		for _, last := range []string{"confirm", "send"} {
			i, err := choreographer.NewInitiator(choreographer.InitiatorConfig{Broker: replica, Name: "shop", Plans: []*plan.Plan{s.p}})
			if err != nil {
				s.t.Fatal(err)
			}
			for _, x := range s.all("s-1") {
				if x.Step != last {
					continue
				}
				if err := i.Hear(s.t.Context(), x); err != nil {
					s.t.Fatal(err)
				}
			}
			both = append(both, i)
		}
		if strings.Contains(s.tokens("s-1"), "skald.end") {
			s.t.Fatalf("the replica did not lag behind: %s", s.tokens("s-1"))
		}
		replica.lags.Store(false)
		for n, i := range both {
			s.run(fmt.Sprint("initiator ", n), func(ctx context.Context) error { i.LookAgain(ctx); return nil })
		}
		s.pass(5 * time.Second)
		s.want("s-1", allDone)
	})
}

// A participant that let a token pass, because a process without the definition took it, is asked to look again.
func TestWhatAProcessWithoutTheDefinitionTookIsMadeGood(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.broker = struct{ broker.Broker }{s.broker} // nobody overhears what is told
		s.track(memstore.NewDisk())
		s.down("reserve")
		other := order(s.t, func(d *plan.Draft) { d.Name = "other" })
		old, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: s.broker, Desk: s.services["reserve"], Name: "reserves", Plans: []*plan.Plan{other}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("old", old.Run)
		s.start("s-1")
		s.pass(time.Second)
		s.down("old")
		s.up("reserve")
		s.pass(time.Second)
		if strings.Contains(s.tokens("s-1"), "reserve") {
			s.t.Fatalf("the older process took nothing away: %s", s.tokens("s-1"))
		}
		s.pass(time.Minute)
		s.want("s-1", allDone)
		s.wantEffects(allEffects)
	})
}

// A saga whose definition is no longer registered shows that, and goes on when it is again.
func TestAnUnregisteredDefinitionIsAnIncident(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		disk := memstore.NewDisk()
		s.track(disk)
		s.down("issue")
		s.start("s-1")
		s.pass(time.Second)
		s.down("tracker")
		other := order(s.t, func(d *plan.Draft) { d.Steps[1].Kind = participant.Compensatable; d.Revision = "2" })
		without, err := choreographer.OpenTracker(s.t.Context(), choreographer.TrackerConfig{Broker: s.broker, Store: memstore.Open(disk), Name: "tracker", Plans: []*plan.Plan{other}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("tracker", without.Run)
		s.pass(time.Second)
		if saga, err := without.Get(s.t.Context(), "s-1"); err != nil || saga.Incident != choreographer.ReasonDefinition {
			s.t.Errorf("the incident is %q, %v", saga.Incident, err)
		}
		s.down("tracker")
		x := s.track(disk)
		s.pass(time.Second)
		if open := s.incidents(x, "s-1"); open != "" {
			s.t.Errorf("registered again the incidents are %q", open)
		}
		s.up("issue")
		s.pass(time.Minute)
		s.want("s-1", allDone)
	})
}
