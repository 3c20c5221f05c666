package choreographer_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store/memstore"
)

// some is a chance in which faults happen now and then, and are counted.
type some struct {
	membroker.Chance
	mu       sync.Mutex
	happened map[membroker.Fault]int
}

func now(rates map[membroker.Fault]float64) *some {
	return &some{Chance: membroker.Seeded(7, rates), happened: make(map[membroker.Fault]int)}
}

func (s *some) Happens(f membroker.Fault) bool {
	happens := s.Chance.Happens(f)
	if happens {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.happened[f]++
	}
	return happens
}

// underFaults runs thirty sagas over a broker with faults, one half refused at the pivot, and wants the right effects of all of them, each made and undone at most once.
func underFaults(t *testing.T, rates map[membroker.Fault]float64) {
	chance := now(rates)
	playWith(t, plainOrder, chance, func(s *scene) {
		const sagas = 30
		var ids []journal.SagaID
		s.refused = make(map[journal.SagaID]string)
		for i := range sagas {
			ids = append(ids, journal.SagaID(fmt.Sprintf("s-%d", i)))
			if i%2 == 1 {
				s.mu.Lock()
				s.refused[ids[i]] = "issues.do"
				s.mu.Unlock()
			}
			for {
				_, _, err := s.initiator.Start(s.t.Context(), choreographer.Request{ID: ids[i], Definition: s.p.Name, Input: []byte(`{"n":1}`)})
				if err == nil {
					break
				}
			}
			s.pass(10 * time.Second)
		}
		s.pass(10 * time.Minute)
		for i, id := range ids {
			end := "skald.end:done"
			if i%2 == 1 {
				end = "skald.start:undone"
			}
			if !strings.Contains(s.tokens(id), end) {
				s.t.Errorf("saga %s did not come to %s: %s", id, end, s.tokens(id))
			}
		}
		for name, want := range map[string][2]int{"create": {30, 15}, "reserve": {30, 15}, "charge": {30, 15}, "issue": {15, 0}, "confirm": {15, 0}, "send": {15, 0}} {
			log := strings.Join(s.services[name].log, " ")
			if made, undone := strings.Count(log, "+"), strings.Count(log, "-"); made != want[0] || undone != want[1] {
				s.t.Errorf("step %s took effect %d times and was undone %d times, want %v", name, made, undone, want)
			}
		}
		for f := range rates {
			if chance.happened[f] == 0 {
				s.t.Errorf("the fault never happened: %s", f)
			}
		}
	})
}

func TestF13_ALostPublishAfterTheCommitIsSentLater(t *testing.T) {
	underFaults(t, map[membroker.Fault]float64{membroker.LostPublish: 0.3})
}

func TestF14_DoubledPublishesHaveOneEffect(t *testing.T) {
	underFaults(t, map[membroker.Fault]float64{membroker.Duplicate: 0.5})
}

func TestF15_LostAndLateAcknowledgementsHaveOneEffect(t *testing.T) {
	underFaults(t, map[membroker.Fault]float64{membroker.LostAck: 0.2, membroker.LostAckReply: 0.2, membroker.EarlyExpiry: 0.2, membroker.LateAck: 0.5})
}

func TestF27_JoinMessagesOutOfOrderAreParkedAndJoined(t *testing.T) {
	underFaults(t, map[membroker.Fault]float64{membroker.Reorder: 0.5, membroker.Delay: 0.5})
}

// A leg that comes before its saga is known waits at the broker, and joins once the start is there. One whose saga never comes waits for a minute, and leaves nothing behind.
func TestF27_ALegBeforeItsSagaIsParkedForAMinute(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		early := func(saga string) {
			m := broker.Message{
				ID: saga + "/create/done/create", Type: "skald.token.done", Source: "create", Saga: journal.SagaID(saga), Step: "create", Key: broker.NewKey(s.p.Name, saga, "create", "forward"),
				Time: time.Now(), Data: []byte(`"create"`), Headers: map[string]string{"ce-skalddefinition": s.p.Name, "ce-skaldversion": s.p.Version},
			}
			if _, err := s.broker.Decide(s.t.Context(), choreographer.DefaultTopic, m); err != nil {
				s.t.Fatal(err)
			}
		}
		waits := func() (waiting int) {
			for _, x := range s.services {
				b, err := s.broker.(broker.Gauge).Backlog(s.t.Context(), choreographer.DefaultTopic, "agent-"+x.name)
				if err != nil {
					s.t.Fatal(err)
				}
				waiting += b.Waiting + b.InFlight
			}
			return waiting
		}
		early("s-1")
		early("s-2")
		s.pass(30 * time.Second)
		if n := waits(); n == 0 || len(s.calls) > 0 {
			s.t.Fatalf("%d messages wait, and the calls are %q", n, s.calls)
		}
		s.start("s-1")
		s.pass(20 * time.Second)
		s.want("s-1", allDone)
		if n := s.count("creates.do"); n > 0 {
			s.t.Errorf("what was done before was done %d times more", n)
		}
		s.pass(2 * time.Minute)
		if n := waits(); n > 0 {
			s.t.Errorf("%d messages wait for a saga that never came", n)
		}
		s.want("s-2", "create:done")
		if letters := s.letters(); len(letters) > 0 {
			s.t.Errorf("dead letters: %q", letters)
		}
	})
}

func TestF31_AnUnknownPublishIsMadeAgainAndThereIsOneToken(t *testing.T) {
	underFaults(t, map[membroker.Fault]float64{membroker.LostPublishReply: 0.3})
}

// A message that is no token is set aside with all that is known of it, and everything else goes on.
func TestF12_APoisonMessageIsSetAsideAndTheRestFlows(t *testing.T) {
	for _, step := range []string{"create", participant.StepStart} {
		play(t, plainOrder, func(s *scene) { s.poisonIsSetAside(step) })
	}
}

func (s *scene) poisonIsSetAside(step string) {
	s.t.Helper()
	poison := broker.Message{ID: "poison", Type: "skald.token.done", Source: "somebody", Saga: "s-0", Step: step, Key: broker.NewKey(s.p.Name, "s-0", step, "forward"), Data: []byte("{")}
	if step == participant.StepStart { // whole, but for a deadline that nobody can keep
		poison.Key = broker.NewKey("skald.start", "s-0")
		poison.Headers = map[string]string{"ce-skalddefinition": s.p.Name, "ce-skaldversion": s.p.Version, "ce-skalddeadline": "9223372036854775807"}
	}
	if _, err := s.broker.Decide(s.t.Context(), choreographer.DefaultTopic, poison); err != nil {
		s.t.Fatal(err)
	}
	s.start("s-1")
	s.pass(time.Minute)
	s.want("s-1", allDone)
	page, err := s.broker.(broker.DeadLetters).Letters(s.t.Context(), broker.LetterFilter{Reason: broker.ReasonUnreadable})
	if err != nil || len(page.Letters) == 0 {
		s.t.Fatalf("%d letters, %v", len(page.Letters), err)
	}
	for _, l := range page.Letters {
		if l.Message.ID != "poison" || !maps.Equal(l.Message.Headers, poison.Headers) || l.First.Reason != l.Reason || l.Last.Description == "" || l.Description == "" || l.Count != 1 || l.First.At.IsZero() || l.Last.At.IsZero() {
			s.t.Errorf("letter is %+v", l)
		}
	}
}

// hanging is a desk whose actions for some sagas hang, outside its database, until the gate opens.
type hanging struct {
	participant.Desk
	gate  chan struct{}
	mu    sync.Mutex
	hangs int
}

// Take implements participant.Desk.
func (h *hanging) Take(ctx context.Context, id journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	if strings.HasPrefix(string(id), "h-") {
		h.mu.Lock()
		h.hangs++
		h.mu.Unlock()
		select {
		case <-h.gate:
		case <-ctx.Done():
			return participant.Taken{}, context.Cause(ctx)
		}
	}
	return h.Desk.Take(ctx, id, heard, next)
}

// While as many of a service's actions hang as it has places, and more come, its compensations are carried out.
func TestF16_CompensationsFlowWhileAllPlacesForActionsAreTaken(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		const sagas, hang = 20, 200 // of which the service takes 64 at a time
		h := &hanging{Desk: s.services["charge"], gate: make(chan struct{})}
		s.inFront = map[string]participant.Desk{"charge": h}
		s.down("charge")
		s.up("charge")
		s.down("issue")
		for i := range sagas {
			s.start(journal.SagaID(fmt.Sprintf("s-%d", i)))
		}
		s.pass(time.Second)
		for i := range hang {
			s.start(journal.SagaID(fmt.Sprintf("h-%d", i)))
		}
		s.pass(time.Second)
		for range sagas {
			s.says("issues.do", refuses("NoPaper"))
		}
		s.up("issue")
		s.pass(5 * time.Second)
		if h.hangs != 64 {
			s.t.Fatalf("%d actions hang", h.hangs)
		}
		if underWay, room := s.agents["charge"].Actions(); underWay != 64 || room != 64 {
			s.t.Errorf("it says that %d of %d places are taken", underWay, room)
		}
		for i := range sagas {
			if id := journal.SagaID(fmt.Sprintf("s-%d", i)); !strings.Contains(s.tokens(id), "skald.start:undone") {
				s.t.Fatalf("saga %s is not compensated while others hang: %s", id, s.tokens(id))
			}
		}
		close(h.gate)
		s.pass(time.Minute)
		for i := range hang {
			if id := journal.SagaID(fmt.Sprintf("h-%d", i)); !strings.Contains(s.tokens(id), "skald.end:done") {
				s.t.Fatalf("saga %s did not complete: %s", id, s.tokens(id))
			}
		}
		if underWay, _ := s.agents["charge"].Actions(); underWay != 0 {
			s.t.Errorf("it says that %d places are taken by nothing", underWay)
		}
	})
}

// A join whose other branch never comes is ended by the deadline: a dead letter, and compensation.
func TestF26_AJoinThatWaitsIsEndedByTheDeadline(t *testing.T) {
	p := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			d.Steps[2].Deadline = 20 * time.Second
			d.Remedies = []plan.Remedy{{Reason: "skald.deadline", Meaning: "it took too long", Does: plan.Compensate}}
		})
	}
	play(t, p, func(s *scene) {
		s.track(memstore.NewDisk())
		s.down("charge")
		s.start("s-1")
		s.pass(25 * time.Second)
		s.up("charge")
		s.pass(time.Minute)
		s.wantEffects("")
		if !strings.Contains(s.tokens("s-1"), "charge:failed") || !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
			s.t.Errorf("tokens are %s", s.tokens("s-1"))
		}
		s.wantLetters("charge skald.deadline waiting 1: ")
	})
}

func TestF26_AJoinWithoutADeadlineDoesNotValidate(t *testing.T) {
	d := plan.Draft{Name: "order", IncidentAfter: 30 * time.Second}
	d.Steps = append(d.Steps, step("a", participant.Compensatable), step("b", participant.Compensatable), step("c", participant.Compensatable, "a", "b"))
	if _, err := plan.Build(d); err == nil || !strings.Contains(err.Error(), "joins 2 branches without a deadline") {
		t.Errorf("building gives %v", err)
	}
}

// A letter of an earlier round of attempts, replayed late, does not begin a round of its own.
func TestF32_ADecisionAboutAnEarlierRoundIsIgnored(t *testing.T) {
	play(t, remedied, func(s *scene) {
		for range 9 {
			s.says("reserves.do", noneFree)
		}
		s.start("s-1")
		s.pass(5 * time.Second)
		letters := s.broker.(broker.DeadLetters)
		first := s.onlyLetter()
		if err := letters.Replay(s.t.Context(), first.ID, "ann: now"); err != nil {
			s.t.Fatal(err)
		}
		s.pass(5 * time.Second) // the second round is set aside, too
		second := s.onlyLetter()
		if second.ID == first.ID || s.count("reserves.do") != 6 {
			s.t.Fatalf("the second round left letter %s after %d attempts", second.ID, s.count("reserves.do"))
		}
		if err := s.broker.Publish(s.t.Context(), choreographer.DefaultActs, first.Message); err != nil { // the first decision once more
			s.t.Fatal(err)
		}
		s.pass(30 * time.Second)
		if got := s.count("reserves.do"); got != 6 {
			s.t.Errorf("reserve was tried %d times, want 6", got)
		}
		if got := s.agents["reserve"].Ignored(); got != 1 {
			s.t.Errorf("%d decisions were counted as ignored, want 1", got)
		}
	})
}

// onlyLetter is the one dead letter that waits.
func (s *scene) onlyLetter() broker.DeadLetter {
	s.t.Helper()
	page, err := s.broker.(broker.DeadLetters).Letters(s.t.Context(), broker.LetterFilter{})
	if err != nil || len(page.Letters) != 1 {
		s.t.Fatalf("%d letters wait, %v", len(page.Letters), err)
	}
	return page.Letters[0]
}

// A participant that says nothing shows as an incident within 60 s, wherever the saga is.
func TestF33_SilenceIsAnIncidentWithinAMinute(t *testing.T) {
	for _, away := range []string{"create", "reserve", "charge", "issue", "confirm", "send"} {
		play(t, plainOrder, func(s *scene) {
			x := s.track(memstore.NewDisk())
			s.down(away)
			s.start("s-1")
			s.pass(time.Minute)
			if open := s.incidents(x, "s-1"); !strings.Contains(open, away+" skald.no_progress") {
				s.t.Errorf("%s is away and the incidents are %q", away, open)
			}
		})
	}
}

// F34: a branch is refused while its sibling runs; that one settles first, and then everything is undone in reverse.
func TestF34_SiblingsSettleWithNobodyInTheMiddle(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		gate := make(chan struct{})
		s.says("charges.do", func(context.Context) participant.Answer {
			<-gate
			return participant.Answer{Class: participant.Done, Result: []byte(`1`)}
		})
		s.says("reserves.do", refuses("OutOfStock"))
		s.start("s-1")
		s.pass(time.Second)
		s.want("s-1", "create:done reserve:refused issue:skipped confirm:skipped send:skipped skald.end:skipped")
		close(gate)
		s.pass(time.Second)
		s.wantEffects("")
		if !strings.Contains(s.tokens("s-1"), "charge:undone") || !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
			s.t.Errorf("tokens are %s", s.tokens("s-1"))
		}
	})
}

// F19: everybody is started anew with a clock that was set back by a day. What waits for another attempt waits no longer than it would have, silence is an incident in time, and a pause that was planned is made.
func TestF19_AClockThatIsSetBackHoldsNothingUp(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		disk := memstore.NewDisk()
		s.track(disk)
		s.down("issue")
		s.says("reserves.do", unknown, unknown)
		s.start("s-1")
		s.pass(time.Millisecond)
		if got := s.count("reserves.do"); got != 1 {
			s.t.Fatalf("%d attempts were made", got)
		}
		for _, name := range slices.Sorted(maps.Keys(s.running)) {
			if name != "initiator" {
				s.down(name)
			}
		}
		s.wrong = -24 * time.Hour
		for i := range s.p.Steps {
			if name := s.p.Steps[i].Name; name != "issue" {
				s.up(name)
			}
		}
		x := s.track(disk)
		s.pass(5 * time.Second)
		s.want("s-1", "create:done reserve:done charge:done")
		if got := s.count("reserves.do"); got != 3 {
			s.t.Errorf("%d attempts were made, want 3", got)
		}
		s.pass(55 * time.Second)
		if open := s.incidents(x, "s-1"); !strings.Contains(open, "issue skald.no_progress") {
			s.t.Errorf("a minute later the incidents are %q", open)
		}
		s.up("issue")
		s.pass(time.Second)
		s.wantCompleted(x, "s-1")
		s.wantEffects(allEffects)
	})
}

// F19: what is due by a clock that was set back is not looked for behind what waits for a while, and a step's deadline begins anew instead of being a day later.
func TestF19_AClockThatIsSetBackMovesNoDeadline(t *testing.T) {
	working := func(context.Context) participant.Answer {
		return participant.Answer{Working: true, RetryAfter: 4 * time.Minute}
	}
	bounded := func(tb testing.TB) *plan.Plan {
		return order(tb, func(d *plan.Draft) { d.Steps[1].Deadline = 10 * time.Minute })
	}
	play(t, bounded, func(s *scene) {
		s.says("reserves.do", slices.Repeat([]func(context.Context) participant.Answer{working}, 20)...)
		s.start("s-1")
		s.start("s-2")
		s.pass(time.Second)
		desk := s.services["reserve"]
		desk.mu.Lock()
		for i := range desk.waiting {
			if w := &desk.waiting[i]; w.Saga == "s-1" { // as if it had been written by the clock before
				w.At, w.Since = w.At.Add(24*time.Hour), w.Since.Add(24*time.Hour)
			}
		}
		desk.mu.Unlock()
		s.pass(5 * time.Second)
		if got := s.count("reserves.do"); got != 3 {
			s.t.Errorf("%d calls were made, want one of each saga, and one more of the first", got)
		}
		s.pass(20 * time.Minute)
		s.wantEffects("")
		for _, saga := range []journal.SagaID{"s-1", "s-2"} {
			if told := s.tokens(saga); !strings.Contains(told, "reserve:failed") {
				s.t.Errorf("the tokens of %s are %s", saga, told)
			}
		}
	})
}

// F19: a clock that is a day ahead after a start makes what waits due at once, once: there is no storm, and the saga's deadline has passed.
func TestF19_AClockThatIsAheadMakesNoStorm(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.says("reserves.do", unknown, unknown, unknown)
		s.start("s-1")
		s.pass(time.Millisecond)
		for i := range s.p.Steps {
			s.down(s.p.Steps[i].Name)
		}
		before := len(s.calls)
		s.wrong = 24 * time.Hour
		for i := range s.p.Steps {
			s.up(s.p.Steps[i].Name)
		}
		s.pass(time.Minute)
		s.wantEffects("")
		if made := s.calls[before:]; len(made) > len(s.p.Steps) {
			s.t.Errorf("%d calls were made: %q", len(made), made)
		}
	})
}
