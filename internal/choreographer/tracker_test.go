package choreographer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// track starts a tracker on a disk.
func (s *scene) track(disk *memstore.Disk, change ...func(*choreographer.TrackerConfig)) *choreographer.Tracker {
	s.t.Helper()
	c := choreographer.TrackerConfig{Broker: s.broker, Store: memstore.Open(disk), Name: "tracker", Plans: []*plan.Plan{s.p}, Now: s.clock()}
	for _, change := range change {
		change(&c)
	}
	x, err := choreographer.OpenTracker(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.run("tracker", x.Run)
	synctest.Wait()
	return x
}

// tale is a saga's journal in short.
func (s *scene) tale(x *choreographer.Tracker, id journal.SagaID) (lines []string) {
	s.t.Helper()
	events, err := x.Events(s.t.Context(), id, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		line := e.Kind.String()
		for _, word := range []string{e.Step, e.Reason, e.By} {
			if word != "" {
				line += " " + word
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *scene) wantTale(x *choreographer.Tracker, id journal.SagaID, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.tale(x, id)); diff != "" {
		s.t.Errorf("journal of %s (-want +got):\n%s", id, diff)
	}
}

func TestTheTrackerWritesTheJournal(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.start("s-1")
		told, err := x.Outcome(s.t.Context(), "s-1")
		if err != nil {
			s.t.Fatal(err)
		}
		got := s.tale(x, "s-1")
		slices.Sort(got[5:7]) // of two branches either may come first
		want := []string{
			"saga started", "step asked create", "step done create", "step asked reserve", "step asked charge", "step done charge", "step done reserve",
			"step asked issue", "step done issue", "step asked confirm", "step asked send", "step done confirm", "step done send", "saga completed",
		}
		slices.Sort(got[9:13])
		slices.Sort(want[9:13])
		if diff := cmp.Diff(want, got); diff != "" {
			s.t.Errorf("journal (-want +got):\n%s", diff)
		}
		saga, err := x.Get(s.t.Context(), "s-1")
		if err != nil || saga.State != store.Completed || saga.Mode != journal.Choreographed || string(saga.View.Step("charge").Result) != `"charge"` || saga.View.Deadline.IsZero() {
			s.t.Errorf("saga is %+v, %v", saga, err)
		}
		if diff := cmp.Diff(saga, told); diff != "" {
			s.t.Errorf("whoever waited was told otherwise (-written +told):\n%s", diff)
		}
	})
}

func chain(t testing.TB) *plan.Plan {
	return order(t, func(d *plan.Draft) {
		d.Steps = []plan.DraftStep{step("create", participant.Compensatable), step("look", participant.ReadOnly, "create"), step("issue", participant.Pivot, "look")}
	})
}

func TestTheJournalOfACompensatedSaga(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.says("issues.do", refuses("NoPaper"))
		s.says("creates.undo", unknown)
		s.start("s-1")
		if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
			s.t.Fatal(err)
		}
		s.wantTale(x, "s-1", "saga started", "step asked create", "step done create", "step asked look", "step done look", "step asked issue", "step refused issue NoPaper",
			"saga compensating issue NoPaper", "compensation asked create", "compensation retrying create", "compensation done create", "saga compensated")
	})
}

func TestACancelIsInTheJournal(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("look")
		s.start("s-1")
		s.pass(time.Second)
		if err := s.initiator.Cancel(s.t.Context(), "s-1", "ann", "changed her mind"); err != nil {
			s.t.Fatal(err)
		}
		s.pass(time.Second)
		got := s.tale(x, "s-1")
		if k := slices.Index(got, "step skipped issue"); k > 6 { // what is skipped and what is undone do not wait for each other
			got = append(slices.Delete(got, k, k+1), "step skipped issue")
		}
		want := []string{"saga started", "step asked create", "step done create", "step asked look", "cancel requested skald.cancelled ann", "step refused look skald.cancelled",
			"saga compensating look skald.cancelled", "compensation asked create", "compensation done create", "saga compensated", "step skipped issue"}
		if diff := cmp.Diff(want, got); diff != "" {
			s.t.Errorf("journal (-want +got):\n%s", diff)
		}
	})
}

// What a change that failed may have spoilt is read anew, but not before what was on its way to the store is there: otherwise the next change would begin the journal again.
func TestAFailedChangeWaitsForWhatIsUnderWay(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("look")
		began := time.Now()
		s.start("s-1")
		synctest.Wait() // its first events are gathered now: they are written only when time passes
		broken := errors.New("the broker does not answer")
		if err := x.Fail(s.t.Context(), "s-1", broken); !errors.Is(err, broken) {
			s.t.Errorf("the change gives %v", err)
		}
		if took := time.Since(began); took > 0 {
			s.t.Fatalf("it took %v: what this is about had been written before", took)
		}
		if err := x.Fail(s.t.Context(), "s-1", nil); err != nil {
			s.t.Errorf("the next change gives %v", err)
		}
		s.pass(time.Second)
		s.wantTale(x, "s-1", "saga started", "step asked create", "step done create", "step asked look")
	})
}

// F33: silence is an incident within 60 s, and closes by itself.
func TestSilenceIsAnIncident(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("issue")
		s.start("s-1")
		s.pass(29 * time.Second)
		if open := s.incidents(x, "s-1"); open != "" {
			s.t.Errorf("after 29 s the incidents are %q", open)
		}
		s.pass(2 * time.Second)
		if open := s.incidents(x, "s-1"); open != "issue skald.no_progress" {
			s.t.Errorf("after 31 s the incidents are %q", open)
		}
		s.up("issue")
		s.pass(time.Second)
		if open := s.incidents(x, "s-1"); open != "" {
			s.t.Errorf("after the end the incidents are %q", open)
		}
		s.want("s-1", "create:done look:done issue:done skald.end:done")
	})
}

// A participant that tells of its attempts was heard: the incident says what it told last, also by a tracker that comes later.
func TestAnIncidentSaysWhatTheParticipantToldOfItsAttempts(t *testing.T) {
	says := func(a participant.Answer) func(context.Context) participant.Answer {
		return func(context.Context) participant.Answer { return a }
	}
	for _, tt := range []struct {
		answer participant.Answer
		want   string
	}{
		{participant.Answer{Detail: "connection refused by room:80"}, "connection refused by room:80 (heard at 2000-01-01T00:00:"},
		{participant.Answer{Reason: "Busy"}, "Busy (heard at 2000-01-01T00:00:"},
		{participant.Answer{}, "does not say what is wrong"},
	} {
		play(t, chain, func(s *scene) {
			disk := memstore.NewDisk()
			s.track(disk)
			for range 100 {
				s.says("issues.do", says(tt.answer))
			}
			s.start("s-1")
			s.pass(20 * time.Second)
			s.down("tracker")
			x := s.track(disk)
			s.pass(31 * time.Second)
			saga, err := x.Get(s.t.Context(), "s-1")
			if err != nil {
				s.t.Fatal(err)
			}
			if open := saga.View.Incidents; len(open) != 1 || open[0].Reason != machine.ReasonSlow || !strings.Contains(open[0].Detail, tt.want) || strings.Contains(open[0].Detail, "nothing was heard") {
				s.t.Errorf("the incidents are %+v, want %q", open, tt.want)
			}
		})
	}
}

// Of two steps side by side the one that is stuck is the one that lists name, also by a tracker that comes later.
func TestASagaWithAnIncidentIsAtTheStepThatHasIt(t *testing.T) {
	for _, stuck := range []string{"reserve", "charge"} {
		play(t, plainOrder, func(s *scene) {
			disk := memstore.NewDisk()
			x := s.track(disk)
			s.down(stuck)
			s.start("s-1")
			s.pass(31 * time.Second)
			at := func() string {
				saga, err := x.Get(s.t.Context(), "s-1")
				if err != nil {
					s.t.Fatal(err)
				}
				return saga.Summary.Incident + " " + saga.Summary.Step
			}
			if got := at(); got != "skald.no_progress "+stuck {
				s.t.Errorf("it is at %q, and %s is stuck", got, stuck)
			}
			s.down("tracker")
			x = s.track(disk)
			if got := at(); got != "skald.no_progress "+stuck {
				s.t.Errorf("a later tracker says %q, and %s is stuck", got, stuck)
			}
			s.up(stuck)
			s.pass(time.Second)
			if got := at(); got != " " {
				s.t.Errorf("after its end it is at %q", got)
			}
		})
	}
}

func (s *scene) incidents(x *choreographer.Tracker, id journal.SagaID) string {
	s.t.Helper()
	saga, err := x.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	var open []string
	for _, i := range saga.View.Incidents {
		open = append(open, strings.TrimSpace(i.Step+" "+i.Reason))
	}
	if (saga.Incident != "") != (len(open) > 0) {
		s.t.Errorf("the summary's incident is %q, the view's are %q", saga.Incident, open)
	}
	return strings.Join(open, ", ")
}

func TestTheSagasDeadlineTurnsItBack(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("look")
		s.start("s-1")
		s.pass(time.Hour + time.Second)
		s.want("s-1", "create:done look:refused issue:skipped skald.end:skipped create:undone skald.start:undone")
		saga, err := x.Get(s.t.Context(), "s-1")
		if err != nil || saga.State != store.Compensated || saga.Reason != "skald.deadline" {
			s.t.Errorf("saga is %+v, %v", saga.Summary, err)
		}
		s.down("issue")
		s.up("look")
		s.start("s-2")
		s.pass(time.Hour + time.Second) // it is up to the pivot: nothing may expire it from outside
		if open := s.incidents(x, "s-2"); open != "issue skald.no_progress, skald.deadline" {
			s.t.Errorf("incidents are %q", open)
		}
	})
}

func TestAStepsDeadlineIsKept(t *testing.T) {
	p := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			for i := range d.Steps {
				d.Steps[i].Deadline = 20 * time.Second
			}
		})
	}
	play(t, p, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("charge")
		s.start("s-1")
		s.pass(21 * time.Second)
		if !strings.Contains(s.tokens("s-1"), "charge:failed") {
			s.t.Errorf("tokens are %s", s.tokens("s-1"))
		}
		s.up("charge")
		s.down("send")
		s.start("s-2")
		s.pass(21 * time.Second)
		if open := s.incidents(x, "s-2"); open != "send skald.deadline" {
			s.t.Errorf("incidents are %q", open)
		}
		s.wantEffects(strings.TrimSuffix(allEffects, " send"))
	})
}

// tellEnd tells the end of a saga that nobody has told, of which something was.
func (s *scene) tellEnd(id journal.SagaID) {
	s.t.Helper()
	end := s.all(id)[0]
	end.Step, end.Kind, end.ID, end.Payload = participant.StepEnd, participant.TokenDone, "end", nil
	if _, err := s.broker.Decide(s.t.Context(), choreographer.DefaultTopic, choreographer.Encode(end)); err != nil {
		s.t.Fatal(err)
	}
}

// wantCompleted wants a saga to be completed, with nothing left to see to.
func (s *scene) wantCompleted(x *choreographer.Tracker, id journal.SagaID) {
	s.t.Helper()
	if saga, err := x.Get(s.t.Context(), id); err != nil || saga.State != store.Completed || saga.Incident != "" {
		s.t.Errorf("the saga is %s, with incident %q, %v", saga.State, saga.Incident, err)
	}
}

// Where the end is told and a token before it is gone, lost with the power, nobody decides that step otherwise: it was done, and its participant tells it again.
func TestALostTokenBeforeTheEndIsNotDecidedOtherwise(t *testing.T) {
	p := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			last := step("reserve", participant.Compensatable, "create")
			last.Deadline = 20 * time.Second
			d.Steps = []plan.DraftStep{step("create", participant.Compensatable), last}
		})
	}
	play(t, p, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("reserve")
		s.start("s-1")
		s.pass(time.Second)
		s.tellEnd("s-1")
		s.pass(time.Minute)
		s.want("s-1", "create:done skald.end:done")
		if open := s.incidents(x, "s-1"); open != "reserve skald.deadline" {
			s.t.Errorf("incidents are %q", open)
		}
		s.up("reserve")
		s.pass(time.Minute)
		s.want("s-1", "create:done reserve:done skald.end:done")
		s.wantCompleted(x, "s-1")
	})
}

// The saga's own deadline shows that, too, long before silence is an incident.
func TestALostTokenBeforeTheEndIsAnIncidentAtTheDeadline(t *testing.T) {
	p := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			d.Deadline, d.IncidentAfter = 20*time.Second, time.Hour
			d.Steps = []plan.DraftStep{step("create", participant.Compensatable), step("issue", participant.Pivot, "create"), step("send", participant.Retriable, "issue")}
		})
	}
	play(t, p, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("send")
		s.start("s-1")
		s.pass(time.Second)
		s.tellEnd("s-1")
		s.pass(time.Minute)
		if open := s.incidents(x, "s-1"); open != "skald.deadline" {
			s.t.Errorf("incidents are %q", open)
		}
		s.up("send")
		s.pass(time.Minute)
		s.want("s-1", "create:done issue:done send:done skald.end:done")
		s.wantCompleted(x, "s-1")
	})
}

// An incident that came first, because nothing was heard of the step, does not keep its deadline from ending it.
func TestAStepsDeadlineIsKeptBehindAnIncident(t *testing.T) {
	p := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			for i := range d.Steps {
				d.Steps[i].Deadline = 45 * time.Second
			}
		})
	}
	play(t, p, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("charge")
		s.start("s-1")
		s.pass(31 * time.Second)
		if open := s.incidents(x, "s-1"); open != "charge skald.no_progress" {
			s.t.Errorf("after 31 s the incidents are %q", open)
		}
		s.pass(15 * time.Second)
		if !strings.Contains(s.tokens("s-1"), "charge:failed") {
			s.t.Errorf("after 46 s the tokens are %s", s.tokens("s-1"))
		}
		s.down("send")
		s.up("charge")
		s.start("s-2")
		s.pass(time.Minute) // it may not be ended, and shows what it showed
		if open := s.incidents(x, "s-2"); open != "send skald.no_progress" {
			s.t.Errorf("the incidents are %q", open)
		}
	})
}

// A step has its deadline from when it is asked: one that never is, because the saga turned back before it, is not late, however long its service is away.
func TestAStepThatIsNeverAskedIsNeverLate(t *testing.T) {
	p := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			for i := range d.Steps {
				d.Steps[i].Deadline = 20 * time.Second
			}
		})
	}
	for _, away := range []string{"reserve", "issue", "send"} { // compensatable, the pivot, retriable
		play(t, p, func(s *scene) {
			x := s.track(memstore.NewDisk())
			s.down(away)
			s.says("creates.do", refuses("NoPaper"))
			s.start("s-1")
			s.pass(25 * time.Second)
			if open := s.incidents(x, "s-1"); open != "" {
				s.t.Errorf("%s was never asked, and the incidents are %q", away, open)
			}
			s.up(away)
			s.pass(time.Second)
			for _, line := range s.tale(x, "s-1") {
				if strings.Contains(line, machine.ReasonDeadline) || strings.HasPrefix(line, "deadline expired") {
					s.t.Errorf("%s was never asked, and the journal says %q", away, line)
				}
			}
			s.want("s-1", "create:refused reserve:skipped charge:skipped issue:skipped confirm:skipped send:skipped skald.end:skipped skald.start:undone")
		})
	}
}

// An outcome leaves no incident open, whatever the saga as a whole had.
func TestAnOutcomeLeavesNoIncidentOpen(t *testing.T) {
	for away, outcome := range map[string]store.State{"issue": store.Compensated, "send": store.Completed} { // the pivot expires itself, what follows it never
		play(t, plainOrder, func(s *scene) {
			x := s.track(memstore.NewDisk())
			s.down(away)
			s.start("s-1")
			s.pass(time.Hour + time.Second)
			if open := s.incidents(x, "s-1"); open != away+" skald.no_progress, skald.deadline" {
				s.t.Fatalf("with %s away beyond the deadline the incidents are %q", away, open)
			}
			s.up(away)
			s.pass(time.Second)
			if saga, err := x.Get(s.t.Context(), "s-1"); err != nil || saga.State != outcome {
				s.t.Errorf("saga is %+v, %v", saga.Summary, err)
			}
			if open := s.incidents(x, "s-1"); open != "" {
				s.t.Errorf("it is %s, and has the incidents %q", outcome, open)
			}
		})
	}
}

// A compensation that is refused for a business reason shows at once, with the participant's reason (F11).
func TestARefusedCompensationIsAnIncident(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.says("issues.do", refuses("NoPaper"))
		s.says("creates.undo", refuses("Shipped"))
		s.start("s-1")
		s.pass(time.Second)
		if open := s.incidents(x, "s-1"); open != "create Shipped" {
			s.t.Errorf("incidents are %q", open)
		}
		s.pass(6 * time.Minute)
		if saga, err := x.Get(s.t.Context(), "s-1"); err != nil || saga.State != store.Compensated || len(saga.View.Incidents) > 0 {
			s.t.Errorf("saga is %+v, %v", saga.Summary, err)
		}
	})
}

func TestAnOperatorEndsWhatIsStuck(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		stuck := func(id journal.SagaID) {
			s.says("issues.do", refuses("NoPaper"))
			s.says("creates.undo", refuses("Shipped"))
			s.start(id)
			s.pass(time.Second)
			if open := s.incidents(x, id); open != "create Shipped" {
				s.t.Fatalf("incidents are %q", open)
			}
		}
		resolve := func(id journal.SagaID, r choreographer.Resolution) {
			s.t.Helper()
			r.By, r.Reason = "ann", "because"
			if err := x.Resolve(s.t.Context(), id, r); err != nil {
				s.t.Fatal(err)
			}
			s.pass(time.Second)
			if saga, err := x.Get(s.t.Context(), id); err != nil || saga.State != store.Compensated || len(saga.View.Incidents) > 0 {
				s.t.Errorf("after %s the saga is %+v, %v", r.Verb, saga.Summary, err)
			}
		}
		stuck("s-1")
		resolve("s-1", choreographer.Resolution{Step: "create", Verb: journal.VerbRetry})
		s.wantEffects("")
		stuck("s-2")
		resolve("s-2", choreographer.Resolution{Step: "create", Verb: journal.VerbDone})
		s.wantEffects("create") // it was undone by hand, outside
		saga, err := x.Get(s.t.Context(), "s-2")
		if err != nil || !saga.View.Step("create").ByHand {
			s.t.Errorf("the journal does not say that it was done by hand: %+v, %v", saga.View, err)
		}
		for _, r := range []choreographer.Resolution{
			{Step: "create", Verb: journal.VerbRetry}, {Step: "nothing", Verb: journal.VerbRetry}, {Step: "look", Verb: "dance"},
		} {
			if err := x.Resolve(s.t.Context(), "s-2", r); !errors.Is(err, machine.ErrEnded) {
				s.t.Errorf("%v gives %v", r, err)
			}
		}
	})
}

func TestAnOperatorsVerbMustFit(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("issue")
		s.start("s-1")
		s.pass(time.Minute)
		for _, r := range []choreographer.Resolution{
			{Step: "create", Verb: journal.VerbRetry}, {Step: "nothing", Verb: journal.VerbRetry}, {Verb: journal.VerbRetry}, {Step: "issue", Verb: "dance"},
			{Step: "issue", Verb: journal.VerbSkip}, {Step: "issue", Verb: journal.VerbReplace},
		} {
			if err := x.Resolve(s.t.Context(), "s-1", r); !errors.Is(err, machine.ErrVerb) {
				s.t.Errorf("%v gives %v", r, err)
			}
		}
		done := choreographer.Resolution{Step: "issue", Verb: journal.VerbDone, By: "ann", Reason: "on paper", Payload: []byte(`"paper"`)}
		if err := x.Resolve(s.t.Context(), "s-1", done); err != nil {
			s.t.Fatal(err)
		}
		s.up("issue")
		s.pass(time.Second)
		if saga, err := x.Get(s.t.Context(), "s-1"); err != nil || saga.State != store.Completed {
			s.t.Errorf("saga is %+v, %v", saga.Summary, err)
		}
	})
}

func TestATrackerThatWasAwayCatchesUp(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		disk := memstore.NewDisk()
		s.track(disk)
		for i := range 5 {
			s.start(journal.SagaID(fmt.Sprintf("before-%d", i)))
		}
		s.down("send")
		s.start("between")
		s.pass(time.Second)
		s.down("tracker") // no saga waits for it
		for i := range 5 {
			s.start(journal.SagaID(fmt.Sprintf("after-%d", i)))
		}
		s.up("send")
		s.pass(time.Second)
		s.want("after-0", allDone)
		s.want("between", allDone)

		x := s.track(disk)
		s.pass(time.Second)
		page, err := x.List(s.t.Context(), store.Filter{})
		if err != nil || len(page.Sagas) != 11 {
			s.t.Fatalf("%d sagas are listed, %v", len(page.Sagas), err)
		}
		for _, saga := range page.Sagas {
			tale := s.tale(x, saga.ID)
			if saga.State != store.Completed || tale[len(tale)-1] != "saga completed" || len(tale) != 14 {
				s.t.Errorf("%s is %s: %q", saga.ID, saga.State, tale)
			}
		}
	})
}

// distant is a broker that takes a while to hand out what waits.
type distant struct {
	broker.Broker
	takes time.Duration
}

func (d distant) Receiver(ctx context.Context, topic, subscription string) (broker.Receiver, error) {
	r, err := d.Broker.Receiver(ctx, topic, subscription)
	return distantReceiver{r, d.takes}, err
}

type distantReceiver struct {
	broker.Receiver
	takes time.Duration
}

func (r distantReceiver) Receive(ctx context.Context, limit int) ([]*broker.Delivery, error) {
	time.Sleep(r.takes)
	return r.Receiver.Receive(ctx, limit)
}

// What was done in time is not late because the tracker, which was away, has not heard of it yet.
func TestATrackerThatComesBackCallsNothingLateThatWasDone(t *testing.T) {
	p := func(t testing.TB) *plan.Plan {
		return order(t, func(d *plan.Draft) {
			for i := range d.Steps {
				d.Steps[i].Deadline = 20 * time.Second
			}
		})
	}
	for _, slow := range []string{"create", "issue", "send"} { // compensatable, the pivot, retriable
		play(t, p, func(s *scene) {
			disk := memstore.NewDisk()
			s.track(disk)
			s.down(slow)
			s.start("s-1")
			s.pass(time.Second)
			s.down("tracker")
			s.up(slow)
			s.pass(2 * time.Hour) // beyond the deadline of the saga, too
			s.want("s-1", allDone)
			near := s.broker
			s.broker = distant{near, 5 * time.Second}
			x := s.track(disk)
			s.broker = near
			s.pass(time.Minute)
			tale := s.tale(x, "s-1")
			if last := tale[len(tale)-1]; last != "saga completed" {
				s.t.Errorf("with %s slow the journal ends with %q", slow, last)
			}
			for _, line := range tale {
				if strings.Contains(line, machine.ReasonDeadline) || strings.HasPrefix(line, "deadline expired") {
					s.t.Errorf("%s was done within its time, and the journal says %q", slow, line)
				}
			}
		})
	}
}

// sluggish is a store whose commits may take long.
type sluggish struct {
	store.Store
	takes time.Duration
}

func (s *sluggish) Commit(ctx context.Context, epoch uint64, all []store.Append) ([]error, error) {
	time.Sleep(s.takes)
	return s.Store.Commit(ctx, epoch, all)
}

// A tracker that is told to stop writes what it has in hand, and waits for nothing else.
func TestATrackerThatStopsWritesWhatItHasInHand(t *testing.T) {
	play(t, chain, func(s *scene) {
		st := &sluggish{Store: memstore.New(), takes: 300 * time.Millisecond}
		x, err := choreographer.OpenTracker(s.t.Context(), choreographer.TrackerConfig{Broker: s.broker, Store: st, Name: "tracker", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("tracker", x.Run)
		synctest.Wait()
		s.down("create")
		s.start("s-1")
		synctest.Wait() // the start is being written
		began := time.Now()
		s.down("tracker")
		if took := time.Since(began); took > time.Second {
			s.t.Errorf("it stopped after %s", took)
		}
		if _, records, err := st.Journal(s.t.Context(), "s-1"); err != nil || len(records) == 0 {
			s.t.Errorf("what it heard is not in the store: %v", err)
		}
	})
}

// An end that is written although whoever heard it was cut off is told to those who watch, and the saga is forgotten.
func TestAnEndThatNobodyWaitsForIsTold(t *testing.T) {
	play(t, chain, func(s *scene) {
		st := &sluggish{Store: memstore.New()}
		x, err := choreographer.OpenTracker(s.t.Context(), choreographer.TrackerConfig{Broker: s.broker, Store: st, Name: "tracker", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("tracker", x.Run)
		synctest.Wait()
		s.down("issue")
		s.start("s-1")
		s.pass(time.Second)
		last := s.all("s-1")[0]
		last.Step, last.Kind, last.ID = "issue", participant.TokenDone, "issued"
		watched := make(chan error, 1)
		go func() {
			watched <- x.Watch(s.t.Context(), "s-1", 0, func(journal.Event) error { return nil })
		}()
		synctest.Wait()
		st.takes = time.Second
		ctx, cancel := context.WithTimeout(s.t.Context(), 500*time.Millisecond)
		defer cancel()
		if err := x.Hear(ctx, last); !errors.Is(err, context.DeadlineExceeded) {
			s.t.Fatalf("hearing the end gives %v", err)
		}
		s.pass(3 * time.Second)
		if err := x.Hear(s.t.Context(), last); err != nil {
			s.t.Errorf("hearing it again gives %v", err)
		}
		s.pass(3 * time.Second)
		select {
		case err := <-watched:
			if err != nil {
				s.t.Errorf("the watch ends with %v", err)
			}
		default:
			s.t.Error("the watch goes on after the end")
		}
		if n := x.Open(); n != 0 {
			s.t.Errorf("%d sagas are open", n)
		}
	})
}

// When an ended saga was pruned, its id may be given to another one, whose first token may be heard before its start.
func TestAnIDThatIsUsedAgainIsAnotherSaga(t *testing.T) {
	play(t, chain, func(s *scene) {
		x, err := choreographer.OpenTracker(s.t.Context(), choreographer.TrackerConfig{Broker: s.broker, Store: memstore.New(), Name: "tracker", Plans: []*plan.Plan{s.p}, Retention: time.Hour})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("tracker", x.Run)
		synctest.Wait()
		s.start("s-1")
		s.pass(time.Second)
		first := s.all("s-1")[0]
		s.pass(3 * time.Hour)
		if _, err := x.Known(s.t.Context(), "s-1"); !errors.Is(err, store.ErrNotFound) {
			s.t.Fatalf("the journal is not pruned: %v", err)
		}
		for _, v := range s.services { // the participants forgot it, too
			v.mu.Lock()
			v.rows, v.waiting, v.barrier = nil, nil, nil
			v.mu.Unlock()
		}
		s.down("look")
		if err := x.Hear(s.t.Context(), first); !errors.Is(err, choreographer.ErrUnknown) {
			s.t.Errorf("a token before its start gives %v", err)
		}
		s.start("s-1")
		s.pass(30 * time.Minute)
		s.up("look")
		s.pass(time.Minute)
		saga, err := x.Get(s.t.Context(), "s-1")
		if err != nil || saga.State != store.Completed {
			s.t.Errorf("the second saga is %s, %v", saga.State, err)
		}
	})
}

// A participant that was away until its saga's tokens had been deleted tells its own once more. That one is deleted, too.
func TestATokenToldAfterItsSagaWasPurgedIsPurgedToo(t *testing.T) {
	play(t, chain, func(s *scene) {
		disk := memstore.NewDisk()
		x := s.track(disk)
		s.start("s-1")
		if _, err := x.Outcome(s.t.Context(), "s-1"); err != nil {
			s.t.Fatal(err)
		}
		late := s.all("s-1")[1]
		for range 2 { // the tracker that wrote the end, and one that read it
			s.pass(11 * time.Minute)
			if left := s.tokens("s-1"); left != "" {
				s.t.Fatalf("left are %q", left)
			}
			if d, err := s.broker.Decide(s.t.Context(), choreographer.DefaultTopic, choreographer.Encode(late)); err != nil || !d.Won {
				s.t.Fatalf("telling it again: %t, %v", d.Won, err)
			}
			s.pass(11 * time.Minute)
			if left := s.tokens("s-1"); left != "" {
				s.t.Errorf("left are %q", left)
			}
			s.down("tracker")
			x = s.track(disk)
		}
		if tale := s.tale(x, "s-1"); tale[len(tale)-1] != "saga completed" {
			s.t.Errorf("the journal is %q", tale)
		}
	})
}

// Whatever the order in which a tracker hears the tokens, and however often, the journal is whole and ends with the outcome.
func TestATrackerHearsInAnyOrder(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.says("issues.do", refuses("NoPaper"))
		s.start("s-1")
		s.pass(time.Second)
		tokens := s.all("s-1")
		for shift := range tokens {
			x, err := choreographer.OpenTracker(s.t.Context(), choreographer.TrackerConfig{Broker: s.broker, Store: memstore.New(), Name: fmt.Sprintf("t%d", shift), Plans: []*plan.Plan{s.p}, Purge: -1})
			if err != nil {
				s.t.Fatal(err)
			}
			s.run("tracker", x.Run) // it hears everything itself, too
			for i := range tokens {
				if err := x.Hear(s.t.Context(), tokens[(len(tokens)-i+shift)%len(tokens)]); err != nil {
					s.t.Fatal(err)
				}
			}
			synctest.Wait()
			tale := s.tale(x, "s-1")
			wantCausesFirst(s.t, s.p, tale)
			if len(tale) != 19 || tale[0] != "saga started" || tale[len(tale)-1] != "saga compensated" {
				s.t.Errorf("shifted by %d the journal has %d events: %q", shift, len(tale), tale)
			}
			s.down("tracker")
		}
	})
}

// wantCausesFirst checks that steps are done after those they follow, and undone before.
func wantCausesFirst(t *testing.T, p *plan.Plan, tale []string) {
	t.Helper()
	for i := range p.Steps {
		for j := range p.Succs[i].All {
			before, after := p.Steps[i].Name, p.Steps[j].Name
			done, next := slices.Index(tale, "step done "+before), slices.Index(tale, "step done "+after)
			if next >= 0 && (done < 0 || done > next) {
				t.Errorf("%s is done before %s: %q", after, before, tale)
			}
			undone, first := slices.Index(tale, "compensation done "+before), slices.Index(tale, "compensation done "+after)
			if first >= 0 && undone >= 0 && undone < first {
				t.Errorf("%s is undone before %s: %q", before, after, tale)
			}
		}
		if undone := slices.Index(tale, "compensation done "+p.Steps[i].Name); undone >= 0 && undone < slices.Index(tale, "step done "+p.Steps[i].Name) {
			t.Errorf("%s is undone before it is done: %q", p.Steps[i].Name, tale)
		}
	}
}

// all is what lies on the broker of a saga.
func (s *scene) all(id journal.SagaID) (tokens []participant.Token) {
	s.t.Helper()
	start, err := s.initiator.Find(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return append(choreographer.ReadAll(s.t, s.broker, "order", id), start)
}

func TestTokensAreDeletedAfterTheEnd(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		disk := memstore.NewDisk()
		s.track(disk)
		s.down("issue")
		s.start("open")
		s.start("s-1")
		s.up("issue")
		s.down("send")
		s.pass(time.Second)
		s.up("send")
		s.pass(9 * time.Minute)
		s.want("s-1", allDone)
		s.down("tracker") // it is forgotten by nobody
		s.pass(2 * time.Minute)
		s.track(disk)
		s.pass(time.Second)
		s.want("s-1", "")
		if _, err := s.initiator.Find(s.t.Context(), "s-1"); !errors.Is(err, choreographer.ErrUnknown) {
			s.t.Errorf("its start gives %v", err)
		}
	})
}

// Whoever reads a saga that was heard of a moment ago does not wait until more is to be written with it.
func TestWhoeverReadsASagaThatHasJustBegunDoesNotWait(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("create")
		s.start("s-1")
		synctest.Wait() // the tracker has heard of it
		began := time.Now()
		saga, err := x.Get(s.t.Context(), "s-1")
		if took := time.Since(began); err != nil || saga.State != store.Running || took > 0 {
			s.t.Errorf("it is %s after %s, %v", saga.State, took, err)
		}
	})
}

// Sagas that run at the same time tell the tracker more than it hears at a time: it writes then, and they do not wait until it does anyway.
func TestManyOutcomesDoNotWaitForTheJournal(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		x := s.track(memstore.NewDisk())
		const many = 64
		began := time.Now()
		told := make(chan error, many)
		for i := range many {
			id := journal.SagaID(fmt.Sprint("s-", i))
			s.start(id)
			x.Started(id)
			go func() {
				_, err := x.Outcome(s.t.Context(), id)
				told <- err
			}()
		}
		for range many {
			if err := <-told; err != nil {
				s.t.Error(err)
			}
		}
		if took := time.Since(began); took >= 50*time.Millisecond {
			s.t.Errorf("%d outcomes are told after %s", many, took)
		}
	})
}

// commits notes when a tracker commits.
type commits struct{ at chan time.Time }

func (commits) Recorded(*store.Summary, *journal.Event) {}
func (c commits) Committed(int, time.Duration)          { c.at <- time.Now() }

// Whoever looks at what is written already lets nothing else be written sooner.
func TestALookAtWhatIsWrittenHurriesNobody(t *testing.T) {
	play(t, chain, func(s *scene) {
		c := commits{make(chan time.Time, 100)}
		x := s.track(memstore.NewDisk(), func(t *choreographer.TrackerConfig) { t.Observer = c })
		s.down("create")
		s.start("s-1")
		s.pass(time.Second)
		for len(c.at) > 0 {
			<-c.at
		}
		if err := x.Fail(s.t.Context(), "s-1", nil); err != nil { // changes nothing
			s.t.Fatal(err)
		}
		s.start("s-2")
		began := time.Now()
		if took := (<-c.at).Sub(began); took == 0 {
			s.t.Error("what nobody waits for is written at once")
		}
	})
}

// reminders counts the messages with which trackers remind themselves, and the sagas in them, and may keep trackers from it.
type reminders struct {
	broker.Broker
	published, sagas *atomic.Int64
	away             *atomic.Bool
}

func remindersOf(b broker.Broker) reminders {
	return reminders{b, new(atomic.Int64), new(atomic.Int64), new(atomic.Bool)}
}

// Publish implements broker.Broker.
func (r reminders) Publish(ctx context.Context, topic string, m ...broker.Message) error {
	if topic == choreographer.DefaultPurges {
		if r.away.Load() {
			return errors.New("the broker is away")
		}
		for i := range m {
			var sagas []any
			if err := json.Unmarshal(m[i].Data, &sagas); err != nil {
				return err
			}
			r.published.Add(1)
			r.sagas.Add(int64(len(sagas)))
		}
	}
	return r.Broker.Publish(ctx, topic, m...)
}

// Sagas that end at about the same time share one reminder to delete their tokens, and none is forgotten.
func TestSagasThatEndTogetherAreDeletedTogether(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		r := remindersOf(s.broker)
		s.broker = r
		s.track(memstore.NewDisk())
		ids := []journal.SagaID{"s-1", "s-2", "s-3", "s-4"}
		for _, id := range ids {
			s.start(id)
		}
		s.pass(time.Second)
		if n := r.published.Load(); n != 1 {
			s.t.Errorf("%d reminders for %d sagas", n, len(ids))
		}
		if n := r.sagas.Load(); int(n) != len(ids) {
			s.t.Errorf("they name %d sagas, want each of %d once", n, len(ids))
		}
		s.pass(11 * time.Minute)
		for _, id := range ids {
			s.want(id, "")
		}
	})
}

// A reminder that could not be made is made later, by whoever is the tracker then: the journal has the outcome, and the token with which it came is heard again.
func TestAReminderThatCouldNotBeMadeIsMadeLater(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		play(t, plainOrder, func(s *scene) {
			r := remindersOf(s.broker)
			s.broker = r
			r.away.Store(true)
			s.down("initiator") // so that nothing else is told after the outcome
			disk := memstore.NewDisk()
			x := s.track(disk)
			s.start("s-1")
			s.pass(time.Second)
			s.wantCompleted(x, "s-1")
			if restarted {
				s.down("tracker")
				s.track(disk)
			}
			r.away.Store(false)
			s.pass(11 * time.Minute)
			s.want("s-1", "")
		})
	}
}

// A tracker that was away for longer than ended sagas are kept has their tokens deleted all the same.
func TestTokensOfASagaThatEndedLongAgoAreDeletedToo(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		disk := memstore.NewDisk()
		short := func(c *choreographer.TrackerConfig) { c.Retention = 30 * time.Minute }
		s.track(disk, short)
		s.down("tracker")
		s.start("s-1")
		s.pass(time.Hour)
		s.track(disk, short)
		s.pass(time.Hour)
		s.want("s-1", "")
		if _, err := s.initiator.Find(s.t.Context(), "s-1"); !errors.Is(err, choreographer.ErrUnknown) {
			s.t.Errorf("its start gives %v", err)
		}
	})
}

// A reminder to delete a saga's tokens that comes late or again, when the id is another saga's, deletes nothing of that one.
func TestALateReminderDeletesNothingOfASagaThatRuns(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("look")
		s.start("s-1")
		s.pass(time.Second)
		before := s.tokens("s-1")
		reminder := broker.Message{ID: "again", Type: "skald.purge", Source: "tracker", Key: "purge", Data: fmt.Appendf(nil, `[{"definition":%q,"saga":"s-1"}]`, s.p.Name)}
		if err := s.broker.Publish(s.t.Context(), choreographer.DefaultPurges, reminder); err != nil {
			s.t.Fatal(err)
		}
		s.pass(time.Second)
		if _, err := s.initiator.Find(s.t.Context(), "s-1"); err != nil || s.tokens("s-1") != before {
			s.t.Errorf("its start gives %v, left are %q of %q", err, s.tokens("s-1"), before)
		}
		s.up("look")
		s.pass(time.Minute)
		if saga, err := x.Get(s.t.Context(), "s-1"); err != nil || saga.State != store.Completed {
			s.t.Errorf("it is %s, %v", saga.State, err)
		}
	})
}

func TestASagaIsFoundAsSoonAsItIsStarted(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.start("s-1")
		if saga, err := x.Get(s.t.Context(), "s-1"); err != nil || saga.ID != "s-1" {
			s.t.Errorf("saga is %+v, %v", saga, err)
		}
		if _, err := x.Get(s.t.Context(), "s-2"); !errors.Is(err, store.ErrNotFound) {
			s.t.Errorf("a saga that was never started gives %v", err)
		}
	})
}

func TestWatchingEndsWithTheOutcome(t *testing.T) {
	play(t, chain, func(s *scene) {
		x := s.track(memstore.NewDisk())
		s.down("issue")
		s.start("s-1")
		var seen []string
		watched := make(chan error, 1)
		go func() {
			watched <- x.Watch(s.t.Context(), "s-1", 1, func(e journal.Event) error {
				seen = append(seen, e.Kind.String())
				return nil
			})
		}()
		s.pass(time.Second)
		s.up("issue")
		if err := <-watched; err != nil || seen[0] != "step asked" || seen[len(seen)-1] != "saga completed" {
			s.t.Errorf("seen are %q, %v", seen, err)
		}
		ctx, cancel := context.WithCancel(s.t.Context())
		s.down("issue")
		s.start("s-2")
		time.AfterFunc(time.Second, cancel)
		if _, err := x.Outcome(ctx, "s-2"); !errors.Is(err, context.Canceled) {
			s.t.Errorf("waiting gives %v", err)
		}
	})
}

// stuckStore is a store whose commits do not return until the gate opens.
type stuckStore struct {
	store.Store
	gate chan struct{}
}

// Commit implements store.Store.
func (s stuckStore) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	<-s.gate
	return s.Store.Commit(ctx, epoch, appends)
}

// Whoever waits for an end is told when it is decided, however long the tracker's store takes; whoever reads it afterwards reads the end, and lets nothing that is to be written be kept back.
func TestAnEndIsToldBeforeItIsWrittenAndReadOnceItIs(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		gate := make(chan struct{})
		x := s.track(memstore.NewDisk(), func(c *choreographer.TrackerConfig) { c.Store = stuckStore{c.Store, gate} })
		s.start("s-1")
		x.Started("s-1")
		told, err := x.Outcome(s.t.Context(), "s-1")
		if err != nil || told.State != store.Completed || string(told.View.Step("charge").Result) != `"charge"` {
			s.t.Errorf("told is %+v, %v", told, err)
		}
		if again, err := x.Outcome(s.t.Context(), "s-1"); err != nil || cmp.Diff(told, again) != "" {
			s.t.Errorf("told again is %+v, %v", again, err)
		}
		readers := map[string]func() (store.State, error){
			"Get":     func() (store.State, error) { saga, err := x.Get(s.t.Context(), "s-1"); return saga.State, err },
			"Known":   func() (store.State, error) { saga, err := x.Known(s.t.Context(), "s-1"); return saga.State, err },
			"Summary": func() (store.State, error) { s, err := x.Summary(s.t.Context(), "s-1"); return s.State, err },
			"Events": func() (store.State, error) {
				events, err := x.Events(s.t.Context(), "s-1", 0)
				if len(events) > 0 && events[len(events)-1].Kind == journal.SagaCompleted {
					return store.Completed, err
				}
				return "", err
			},
			"List": func() (store.State, error) {
				page, err := x.List(s.t.Context(), store.Filter{Limit: 1})
				if len(page.Sagas) == 0 {
					return "", err
				}
				return page.Sagas[0].State, err
			},
		}
		began := time.Now()
		read := make(chan string, len(readers))
		for name, reader := range readers {
			go func() {
				if state, err := reader(); err != nil || state != store.Completed {
					s.t.Errorf("%s reads that the saga is %s, %v", name, state, err)
				}
				read <- name
			}()
		}
		hurried, cancel := context.WithCancel(s.t.Context())
		cancel()
		if _, err := x.Get(hurried, "s-1"); !errors.Is(err, context.Canceled) {
			s.t.Errorf("a reader who is gone gets %v", err)
		}
		synctest.Wait()
		if len(read) > 0 {
			s.t.Errorf("%s does not wait for the end", <-read)
		}
		close(gate)
		for range readers {
			<-read
		}
		if took := time.Since(began); took > 0 {
			s.t.Errorf("the readers were kept waiting for %s", took)
		}
	})
}

// Without room for a journal the outcome is told all the same, and written when there is.
func TestAnEndIsToldWithoutRoomForItsJournal(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		var st fullStore
		st.full.Store(true)
		x := s.track(memstore.NewDisk(), func(c *choreographer.TrackerConfig) { st.Store, c.Store = c.Store, &st })
		x.Started("s-1") // it is waited for before it is heard of
		waited := make(chan error, 1)
		go func() {
			told, err := x.Outcome(s.t.Context(), "s-1")
			if err == nil && told.State != store.Completed {
				err = fmt.Errorf("it is %s", told.State)
			}
			waited <- err
		}()
		synctest.Wait()
		s.start("s-1")
		if err := <-waited; err != nil {
			s.t.Error(err)
		}
		s.pass(time.Minute)
		if n := x.Open(); n != 1 {
			s.t.Errorf("%d sagas are open while the journal is not written", n)
		}
		st.full.Store(false)
		s.pass(time.Minute)
		if saga, err := x.Get(s.t.Context(), "s-1"); err != nil || saga.State != store.Completed || x.Open() != 0 {
			s.t.Errorf("the saga is %s, %v, and %d are open", saga.State, err, x.Open())
		}
	})
}

// fullStore is a store that may have no room.
type fullStore struct {
	store.Store
	full atomic.Bool
}

// Commit implements store.Store.
func (s *fullStore) Commit(ctx context.Context, epoch uint64, appends []store.Append) ([]error, error) {
	if s.full.Load() {
		return nil, store.ErrFull
	}
	return s.Store.Commit(ctx, epoch, appends)
}

// A tracker that hangs, or is not there, holds no saga up: with it and without it they take as long, to the microsecond that tokens have.
func TestTheTrackerIsOutsideThePath(t *testing.T) {
	const sagas = 50
	took := make(map[string]time.Duration)
	for _, tracker := range []string{"none", "hangs", "works"} {
		play(t, plainOrder, func(s *scene) {
			gate := make(chan struct{})
			if tracker == "works" {
				close(gate)
			}
			if tracker != "none" {
				s.track(memstore.NewDisk(), func(c *choreographer.TrackerConfig) { c.Store = stuckStore{c.Store, gate} })
			}
			for i := range s.p.Steps {
				s.says(s.p.Steps[i].Action, slices.Repeat([]func(context.Context) participant.Answer{takes10ms}, sagas)...)
			}
			began := time.Now()
			for i := range sagas {
				s.start(journal.SagaID(fmt.Sprintf("s-%d", i)))
			}
			s.pass(10 * time.Second)
			for i := range sagas {
				id := journal.SagaID(fmt.Sprintf("s-%d", i))
				ended := s.endOf(id)
				if ended.IsZero() {
					s.t.Fatalf("tracker %s: saga %s does not end: %s", tracker, id, s.tokens(id))
				}
				took[tracker] = max(took[tracker], ended.Sub(began))
			}
			if tracker == "hangs" {
				close(gate)
			}
		})
	}
	if took["none"] < 10*time.Millisecond*sagas { // each service does one thing at a time
		t.Errorf("without a tracker %d sagas took %s, which measures nothing", sagas, took["none"])
	}
	if took["hangs"] != took["none"] || took["works"] != took["none"] {
		t.Errorf("%d sagas took %v", sagas, took)
	}
}

func takes10ms(context.Context) participant.Answer {
	time.Sleep(10 * time.Millisecond)
	return participant.Answer{Class: participant.Done, Result: []byte(`1`)}
}

// endOf is when a saga was told to be completed; zero if it was not.
func (s *scene) endOf(id journal.SagaID) (at time.Time) {
	s.t.Helper()
	for _, x := range choreographer.ReadAll(s.t, s.broker, s.p.Name, id) {
		if x.Step == participant.StepEnd && x.Kind == participant.TokenDone {
			at = x.Time
		}
	}
	return at
}
