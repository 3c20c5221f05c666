package choreographer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

// remedied is the order with a registry of reason codes.
func remedied(t testing.TB) *plan.Plan {
	return order(t, func(d *plan.Draft) {
		d.Steps[1].Reasons = []string{"NoneFree", "TooHeavy"}
		d.Steps[5].Reasons = []string{"MailboxGone"}
		d.Remedies = []plan.Remedy{
			{Reason: "NoneFree", Meaning: "all are in use", Does: plan.Replay, Budget: 2, Pause: 10 * time.Second},
			{Reason: "TooHeavy", Meaning: "nothing carries it", Does: plan.Compensate},
			{Reason: "MailboxGone", Meaning: "nobody reads it", Does: plan.GoOn},
			{Reason: "skald.retries_exhausted", Meaning: "no answer", Does: plan.Compensate},
		}
	})
}

func noneFree(context.Context) participant.Answer {
	return participant.Answer{Reason: "NoneFree", Detail: "6 of 6 are in use"}
}

func (s *scene) remediate() {
	s.t.Helper()
	r, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: s.broker, Name: "remediation", Plans: []*plan.Plan{s.p}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.run("remediation", r.Run)
}

// letters are the dead letters, as "step reason state count: note".
func (s *scene) letters() (all []string) {
	s.t.Helper()
	for _, state := range []broker.LetterState{broker.Waiting, broker.Replayed, broker.Remedied, broker.Discarded} {
		page, err := s.broker.(broker.DeadLetters).Letters(s.t.Context(), broker.LetterFilter{State: state})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, l := range page.Letters {
			all = append(all, fmt.Sprintf("%s %s %s %d: %s", l.Message.Step, l.Reason, l.State, l.Count, l.Note))
			if l.First.At.IsZero() || l.Last.At.Before(l.First.At) || l.First.Reason == "" || l.Description == "" || l.Message.Headers["ce-skalddefinition"] != s.p.Name {
				s.t.Errorf("letter lacks something: %+v", l)
			}
		}
	}
	return all
}

func (s *scene) wantLetters(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.letters()); diff != "" {
		s.t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestWhatIsSetAsideIsReplayedAndSucceeds(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.remediate()
		s.says("reserves.do", noneFree, noneFree, noneFree, unknown, noneFree)
		s.start("s-1")
		s.pass(5 * time.Second)
		s.wantLetters("reserve NoneFree waiting 3: ")
		s.wantEffects("create charge")
		s.pass(time.Minute)
		s.want("s-1", allDone)
		s.wantEffects(allEffects)
		s.wantLetters("reserve NoneFree replayed 3: remediation: replay 1 of 2, after 10s")
		if got := s.count("reserves.do"); got != 6 {
			s.t.Errorf("reserve was tried %d times, want 6", got)
		}
	})
}

// The journal has the attempts of every round, which count on.
func TestAttemptsOfARoundAfterALetterAreInTheJournal(t *testing.T) {
	play(t, remedied, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.remediate()
		s.says("reserves.do", noneFree, noneFree, noneFree, unknown, noneFree)
		s.start("s-1")
		s.pass(time.Minute)
		s.want("s-1", allDone)
		events, err := x.Events(s.t.Context(), "s-1", 0)
		if err != nil {
			s.t.Fatal(err)
		}
		var attempts []uint32
		for _, e := range events {
			if e.Kind == journal.StepRetrying {
				attempts = append(attempts, e.Attempt)
			}
		}
		if diff := cmp.Diff([]uint32{1, 2, 3, 4, 5}, attempts); diff != "" {
			s.t.Errorf("attempts in the journal (-want +got):\n%s", diff)
		}
	})
}

func TestABudgetOfReplaysEnds(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.remediate()
		for range 9 {
			s.says("reserves.do", noneFree)
		}
		s.start("s-1")
		s.pass(time.Minute)
		s.wantEffects("")
		if !strings.Contains(s.tokens("s-1"), "reserve:failed") || !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
			s.t.Errorf("it is not compensated: %s", s.tokens("s-1"))
		}
		s.wantLetters("reserve NoneFree replayed 3: remediation: replay 1 of 2, after 10s", "reserve NoneFree replayed 3: remediation: replay 2 of 2, after 10s",
			"reserve NoneFree remedied 3: remediation: compensate: step reserve is decided, and the saga turns back")
	})
}

func TestARefusalWithARemedyLeavesALetter(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.says("reserves.do", refuses("TooHeavy"))
		s.start("s-1")
		s.pass(time.Minute)
		s.wantEffects("")
		s.wantLetters("reserve TooHeavy waiting 1: ") // nobody remediates, and nothing depends on it
		s.remediate()
		s.pass(time.Minute)
		s.wantLetters("reserve TooHeavy remedied 1: remediation: compensate: step reserve is decided, and the saga turns back")
	})
}

// A remediation that was started before the definition was there, beside services that have it, has passed its letters over.
func TestLettersOfADefinitionThatIsRegisteredLaterAreHandled(t *testing.T) {
	play(t, remedied, func(s *scene) {
		r, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: s.broker, Name: "remediation"})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("remediation", r.Run)
		s.says("reserves.do", noneFree, noneFree, noneFree)
		s.start("s-1")
		s.pass(time.Minute)
		s.wantLetters("reserve NoneFree waiting 3: ")
		if faults := r.Register([]*plan.Plan{s.p}); len(faults) > 0 {
			s.t.Fatal(faults)
		}
		s.pass(time.Second)
		s.want("s-1", allDone)
		s.wantLetters("reserve NoneFree replayed 3: remediation: replay 1 of 2, after 10s")
	})
}

func TestBeyondThePivotItGoesOnWithout(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.remediate()
		s.says("sends.do", refuses("MailboxGone"))
		s.start("s-1")
		s.pass(time.Minute)
		s.want("s-1", allDone)
		s.wantEffects("create reserve charge issue confirm")
		s.wantLetters("send MailboxGone remedied 1: remediation: go on: the step ends without its effect")
		if got := s.count("sends.do"); got != 1 {
			s.t.Errorf("send was tried %d times, want 1", got)
		}
	})
}

func TestASagaThatTurnsBackGivesUpWhatIsSetAside(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.says("reserves.do", noneFree, noneFree, noneFree)
		s.says("charges.do", func(ctx context.Context) participant.Answer { return unknown(ctx) }, unknown, unknown)
		s.start("s-1")
		s.pass(time.Minute)
		s.wantEffects("")
		if !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
			s.t.Errorf("it is not compensated: %s", s.tokens("s-1"))
		}
		tried := s.count("reserves.do") // the third attempt may come when charge has just ended the saga
		s.remediate()                   // replays too late: the saga has ended
		s.pass(time.Minute)
		s.wantEffects("")
		if got := s.count("reserves.do"); got != tried || tried < 2 {
			s.t.Errorf("reserve was tried %d times before the replay and %d after", tried, got)
		}
	})
}

func TestAPersonCompensatesALetterByHand(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.says("reserves.do", noneFree, noneFree, noneFree)
		s.start("s-1")
		s.pass(5 * time.Second)
		r, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: s.broker, Name: "remediation", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		page, err := s.broker.(broker.DeadLetters).Letters(s.t.Context(), broker.LetterFilter{})
		if err != nil || len(page.Letters) != 1 {
			s.t.Fatalf("%d letters, %v", len(page.Letters), err)
		}
		for range 2 { // again is harmless
			if err := r.Compensate(s.t.Context(), &page.Letters[0], "ann", "the client gave up"); err != nil {
				s.t.Fatal(err)
			}
		}
		s.pass(time.Second)
		s.wantEffects("")
		s.wantLetters("reserve NoneFree remedied 3: ann: compensate (the client gave up): the step is failed")
	})
}

// A step that was done since its letter was written is not compensated with the letter: whoever decides is told so, and the letter waits for another decision.
func TestALetterOfAStepThatWasDoneSinceIsNotCompensated(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.says("reserves.do", noneFree, noneFree, noneFree)
		s.start("s-1")
		s.pass(5 * time.Second)
		l := s.onlyLetter()
		if err := s.broker.Publish(s.t.Context(), choreographer.DefaultActs, l.Message); err != nil { // its attempts begin anew, by another hand
			s.t.Fatal(err)
		}
		s.pass(time.Second)
		s.want("s-1", allDone)
		r, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: s.broker, Name: "remediation", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		if err := r.Compensate(s.t.Context(), &l, "ann", "the client gave up"); !errors.Is(err, machine.ErrVerb) || !strings.Contains(err.Error(), "reserve was done meanwhile") {
			s.t.Errorf("compensating gives %v", err)
		}
		s.pass(time.Minute)
		s.wantEffects(allEffects)
		s.wantLetters("reserve NoneFree waiting 3: ")
	})
}

// F28: whoever replays a letter may ask before whether it is any use, it is kept who did, and a finished saga answers "stale", as long as its tokens are there and afterwards.
func TestF28AFinishedSagaAnswersStale(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.track(memstore.NewDisk())
		person, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: s.broker, Name: "people", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		const untouched = "reserve NoneFree waiting 3: "
		setAside := func(id journal.SagaID) broker.DeadLetter {
			s.says("reserves.do", noneFree, noneFree, noneFree)
			s.start(id)
			s.pass(5 * time.Second)
			return s.onlyLetter()
		}
		stale := func(letter broker.DeadLetter, because string) {
			for what, err := range map[string]error{
				"a look": person.CheckReplay(s.t.Context(), &letter), "a replay": person.Replay(s.t.Context(), letter.ID, "ann: again"),
			} {
				if !errors.Is(err, choreographer.ErrStale) || !strings.Contains(err.Error(), because) {
					s.t.Errorf("%s gives %v, want that it is stale: %s", what, err, because)
				}
			}
		}

		l := setAside("s-1")
		if err := person.CheckReplay(s.t.Context(), &l); err != nil {
			s.t.Error(err)
		}
		s.pass(time.Minute)
		s.wantLetters(untouched)
		for range 2 {
			if err := person.Replay(s.t.Context(), l.ID, "ann: they are back"); err != nil {
				s.t.Error(err)
			}
		}
		s.pass(time.Minute)
		s.want("s-1", allDone)
		const replayed = "reserve NoneFree replayed 3: ann: they are back"
		s.wantLetters(replayed)
		if err := person.Replay(s.t.Context(), l.ID, "ann: as if the answer had been lost"); err != nil {
			s.t.Errorf("a replay that was made before gives %v", err)
		}

		l = setAside("s-2")
		if err := s.initiator.Cancel(s.t.Context(), "s-2", "bob", "too late"); err != nil {
			s.t.Fatal(err)
		}
		s.pass(time.Minute)
		calls, tokens := len(s.calls), s.tokens("s-2")
		stale(l, "s-2 is compensated")
		s.wantLetters(untouched, replayed)
		s.pass(20 * time.Minute)
		if left := s.tokens("s-2"); left == tokens || left != s.tokens("s-1") {
			s.t.Fatalf("tokens are left: %s", left)
		}
		stale(l, "nothing is left of s-2")
		s.remediate()
		s.pass(time.Minute)
		s.wantLetters(replayed, "reserve NoneFree remedied 3: remediation: "+choreographer.ErrStale.Error()+": nothing is left of s-2 at the broker")
		settled, err := s.broker.(broker.DeadLetters).Letter(s.t.Context(), l.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := person.CheckReplay(s.t.Context(), &settled); !errors.Is(err, broker.ErrSettled) {
			s.t.Errorf("a letter that was settled otherwise gives %v", err)
		}
		if len(s.calls) != calls {
			s.t.Errorf("called again: %v", s.calls[calls:])
		}
	})
}

// A letter of a tracker is not stale: it has still to hear how the saga ended that it did not know.
func TestALetterOfATrackerIsReplayedAfterTheSagasEnd(t *testing.T) {
	play(t, remedied, func(s *scene) {
		old := order(t, func(d *plan.Draft) { d.Deadline = 2 * time.Hour })
		disk := memstore.NewDisk()
		s.track(disk, func(c *choreographer.TrackerConfig) { c.Plans = []*plan.Plan{old} })
		s.start("s-1")
		s.pass(2 * time.Minute)
		s.want("s-1", allDone)
		page, err := s.broker.(broker.DeadLetters).Letters(s.t.Context(), broker.LetterFilter{})
		if err != nil || len(page.Letters) == 0 {
			s.t.Fatalf("%d letters, %v", len(page.Letters), err)
		}
		s.down("tracker")
		x := s.track(disk, func(c *choreographer.TrackerConfig) { c.Plans = []*plan.Plan{old, s.p} })
		person, err := choreographer.NewRemediator(choreographer.RemediatorConfig{Broker: s.broker, Name: "people", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, l := range page.Letters {
			if err := person.Replay(s.t.Context(), l.ID, "ann: the version is registered"); err != nil {
				s.t.Errorf("the letter of %s about %s: %v", l.Subscription, l.Message.Step, err)
			}
		}
		s.pass(time.Minute)
		s.wantCompleted(x, "s-1")
	})
}

// F28: dead letters that are replayed, twice and after the saga's end, have no second effect.
func TestF28ReplayedLettersHaveNoSecondEffect(t *testing.T) {
	play(t, remedied, func(s *scene) {
		s.remediate()
		s.says("reserves.do", noneFree, noneFree, noneFree)
		s.says("issues.do", refuses("NoPaper"))
		s.start("s-1")
		s.pass(time.Minute)
		s.wantEffects("")
		before := s.tokens("s-1")
		calls := len(s.calls)
		messages, err := s.broker.Read(s.t.Context(), choreographer.DefaultTopic, broker.Filter(s.p.Name+"/s-1/**"))
		if err != nil {
			s.t.Fatal(err)
		}
		all := s.broker.(broker.DeadLetters)
		for _, m := range messages { // whatever it is that was set aside
			for _, x := range s.services {
				l := broker.DeadLetter{Topic: choreographer.DefaultTopic, Subscription: "agent-" + x.name, Message: m, Reason: "TooHeavy", Description: "late", Count: 1}
				if err := all.SetAside(s.t.Context(), l); err != nil {
					s.t.Fatal(err)
				}
				id := broker.LetterID(l.Topic, l.Subscription, m.ID)
				for range 2 {
					if err := all.Replay(s.t.Context(), id, "ann: again"); err != nil {
						s.t.Fatal(err)
					}
				}
			}
		}
		s.pass(time.Minute)
		s.wantEffects("")
		if after := s.tokens("s-1"); after != before || len(s.calls) != calls {
			s.t.Errorf("%d calls and tokens %s; before %d and %s", len(s.calls), after, calls, before)
		}
	})
}
