package choreographer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// forgets lets a step's service lose its database, and hear again of what led to the step.
func (s *scene) forgets(step string, id journal.SagaID, before string) {
	s.t.Helper()
	for i := range s.p.Steps {
		if x := &s.p.Steps[i]; x.Name == step {
			s.services[step] = newService(x, s.answer)
		}
	}
	a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: s.broker, Desk: s.services[step], Name: s.services[step].name, Plans: []*plan.Plan{s.p}})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, t := range choreographer.ReadAll(s.t, s.broker, s.p.Name, id) {
		if t.Step == before && t.Direction() == participant.Forward {
			if err := a.Hear(s.t.Context(), t); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	s.pass(time.Second)
}

// contradictions are the sagas with one that is open.
func (s *scene) contradictions(x *choreographer.Tracker) (open []string) {
	s.t.Helper()
	page, err := x.List(s.t.Context(), store.Filter{Incident: true})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range page.Sagas {
		g := &page.Sagas[i]
		open = append(open, fmt.Sprint(g.ID, " ", g.State, " ", g.Step, " ", g.Incident))
	}
	return open
}

func (s *scene) see(x *choreographer.Tracker, id journal.SagaID, step string) error {
	return x.Resolve(s.t.Context(), id, choreographer.Resolution{Step: step, Verb: journal.VerbSeen, By: "ann", Reason: "put right by hand"})
}

func TestF03_ParticipantThatLostItsDatabaseAndAnswersOtherwiseIsAnIncident(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, second func(context.Context) participant.Answer
		outcome       store.State
		words         string
	}{
		{"done, and then refused", nil, refuses("NoPaper"), store.Completed, "an effect may be missing"},
		{"refused, and then done", refuses("NoPaper"), nil, store.Compensated, "an effect may exist that the saga believes absent"},
		{"done, and then with another result", nil, func(context.Context) participant.Answer {
			return participant.Answer{Class: participant.Done, Result: []byte(`"another"`)}
		}, store.Completed, "the effect may exist twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			play(t, chain, func(s *scene) {
				x := s.track(memstore.NewDisk())
				if tt.first != nil {
					s.says("issues.do", tt.first)
				}
				s.start("s-1")
				if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
					s.t.Fatal(err)
				}
				s.pass(time.Second) // the initiator tells the end
				before, tokens := s.tale(x, "s-1"), s.tokens("s-1")
				if tt.second != nil {
					s.says("issues.do", tt.second, tt.second)
				}
				s.forgets("issue", "s-1", "look")
				s.forgets("issue", "s-1", "look") // once more is a repeat
				if diff := cmp.Diff([]string{fmt.Sprint("s-1 ", tt.outcome, " issue skald.contradiction")}, s.contradictions(x)); diff != "" {
					s.t.Fatal(diff)
				}
				added := s.tale(x, "s-1")[len(before):]
				if len(added) != 2 || !strings.HasPrefix(added[0], "step answered late issue") || added[1] != "incident opened issue skald.contradiction" {
					s.t.Errorf("after the end: %q", added)
				}
				saga, err := x.Get(s.t.Context(), "s-1")
				if err != nil || saga.State != tt.outcome || len(saga.View.Incidents) != 1 || !strings.Contains(saga.View.Incidents[0].Detail, tt.words) {
					s.t.Errorf("%v, %+v", err, saga.View.Incidents)
				}
				if now := s.tokens("s-1"); now != tokens {
					s.t.Errorf("decided was %s, and is now %s", tokens, now)
				}
			})
		})
	}
}

func TestF03_PersonSaysThatAContradictionWasSeen(t *testing.T) {
	play(t, chain, func(s *scene) {
		disk := memstore.NewDisk()
		x := s.track(disk)
		s.start("s-1")
		if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
			s.t.Fatal(err)
		}
		if err := s.see(x, "s-1", "issue"); !errors.Is(err, machine.ErrVerb) {
			s.t.Errorf("nothing to see: %v", err)
		}
		if err := s.see(x, "s-0", "issue"); !errors.Is(err, store.ErrNotFound) {
			s.t.Errorf("no saga: %v", err)
		}
		s.says("issues.do", refuses("NoPaper"))
		s.forgets("issue", "s-1", "look")
		retry := choreographer.Resolution{Step: "issue", Verb: journal.VerbRetry, By: "ann"}
		if err := x.Resolve(s.t.Context(), "s-1", retry); !errors.Is(err, machine.ErrEnded) || !strings.Contains(err.Error(), "say seen") {
			s.t.Errorf("retry after the end: %v", err)
		}
		s.pass(time.Hour) // the tokens are gone by then
		s.down("tracker")
		x = s.track(disk) // and whoever wrote the end is another one
		if err := s.see(x, "s-1", "issue"); err != nil {
			s.t.Fatal(err)
		}
		if open := s.contradictions(x); len(open) != 0 {
			s.t.Errorf("open: %q", open)
		}
		if last := s.tale(x, "s-1"); last[len(last)-1] != "incident resolved issue ann" {
			s.t.Errorf("%q", last)
		}
		if x.Open() != 0 {
			s.t.Error("a saga that ended is kept in memory")
		}
	})
}

func TestF03_ContradictionIsSeenAlsoWhenTheDefinitionIsGone(t *testing.T) {
	play(t, chain, func(s *scene) {
		disk := memstore.NewDisk()
		x := s.track(disk)
		s.start("s-1")
		if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
			s.t.Fatal(err)
		}
		if err := x.AnsweredLate(s.t.Context(), "s-1", "issue", participant.Answer{Class: participant.Refused, Reason: "NoPaper"}); err != nil {
			s.t.Fatal(err)
		}
		s.down("tracker")
		p := s.p
		s.p = order(s.t, func(d *plan.Draft) { d.Revision = "2" })
		x = s.track(disk, func(c *choreographer.TrackerConfig) { // its clock is behind as well, and no journal goes back in time
			c.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
		})
		s.p = p
		if err := s.see(x, "s-1", "create"); !errors.Is(err, machine.ErrVerb) {
			s.t.Errorf("nothing to see: %v", err)
		}
		if err := s.see(x, "s-1", "issue"); err != nil {
			s.t.Fatal(err)
		}
		if open := s.contradictions(x); len(open) != 0 {
			s.t.Errorf("open: %q", open)
		}
		events, err := x.Events(s.t.Context(), "s-1", 0)
		if err != nil || !slices.IsSortedFunc(events, func(a, b journal.Event) int { return a.Time.Compare(b.Time) }) {
			s.t.Errorf("the journal goes back in time: %+v (%v)", events, err)
		}
	})
}

func TestF03_ContradictionWhileTheSagaRuns(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("issue")
		s.start("s-1")
		s.pass(time.Second)
		if err := x.AnsweredLate(s.t.Context(), "s-1", "issue", participant.Answer{Class: participant.Refused, Reason: "NoPaper"}); err != nil {
			s.t.Fatal(err)
		}
		if err := x.AnsweredLate(s.t.Context(), "s-1", "create", participant.Answer{Class: participant.Refused, Reason: "NoPaper"}); err != nil {
			s.t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"s-1 running create skald.contradiction"}, s.contradictions(x)); diff != "" {
			s.t.Fatal(diff)
		}
		s.pass(time.Minute) // nothing was heard of issue for too long: that comes first
		if diff := cmp.Diff([]string{"s-1 running issue skald.no_progress"}, s.contradictions(x)); diff != "" {
			s.t.Error(diff)
		}
		s.up("issue")
		if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
			s.t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"s-1 completed create skald.contradiction"}, s.contradictions(x)); diff != "" {
			s.t.Error(diff)
		}
	})
}

// Once a saga's tokens are deleted nothing keeps a participant from telling another one; the journal does.
func TestF03_TokenToldAfterTheTokensWereDeletedIsHeldAgainstTheJournal(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.start("s-1")
		if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
			s.t.Fatal(err)
		}
		all := choreographer.ReadAll(s.t, s.broker, s.p.Name, "s-1")
		s.pass(time.Hour)
		i := slices.IndexFunc(all, func(t participant.Token) bool { return t.Step == "issue" })
		repeat, other := all[i], all[i]
		other.Kind, other.Reason, other.Payload = participant.TokenRefused, "NoPaper", nil
		byHand := other
		byHand.By = "ann" // who decided too late says nothing of what the participant did
		before := s.tale(x, "s-1")
		for _, t := range []participant.Token{repeat, byHand, other} {
			if now := s.tale(x, "s-1"); len(now) != len(before) {
				s.t.Errorf("before %s by %q is heard, this was added: %q", t.Kind, t.By, now[len(before):])
			}
			if err := x.Hear(s.t.Context(), t); err != nil {
				s.t.Fatal(err)
			}
		}
		s.wantTale(x, "s-1", append(before, "step answered late issue NoPaper", "incident opened issue skald.contradiction")...)
	})
}

// A report that cannot be sent is not lost: the token stays to be told, and is found to contradict again.
func TestF03_ReportThatCannotBeSentIsSentLater(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.start("s-1")
		if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
			s.t.Fatal(err)
		}
		s.says("issues.do", refuses("NoPaper"))
		reached := s.broker
		s.broker = mute{reached}
		s.down("issue")
		s.forgets("issue", "s-1", "look")
		s.broker = reached
		if open := s.contradictions(x); len(open) != 0 {
			s.t.Fatalf("the report was sent: %q", open)
		}
		s.up("issue")
		s.pass(time.Minute)
		synctest.Wait()
		if open := s.contradictions(x); len(open) != 1 {
			s.t.Errorf("open: %q", open)
		}
	})
}

// mute is a broker that takes no reports.
type mute struct{ broker.Broker }

func (mute) Publish(context.Context, string, ...broker.Message) error {
	return errors.New("the broker does not answer")
}

// What was decided by hand, or cannot be made of the input any more, is no word of the participant's against what it told before; neither is anything that a readonly step says.
func TestF03_OnlyAParticipantsOwnWordContradicts(t *testing.T) {
	p := order(t, func(d *plan.Draft) { d.Steps[1].Kind, d.Steps[1].Compensation = participant.ReadOnly, "" })
	a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: membroker.New(membroker.Config{}), Desk: newService(&p.Steps[2], nil), Name: "charges", Plans: []*plan.Plan{p}})
	if err != nil {
		t.Fatal(err)
	}
	token := func(kind participant.TokenKind, result string, more ...func(*participant.Token)) participant.Token {
		x := participant.Token{Definition: p.Name, Version: p.Version, Saga: "s-1", Step: "charge", Kind: kind, Payload: []byte(result)}
		for _, f := range more {
			f(&x)
		}
		return x
	}
	byHand := func(x *participant.Token) { x.By = "ann" }
	unmappable := func(x *participant.Token) { x.Reason = machine.ReasonMapping }
	const done, refused, failed, skipped = participant.TokenDone, participant.TokenRefused, participant.TokenFailed, participant.TokenSkipped
	for _, x := range []struct {
		wants, decided participant.Token
		contradicts    bool
	}{
		{token(done, "1"), token(done, "1"), false},
		{token(done, "1"), token(done, "2"), true},
		{token(done, "1"), token(done, "1", byHand), true},
		{token(done, "1", byHand), token(done, "2"), false},
		{token(done, "1"), token(refused, ""), true},
		{token(done, "1"), token(skipped, ""), true},
		{token(done, "1"), token(failed, ""), false}, // it undoes what it did
		{token(refused, ""), token(done, "1"), true},
		{token(refused, "", unmappable), token(done, "1"), false},
		{token(refused, ""), token(failed, ""), false},
		{token(failed, ""), token(done, "1"), false},
		{token(skipped, ""), token(done, "1"), false},
	} {
		if got := a.Contradicts(x.wants, x.decided); got != x.contradicts {
			t.Errorf("%s %s by %q against %s %s: %t", x.wants.Kind, x.wants.Payload, x.wants.By, x.decided.Kind, x.decided.Payload, got)
		}
		x.wants.Step, x.decided.Step = "reserve", "reserve"
		if a.Contradicts(x.wants, x.decided) {
			t.Errorf("a readonly step's %s contradicts %s", x.wants.Kind, x.decided.Kind)
		}
	}
}
