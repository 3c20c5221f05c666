package orchestrator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// order is the definition of the stories: two compensatable steps, one of them beside another, a pivot, and two retriable steps.
//
//	create -> (reserve, charge) -> issue (pivot) -> (confirm, send)
func order(t *testing.T, change ...func(*plan.Draft)) *plan.Plan {
	t.Helper()
	steps := []struct {
		name  string
		kind  participant.Kind
		after []string
	}{
		{"create", participant.Compensatable, nil},
		{"reserve", participant.Compensatable, []string{"create"}},
		{"charge", participant.Compensatable, []string{"create"}},
		{"issue", participant.Pivot, []string{"reserve", "charge"}},
		{"confirm", participant.Retriable, []string{"issue"}},
		{"send", participant.Retriable, []string{"issue"}},
	}
	d := plan.Draft{Name: "order", IncidentAfter: 30 * time.Second, Deadline: time.Hour}
	for _, x := range steps {
		s := plan.DraftStep{Follows: x.after, Step: plan.Step{
			Name: x.name, Kind: x.kind, Action: "shop." + x.name, Timeout: 10 * time.Second,
			Map: func(input []byte, _ [][]byte) ([]byte, error) { return input, nil },
		}}
		s.Retry = plan.Retry{Initial: 100 * time.Millisecond, Factor: 2, Cap: plan.MaxBackoff}
		s.Undo = s.Retry
		if x.kind == participant.Compensatable {
			s.Compensation, s.Retry.Attempts = "shop.un"+x.name, 3
		}
		d.Steps = append(d.Steps, s)
	}
	for _, f := range change {
		f(&d)
	}
	p, err := plan.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shop is a participant whose answers a story scripts; without a script everything is done.
type shop struct {
	mu    sync.Mutex
	calls []string
	next  map[string][]func(ctx context.Context) participant.Answer
}

func (s *shop) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	name := strings.TrimPrefix(c.Operation, "shop.")
	s.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf("%s#%d", name, c.Attempt))
	var answer func(context.Context) participant.Answer
	if n := s.next[name]; len(n) > 0 {
		answer, s.next[name] = n[0], n[1:]
	}
	s.mu.Unlock()
	if answer == nil {
		return participant.Answer{Class: participant.Done, Result: []byte(`"` + name + `"`)}
	}
	return answer(ctx)
}

// script says what the shop answers to an operation, in order; the last words are done again.
func (s *shop) script(operation string, answers ...func(context.Context) participant.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(map[string][]func(context.Context) participant.Answer)
	}
	s.next[operation] = append(s.next[operation], answers...)
}

func (s *shop) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

func says(a participant.Answer) func(context.Context) participant.Answer {
	return func(context.Context) participant.Answer { return a }
}

func refuses(reason string) func(context.Context) participant.Answer {
	return says(participant.Answer{Class: participant.Refused, Reason: reason, Detail: "in words"})
}

func unknown() func(context.Context) participant.Answer {
	return says(participant.Answer{Detail: "connection lost"})
}

// takes answers done after a while, or unknown when the caller stops waiting.
func takes(d time.Duration) func(context.Context) participant.Answer {
	return func(ctx context.Context) participant.Answer {
		select {
		case <-time.After(d):
			return participant.Answer{Class: participant.Done}
		case <-ctx.Done():
			return participant.Answer{Detail: "no answer in time"}
		}
	}
}

// stubborn answers done after a while, whether or not the caller still waits.
func stubborn(d time.Duration) func(context.Context) participant.Answer {
	return func(context.Context) participant.Answer {
		<-time.After(d)
		return participant.Answer{Class: participant.Done}
	}
}

func many(n int, f func(context.Context) participant.Answer) []func(context.Context) participant.Answer {
	all := make([]func(context.Context) participant.Answer, n)
	for i := range all {
		all[i] = f
	}
	return all
}

// story is one coordinator over a store that outlives it.
type story struct {
	t *testing.T
	*orchestrator.Orchestrator
	store store.Store
	shop  *shop
	c     orchestrator.Config
}

func begin(t *testing.T, change ...func(*orchestrator.Config)) *story {
	t.Helper()
	s := prepare(t, change...)
	s.open()
	return s
}

// prepare is begin before the coordinator opens, so that a story can script what recovery meets.
func prepare(t *testing.T, change ...func(*orchestrator.Config)) *story {
	t.Helper()
	s := &story{t: t, store: memstore.New(), shop: &shop{}}
	s.c = orchestrator.Config{
		Store: s.store, Plans: []*plan.Plan{order(t)}, Jitter: func() float64 { return 0 },
		Participants: map[string]orchestrator.Participant{"shop": {Invoker: s.shop, Level: participant.L2}},
	}
	for _, f := range change {
		f(&s.c)
	}
	return s
}

func (s *story) open() {
	s.t.Helper()
	o, err := orchestrator.Open(s.t.Context(), s.c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Orchestrator = o
}

// end stops the coordinator, hard if it must.
func (s *story) end() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Stop(ctx); err != nil {
		s.t.Error(err)
	}
}

func (s *story) start(id journal.SagaID) {
	s.t.Helper()
	if _, _, err := s.Start(s.t.Context(), orchestrator.Request{ID: id, Definition: "order", Input: []byte(`{"n":1}`)}); err != nil {
		s.t.Fatal(err)
	}
}

// payloadsAsAWhole compares bytes as such: byte for byte cmp takes minutes for megabytes.
var payloadsAsAWhole = cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) })

// outcome waits for the saga's end, in virtual time. What it gets, from memory or not, must be what is stored.
func (s *story) outcome(id journal.SagaID) store.State {
	s.t.Helper()
	got, err := s.Outcome(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(s.get(id), got, payloadsAsAWhole); diff != "" {
		s.t.Errorf("the outcome of %s is not what is stored (-stored +got):\n%s", id, diff)
	}
	return got.Summary.State
}

func (s *story) get(id journal.SagaID) orchestrator.Saga {
	s.t.Helper()
	g, err := s.Get(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

func (s *story) view(id journal.SagaID) *journal.View {
	s.t.Helper()
	g := s.get(id)
	return &g.View
}

// history is the saga's journal in words.
func (s *story) history(id journal.SagaID) []string {
	s.t.Helper()
	events, err := s.Events(s.t.Context(), id, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var words []string
	for _, e := range events {
		w := e.Kind.String()
		if e.Step != "" {
			w += " " + e.Step
		}
		if e.Reason != "" {
			w += " " + e.Reason
		}
		words = append(words, w)
	}
	return words
}

func (s *story) wants(id journal.SagaID, want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.history(id)); diff != "" {
		s.t.Errorf("history of %s (-want +got):\n%s", id, diff)
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestHappySagaCompletes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.start("one")
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		h := s.history("one")
		if h[0] != "saga started" || h[len(h)-1] != "saga completed" {
			t.Errorf("history %q", h)
		}
		if got := len(s.shop.called()); got != 6 {
			t.Errorf("%d calls: %q", got, s.shop.called())
		}
	})
}

func TestRefusalCompensatesInReverseOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("issue", refuses("Receipt.Closed"))
		s.start("one")
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
		sum := s.get("one").Summary
		if sum.Step != "issue" || sum.Reason != "Receipt.Closed" {
			t.Errorf("cause %s %s", sum.Step, sum.Reason)
		}
		calls := s.shop.called()
		last := calls[len(calls)-1]
		if last != "uncreate#1" || len(calls) != 7 {
			t.Errorf("calls %q", calls)
		}
	})
}

func TestF34SiblingsSettleBeforeTheSagaTurnsBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("reserve", func(ctx context.Context) participant.Answer {
			<-time.After(time.Second) // charge is under way by then
			return refuses("OutOfStock")(ctx)
		})
		s.shop.script("charge", takes(3*time.Second))
		s.start("one")
		s.outcome("one")
		s.wants("one", "saga started", "step asked create", "step done create", "step asked reserve", "step asked charge",
			"step refused reserve OutOfStock", "step done charge", "saga compensating reserve OutOfStock",
			"compensation asked charge", "compensation done charge", "compensation asked create", "compensation done create", "saga compensated")
	})
}

func TestF08TimeoutIsUnknownAndAskedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("create", takes(time.Minute), unknown())
		s.start("one")
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		if diff := cmp.Diff([]string{"create#1", "create#2", "create#3"}, s.shop.called()[:3]); diff != "" {
			t.Error(diff)
		}
	})
}

func TestExhaustedRetriesCompensateTheStepItself(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("charge", many(3, unknown())...)
		s.start("one")
		s.outcome("one")
		v := s.get("one").View
		if v.Step("charge").State != journal.StepStateUndone || v.Reason != "skald.retries_exhausted" || v.Cause != "charge" {
			t.Errorf("charge %s, turned back by %s %s", v.Step("charge").State, v.Cause, v.Reason)
		}
	})
}

func TestF07LateReplyIsEvidenceAndRevivesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Steps[2].Deadline = 12 * time.Second })}
		})
		defer s.end()
		s.shop.script("charge", stubborn(40*time.Second))
		s.start("one")
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
		h := strings.Join(s.history("one"), "\n")
		for _, want := range []string{"deadline expired charge", "step failed charge skald.deadline", "step answered late charge", "compensation done charge"} {
			if !strings.Contains(h, want) {
				t.Errorf("no %q in\n%s", want, h)
			}
		}
	})
}

// Of two steps side by side the one that is stuck is the one that lists name, whichever was asked last, also by a coordinator that takes the saga over; afterwards it is the one that the saga is at.
func TestASagaWithAnIncidentIsAtTheStepThatHasIt(t *testing.T) {
	for _, stuck := range []string{"reserve", "charge"} {
		inBubble(t, func(t *testing.T) {
			s := begin(t, func(c *orchestrator.Config) {
				c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) {
					for i := range d.Steps {
						d.Steps[i].Retry.Attempts = 0
					}
				})}
			})
			defer func() { s.end() }()
			s.shop.script(stuck, many(12, unknown())...)
			s.start("one")
			time.Sleep(40 * time.Second)
			at := func() string {
				page, err := s.List(t.Context(), store.Filter{ID: "one"})
				if err != nil || len(page.Sagas) != 1 {
					t.Fatal(page, err)
				}
				return page.Sagas[0].Incident + " " + page.Sagas[0].Step
			}
			if got := at(); got != "skald.no_progress "+stuck {
				t.Errorf("it is at %q, and %s is stuck", got, stuck)
			}
			s.end()
			s.open()
			time.Sleep(time.Second)
			if got := at(); got != "skald.no_progress "+stuck {
				t.Errorf("at the next coordinator it is at %q, and %s is stuck", got, stuck)
			}
			if got := s.outcome("one"); got != store.Completed {
				t.Fatalf("outcome %s", got)
			}
			if got := at(); strings.Contains(got, stuck) {
				t.Errorf("after its end it is at %q", got)
			}
		})
	}
}

func TestPivotIsAskedUntilItAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("issue", many(12, unknown())...)
		s.start("one")
		time.Sleep(45 * time.Second)
		if err := s.Cancel(t.Context(), "one", "ada", "changed my mind"); err == nil {
			t.Error("a cancel after the pivot's intent was accepted")
		}
		g := s.get("one")
		if g.Summary.Incident != "skald.no_progress" {
			t.Errorf("incident %q after 45 s without progress", g.Summary.Incident)
		}
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		if g := s.get("one"); g.Summary.Incident != "" {
			t.Errorf("incident %q is still open", g.Summary.Incident)
		}
	})
}

func TestF09CompensationIsRetriedForEverWithAnIncident(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("issue", refuses("no"))
		s.shop.script("unreserve", many(200, unknown())...)
		s.start("one")
		time.Sleep(time.Minute)
		if g := s.get("one"); g.Summary.Incident == "" || g.Summary.State != store.Compensating {
			t.Errorf("state %s, incident %q", g.Summary.State, g.Summary.Incident)
		}
		if err := s.Cancel(t.Context(), "one", "ada", ""); err != nil { // F10: changes nothing
			t.Error(err)
		}
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
	})
}

func TestF11RefusedCompensationIsAnIncidentWithVerbs(t *testing.T) {
	for _, verb := range []journal.Verb{journal.VerbRetry, journal.VerbReplace, journal.VerbDone, journal.VerbSkip} {
		t.Run(string(verb), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := begin(t)
				defer s.end()
				s.shop.script("issue", refuses("no"))
				s.shop.script("uncharge", refuses("AccountClosed"))
				s.start("one")
				time.Sleep(time.Second)
				g := s.get("one")
				if g.Summary.Incident != "AccountClosed" || g.Summary.State != store.Compensating {
					t.Fatalf("state %s, incident %q", g.Summary.State, g.Summary.Incident)
				}
				x := orchestrator.Resolution{Step: "charge", Verb: verb, By: "ada", Reason: "paid back by transfer", Payload: []byte(`{"iban":"x"}`)}
				if err := s.Resolve(t.Context(), "one", x); err != nil {
					t.Fatal(err)
				}
				if got := s.outcome("one"); got != store.Compensated {
					t.Fatalf("outcome %s", got)
				}
				events, err := s.Events(t.Context(), "one", 0)
				if err != nil {
					t.Fatal(err)
				}
				found := false
				for _, e := range events {
					found = found || e.Kind == journal.IncidentResolved && e.Verb == verb && e.By == "ada" && e.Detail == x.Reason
				}
				if !found {
					t.Error("the decision is not in the journal")
				}
			})
		})
	}
}

func TestRetriableRefusalIsAnIncidentAndSkippingCompletes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("send", many(9, refuses("MailboxRefused"))...)
		s.start("one")
		time.Sleep(time.Second)
		if g := s.get("one"); g.Summary.Incident != "MailboxRefused" || g.Summary.State != store.Running {
			t.Fatalf("state %s, incident %q", g.Summary.State, g.Summary.Incident)
		}
		if err := s.Resolve(t.Context(), "one", orchestrator.Resolution{Step: "send", Verb: journal.VerbSkip, By: "ada", Reason: "told by phone"}); err != nil {
			t.Fatal(err)
		}
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		if v := s.view("one"); v.Step("send").State != journal.StepStateSkipped || len(v.Incidents) != 0 {
			t.Errorf("send %s, incidents %v", v.Step("send").State, v.Incidents)
		}
	})
}

func TestCancelBeforeThePivotCompensates(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("charge", takes(5*time.Second))
		s.start("one")
		time.Sleep(time.Second)
		if err := s.Cancel(t.Context(), "one", "ada", "changed my mind"); err != nil {
			t.Fatal(err)
		}
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
		if err := s.Cancel(t.Context(), "one", "ada", ""); err == nil {
			t.Error("an ended saga was cancelled")
		}
	})
}

func TestSagaDeadlineTurnsBackBeforeThePivot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) {
				d.Deadline = 20 * time.Second
				d.Steps[1].Retry.Attempts = 1000
			})}
		})
		defer s.end()
		s.shop.script("reserve", many(100, unknown())...)
		s.start("one")
		began := time.Now()
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
		if took := time.Since(began); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("turned back after %s", took)
		}
		if v := s.get("one").View; v.Reason != "skald.deadline" {
			t.Errorf("reason %s", v.Reason)
		}
	})
}

func TestStartIsIdempotent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("create", takes(time.Second))
		same := orchestrator.Request{ID: "one", Definition: "order", Input: []byte(`{"n":1}`)}
		other := orchestrator.Request{ID: "one", Definition: "order", Input: []byte(`{"n":2}`)}
		check := func(when string, q orchestrator.Request, existed bool, want error) {
			t.Helper()
			_, got, err := s.Start(t.Context(), q)
			if got != existed || !errors.Is(err, want) || want == nil && err != nil {
				t.Errorf("%s: existed %v, error %v", when, got, err)
			}
		}
		check("first", same, false, nil)
		check("again while it runs", same, true, nil)
		check("other input while it runs", other, true, orchestrator.ErrConflict)
		s.outcome("one")
		check("again after its end", same, true, nil)
		check("other input after its end", other, true, orchestrator.ErrConflict)
		if err := s.Err(); err != nil {
			t.Error(err)
		}
		if h := s.Health(); h.InFlight != 0 || h.Active != 0 {
			t.Errorf("left behind: %+v", h)
		}
	})
}

func TestConcurrentStartsOfOneSagaAreOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, _, err := s.Start(t.Context(), orchestrator.Request{ID: "one", Definition: "order", Input: []byte(`1`)}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s.outcome("one")
		if n := len(s.shop.called()); n != 6 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestF24MissingDefinitionIsAnIncidentThatNamesIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		old := s.c.Plans[0]
		s.shop.script("create", takes(9*time.Second))
		s.start("one")
		s.end()
		s.c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Revision = "2" })}
		s.open()
		synctest.Wait()
		time.Sleep(time.Second)
		g := s.get("one")
		if g.Summary.Incident != orchestrator.ReasonDefinition || !strings.Contains(g.View.Incidents[0].Detail, old.Version) {
			t.Fatalf("incident %q %+v", g.Summary.Incident, g.View.Incidents)
		}
		s.end()
		s.c.Plans = []*plan.Plan{old, s.c.Plans[0]}
		s.open()
		defer s.end()
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		if g := s.get("one"); g.View.Version != old.Version || g.Summary.Incident != "" {
			t.Errorf("version %s, incident %q", g.View.Version, g.Summary.Incident)
		}
	})
}

func TestF01SagaGoesOnAfterACrashAtEveryRecord(t *testing.T) {
	// A journal cut after any record is what a crash at that instant leaves behind.
	for _, refused := range []string{"", "issue", "charge"} {
		t.Run("refused "+refused, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := begin(t)
				if refused != "" {
					s.shop.script(refused, refuses("no"))
				}
				s.start("one")
				want := s.outcome("one")
				sum, data, err := s.store.Journal(t.Context(), "one")
				if err != nil {
					t.Fatal(err)
				}
				s.end()
				for cut := 1; cut < int(sum.Seq); cut++ {
					crashed := prepare(t, func(c *orchestrator.Config) { c.Store = beginning(t, "one", sum, data, cut) })
					if refused != "" {
						crashed.shop.script(refused, many(3, refuses("no"))...)
					}
					crashed.open()
					if got := crashed.outcome("one"); got != want {
						t.Errorf("after %d records: %s, not %s\n%s", cut, got, want, strings.Join(crashed.history("one"), "\n"))
					}
					crashed.end()
				}
			})
		})
	}
}

// beginning is a store that holds the first records of a saga.
func beginning(t *testing.T, id journal.SagaID, s store.Summary, data []byte, n int) store.Store {
	t.Helper()
	m := memstore.New()
	epoch, err := m.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var records []byte
	chain := journal.FirstChain(id)
	if _, _, err := journal.Decode(data, chain, 0, func(e journal.Event) error {
		if int(e.Seq) <= n {
			records, chain = journal.Append(records, chain, &e)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.Seq, s.Chain, s.State, s.Ended = uint64(n), chain, store.Running, time.Time{}
	if rejected, err := m.Commit(t.Context(), epoch, []store.Append{{New: true, From: 1, Records: records, Summary: s}}); err != nil || rejected != nil {
		t.Fatal(rejected, err)
	}
	return m
}

// slowList is a store whose list of unended sagas comes late, so that recovery has not begun when a story acts.
type slowList struct {
	store.Store
	begin chan struct{}
}

func (s slowList) List(ctx context.Context, f store.Filter) (store.Page, error) {
	if f.Unended {
		<-s.begin
	}
	return s.Store.List(ctx, f)
}

func TestStartOrActBeforeRecoveryPicksTheSagaUp(t *testing.T) {
	for name, act := range map[string]func(s *story) error{
		"start": func(s *story) error {
			_, existed, err := s.Start(s.t.Context(), orchestrator.Request{ID: "one", Definition: "order", Input: []byte(`{"n":1}`)})
			if !existed {
				s.t.Error("a saga of the journal was started anew")
			}
			return err
		},
		"retry": func(s *story) error {
			return s.Resolve(s.t.Context(), "one", orchestrator.Resolution{Step: "create", Verb: journal.VerbRetry})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := begin(t)
				s.shop.script("create", takes(9*time.Second), takes(9*time.Second)) // so that it cannot end before the act, either
				s.start("one")
				s.end()
				late := slowList{s.store, make(chan struct{})}
				s.c.Store = late
				s.open()
				defer s.end()
				if err := act(s); err != nil {
					t.Fatal(err)
				}
				close(late.begin)
				if got := s.outcome("one"); got != store.Completed {
					t.Fatalf("outcome %s", got)
				}
				recovered := 0
				for _, w := range s.history("one") {
					if w == "saga recovered" {
						recovered++
					}
				}
				if recovered != 1 {
					t.Errorf("recovered %d times", recovered)
				}
			})
		})
	}
}

func TestOverloadRefusesStartsAndLosesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) { c.MaxInFlight = 10 })
		defer s.end()
		s.shop.script("create", many(10, takes(time.Second))...)
		refused := 0
		for i := range 30 {
			_, _, err := s.Start(t.Context(), orchestrator.Request{ID: journal.SagaID(fmt.Sprint(i)), Definition: "order", Input: []byte(`1`)})
			var over *orchestrator.OverloadError
			switch {
			case errors.As(err, &over) && over.RetryAfter > 0:
				refused++
			case err != nil:
				t.Error(err)
			}
		}
		if refused != 20 {
			t.Errorf("%d of 30 starts were refused", refused)
		}
		page, err := s.List(t.Context(), store.Filter{})
		if err != nil || len(page.Sagas) != 10 {
			t.Fatalf("%d sagas, %v", len(page.Sagas), err)
		}
		for _, x := range page.Sagas {
			s.outcome(x.ID)
		}
	})
}

func TestBreakerLeavesAFailingParticipantAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			p := c.Participants["shop"]
			p.Breaker = orchestrator.Breaker{Failures: 2, Pause: 10 * time.Second}
			c.Participants["shop"] = p
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Steps[0].Retry.Attempts = 100 })}
		})
		defer s.end()
		s.shop.script("create", many(2, unknown())...)
		s.start("one")
		time.Sleep(5 * time.Second)
		if n := len(s.shop.called()); n != 2 {
			t.Errorf("%d calls while the breaker is open", n)
		}
		if open := s.Health().Open; len(open) != 1 || open[0] != "shop" {
			t.Errorf("open: %q", open)
		}
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
	})
}

// While a participant is left alone its steps, and their incidents, say what is wrong with it.
func TestWhileAParticipantIsLeftAloneItsStepsSayWhy(t *testing.T) {
	lost, refused := participant.Answer{Detail: "connection lost"}, participant.Answer{NotAsked: true, Detail: "connection refused by shop:80"}
	for _, tt := range []struct {
		fails     participant.Answer
		one, next string // what a step says that was asked, and one that never was
	}{
		{lost, "connection lost", "not asked: the participant has failed repeatedly and is left alone for a moment"},
		{refused, refused.Detail, refused.Detail},
	} {
		inBubble(t, func(t *testing.T) {
			s := begin(t, func(c *orchestrator.Config) {
				p := c.Participants["shop"]
				p.Breaker = orchestrator.Breaker{Failures: 2, Pause: time.Hour}
				c.Participants["shop"] = p
				c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) { d.Steps[0].Retry.Attempts = 100 })}
			})
			defer s.end()
			s.shop.script("create", many(2, says(tt.fails))...)
			s.start("one")
			time.Sleep(5 * time.Second)
			s.start("two")
			time.Sleep(40 * time.Second)
			for id, want := range map[journal.SagaID]string{"one": tt.one, "two": tt.next} {
				g := s.get(id)
				if step := g.View.Step("create"); step.Reason != "skald.not_asked" || step.Detail != want {
					t.Errorf("the step of %s says %s: %q, want %q", id, step.Reason, step.Detail, want)
				}
				if len(g.View.Incidents) != 1 || g.View.Incidents[0].Detail != want {
					t.Errorf("the incidents of %s are %+v, want %q", id, g.View.Incidents, want)
				}
			}
		})
	}
}

func TestCompensationsHaveALaneOfTheirOwn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			p := c.Participants["shop"]
			p.MaxCalls = 2
			c.Participants["shop"] = p
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) {
				for i := range d.Steps {
					d.Steps[i].Timeout = 5 * time.Minute
				}
			})}
		})
		defer s.end()
		s.shop.script("issue", refuses("no"))
		s.shop.script("uncharge", takes(time.Second))
		s.shop.script("unreserve", takes(time.Second))
		s.start("one")
		synctest.Wait() // it is undoing its payment
		if page, err := s.List(t.Context(), store.Filter{ID: "one"}); err != nil || page.Sagas[0].State != store.Compensating {
			t.Fatalf("before the flood comes the saga is %+v (%v)", page.Sagas, err)
		}
		s.shop.script("create", many(4, takes(4*time.Minute))...)
		for i := range 4 {
			s.start(journal.SagaID(fmt.Sprint("flood", i)))
		}
		synctest.Wait() // both places for actions are taken for minutes
		began := time.Now()
		s.outcome("one")
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("compensations of a second took %s beside a flood of actions", took)
		}
		if busy := s.view("flood1"); busy.Step("create").State != journal.StepStateRunning {
			t.Errorf("the flood had an end before: %s", busy.Step("create").State)
		}
	})
}

func TestF10_CancelWhileItIsUndoneChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("issue", refuses("no"))
		s.shop.script("uncharge", takes(time.Second))
		s.start("one")
		synctest.Wait()
		if page, err := s.List(t.Context(), store.Filter{ID: "one"}); err != nil || page.Sagas[0].State != store.Compensating {
			t.Fatalf("before the cancel the saga is %+v (%v)", page.Sagas, err)
		}
		if err := s.Cancel(t.Context(), "one", "ada", "a change of mind"); err != nil {
			t.Errorf("cancel: %v", err)
		}
		if got := s.outcome("one"); got != store.Compensated {
			t.Errorf("outcome %s", got)
		}
		v := s.view("one")
		if v.Cause != "issue" || v.Reason != "no" {
			t.Errorf("it was turned back by %s: %s, and the cancel came later", v.Cause, v.Reason)
		}
		for _, step := range []string{"create", "reserve", "charge"} {
			if got := v.Step(step).State; got != journal.StepStateUndone {
				t.Errorf("%s is %s", step, got)
			}
		}
	})
}

func TestWatchSeesEveryEventOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("charge", takes(time.Second))
		s.start("one")
		var seqs []uint64
		if err := s.Watch(t.Context(), "one", 0, func(e journal.Event) error {
			seqs = append(seqs, e.Seq)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n := s.get("one").Summary.Seq; uint64(len(seqs)) != n || seqs[0] != 1 || seqs[len(seqs)-1] != n {
			t.Errorf("watched %v of %d", seqs, n)
		}
		stop := errors.New("enough")
		if err := s.Watch(t.Context(), "one", 3, func(journal.Event) error { return stop }); !errors.Is(err, stop) {
			t.Error(err)
		}
	})
}

func TestSoftStopRecordsWhatIsUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		s.shop.script("create", takes(3*time.Second))
		s.start("one")
		synctest.Wait()
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		h := s.history("one")
		if h[len(h)-1] != "step asked charge" || !contains(h, "step done create") {
			t.Errorf("history %q", h)
		}
		if _, _, err := s.Start(t.Context(), orchestrator.Request{Definition: "order", Input: []byte(`1`)}); !errors.Is(err, orchestrator.ErrStopped) {
			t.Errorf("start after the stop: %v", err)
		}
		s.open()
		defer s.end()
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
	})
}

func contains(list []string, x string) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

func TestUnusableAnswersAreUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t)
		defer s.end()
		s.shop.script("create",
			says(participant.Answer{Class: participant.Done, Result: json.RawMessage(`{`)}),
			says(participant.Answer{Class: participant.Refused}))
		s.start("one")
		if got := s.outcome("one"); got != store.Completed {
			t.Fatalf("outcome %s", got)
		}
		v := s.get("one").View
		if d := v.Step("create").Attempt; d != 2 {
			t.Errorf("last attempt with an unknown result: %d", d)
		}
	})
}

func TestMappingFailureTurnsBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := begin(t, func(c *orchestrator.Config) {
			c.Plans = []*plan.Plan{order(t, func(d *plan.Draft) {
				d.Steps[1].Map = func([]byte, [][]byte) ([]byte, error) { panic("nil map") }
			})}
		})
		defer s.end()
		s.start("one")
		if got := s.outcome("one"); got != store.Compensated {
			t.Fatalf("outcome %s", got)
		}
		if v := s.get("one").View; v.Reason != "skald.mapping" || v.Cause != "reserve" {
			t.Errorf("turned back by %s %s", v.Cause, v.Reason)
		}
	})
}
