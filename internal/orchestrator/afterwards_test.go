package orchestrator_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
)

var (
	isDone    = participant.Answer{Class: participant.Done}
	isRefused = participant.Answer{Class: participant.Refused, Reason: "No", Detail: "in words"}
)

// says hears an answer outside of its call.
func (s *story) says(id journal.SagaID, step string, a participant.Answer) {
	s.t.Helper()
	if err := s.AnsweredLate(s.t.Context(), id, step, a); err != nil {
		s.t.Fatal(err)
	}
}

// openIncidents lists the sagas with an open incident, with its step.
func (s *story) openIncidents(t *testing.T) (open []string) {
	t.Helper()
	page, err := s.List(t.Context(), store.Filter{Incident: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range page.Sagas {
		x := &page.Sagas[i]
		open = append(open, strings.Join([]string{string(x.ID), string(x.State), x.Step, x.Incident}, " "))
	}
	return open
}

func TestF03_ContradictionAfterTheOutcomeIsAnIncidentUntilAPersonHasSeenIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer func() { s.end() }()
		s.shop.script("charge", refuses("PaymentFail.Declined"))
		s.start("one")
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatal(got)
		}
		before, calls := s.history("one"), s.shop.called()
		s.says("one", "charge", isRefused) // a repeat
		if diff := cmp.Diff(before, s.history("one")); diff != "" {
			t.Fatalf("a repeated answer is recorded:\n%s", diff)
		}
		s.says("one", "charge", isDone)
		s.says("one", "charge", isDone)
		s.wants("one", append(before, "step answered late charge", "incident opened charge skald.contradiction")...)
		if diff := cmp.Diff([]string{"one compensated charge skald.contradiction"}, s.openIncidents(t)); diff != "" {
			t.Error(diff)
		}
		for _, words := range []string{"refused (PaymentFail.Declined)", "said that it is done", "an effect may exist that the saga believes absent"} {
			if in := s.view("one").Incidents[0]; !strings.Contains(in.Detail, words) {
				t.Errorf("%q is missing in %q", words, in.Detail)
			}
		}
		s.end()
		s.open() // it is there after a restart
		for verb, want := range map[journal.Verb]error{journal.VerbRetry: machine.ErrEnded, journal.VerbDone: machine.ErrEnded} {
			err := s.Resolve(t.Context(), "one", orchestrator.Resolution{Step: "charge", Verb: verb, By: "ann", Reason: "r"})
			if !errors.Is(err, want) || !strings.Contains(err.Error(), "say seen") {
				t.Errorf("%s: %v", verb, err)
			}
		}
		seen := orchestrator.Resolution{Step: "charge", Verb: journal.VerbSeen, By: "ann", Reason: "paid back by hand"}
		if err := s.Resolve(t.Context(), "one", seen); err != nil {
			t.Fatal(err)
		}
		if err := s.Resolve(t.Context(), "one", seen); !errors.Is(err, machine.ErrVerb) {
			t.Errorf("seen twice: %v", err)
		}
		s.wants("one", append(before, "step answered late charge", "incident opened charge skald.contradiction", "incident resolved charge")...)
		if open := s.openIncidents(t); len(open) != 0 {
			t.Errorf("open: %q", open)
		}
		got := s.get("one")
		if got.Summary.State != store.Compensated || got.Summary.Step != "charge" || got.View.Outcome != journal.SagaCompensated {
			t.Errorf("%+v", got.Summary)
		}
		if diff := cmp.Diff(calls, s.shop.called()); diff != "" {
			t.Errorf("somebody was called:\n%s", diff)
		}
	})
}

func TestF03_ContradictionWhileTheSagaRunsChangesNothingOfItsCourse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("charge", takes(5*time.Second))
		s.start("one")
		synctest.Wait()
		s.says("one", "create", isRefused)
		s.says("one", "charge", isRefused) // it is still asked
		if got := s.outcome("one"); got != store.Completed {
			t.Errorf("outcome %s", got)
		}
		if diff := cmp.Diff([]string{"one completed create skald.contradiction"}, s.openIncidents(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// The one case that needs no second answer of a participant: a person ends a step while its call is under way.
func TestF03_CallUnderWayAnswersAfterAPersonDidItByHand(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) { c.Plans[0].Steps[5].Timeout = time.Hour })
		defer s.end()
		s.shop.script("send", takes(10*time.Minute))
		s.start("one")
		time.Sleep(time.Minute)
		if err := s.Resolve(t.Context(), "one", orchestrator.Resolution{Step: "send", Verb: journal.VerbDone, By: "ann", Reason: "told by telephone"}); err != nil {
			t.Fatal(err)
		}
		if got := s.outcome("one"); got != store.Completed {
			t.Fatal(got)
		}
		if open := s.openIncidents(t); len(open) != 0 {
			t.Fatalf("open: %q", open)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"one completed send skald.contradiction"}, s.openIncidents(t)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestF03_AnswersAtTheSameTimeOpenOneIncident(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := &lazy{}
		s := begin(t, withLazy(l))
		defer s.end()
		s.start("one")
		s.outcome("one")
		before := s.history("one")
		l.commit = time.Second
		var saying sync.WaitGroup
		for range 4 {
			saying.Go(func() { s.says("one", "create", isRefused) })
		}
		saying.Wait()
		s.wants("one", append(before, "step answered late create No", "incident opened create skald.contradiction")...)
	})
}

// No journal goes back in time.
func TestF03_ContradictionIsRecordedThoughTheClockWasSetBackAfterTheOutcome(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) { c.Clock = wrong{0} })
		s.start("one")
		s.outcome("one")
		s.end()
		ended := s.view("one").Ended
		s.c.Clock = wrong{-24 * time.Hour}
		s.open()
		defer s.end()
		s.says("one", "create", isRefused)
		if diff := cmp.Diff([]string{"one completed create skald.contradiction"}, s.openIncidents(t)); diff != "" {
			t.Error(diff)
		}
		if v := s.view("one"); v.Updated.Before(ended) {
			t.Errorf("the journal goes back in time: from %s to %s", ended, v.Updated)
		}
	})
}

func TestF03_EndedSagaWithAContradictionIsKeptUntilItWasSeen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) { c.Retention = time.Hour })
		defer s.end()
		s.start("one")
		s.outcome("one")
		s.says("one", "create", isRefused)
		time.Sleep(3 * time.Hour)
		if len(s.openIncidents(t)) != 1 {
			t.Fatal("it was pruned before anybody saw it")
		}
		if err := s.Resolve(t.Context(), "one", orchestrator.Resolution{Step: "create", Verb: journal.VerbSeen, By: "ann", Reason: "nothing to do"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := s.Get(t.Context(), "one"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it was seen, and is still there: %v", err)
		}
		if err := s.AnsweredLate(t.Context(), "one", "create", isRefused); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("an answer to a saga that is gone: %v", err)
		}
	})
}

func TestF03_LateAnswerNeedsAStepAndADefinition(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer func() { s.end() }()
		s.start("one")
		if err := s.AnsweredLate(t.Context(), "one", "nothing", isDone); !errors.Is(err, machine.ErrVerb) {
			t.Errorf("of no step: %v", err)
		}
		s.outcome("one")
		s.says("one", "create", isRefused)
		s.end()
		s.c.Plans = nil
		s.open()
		if err := s.AnsweredLate(t.Context(), "one", "create", isDone); !errors.Is(err, orchestrator.ErrDefinition) {
			t.Errorf("of no definition: %v", err)
		}
		if err := s.Resolve(t.Context(), "one", orchestrator.Resolution{Step: "create", Verb: journal.VerbSeen, By: "ann", Reason: "nothing to do"}); err != nil {
			t.Errorf("seen needs no definition: %v", err)
		}
	})
}

func TestF03_WhoWatchesAnEndedSagaGetsWhatCameAfterItsOutcome(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.start("one")
		s.outcome("one")
		ended := s.get("one").Summary.Seq
		s.says("one", "create", isRefused)
		for _, after := range []uint64{0, ended} {
			last := uint64(0)
			if err := s.Watch(t.Context(), "one", after, func(e journal.Event) error { last = e.Seq; return nil }); err != nil || last != ended+2 {
				t.Errorf("from %d on: up to %d, %v", after, last, err)
			}
		}
	})
}
