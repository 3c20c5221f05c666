package choreographer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
)

// scene is a choreographed system in virtual time: a service with an agent for each step of a definition, and an initiator. Services survive; agents are started and
// stopped.
type scene struct {
	t         *testing.T
	p         *plan.Plan
	broker    broker.Broker
	services  map[string]*service // by step
	initiator *choreographer.Initiator

	mu      sync.Mutex
	script  map[string][]func(context.Context) participant.Answer // by operation; done when there is none left
	calls   []string
	running map[string]func() // by step: stops its agent
	agents  map[string]*choreographer.Agent
	inFront map[string]participant.Desk
	refused map[journal.SagaID]string // operation that refuses in a saga
	wrong   time.Duration             // by how much the clock is ahead for who is started
}

func play(t *testing.T, p func(testing.TB) *plan.Plan, story func(s *scene)) {
	t.Helper()
	playWith(t, p, nil, story)
}

// playWith plays over a broker that meets with faults.
func playWith(t *testing.T, p func(testing.TB) *plan.Plan, chance membroker.Chance, story func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{
			t: t, p: p(t), broker: membroker.New(membroker.Config{Chance: chance}), services: make(map[string]*service),
			script: make(map[string][]func(context.Context) participant.Answer), running: make(map[string]func()),
			agents: make(map[string]*choreographer.Agent),
		}
		for i := range s.p.Steps {
			x := &s.p.Steps[i]
			s.services[x.Name] = newService(x, s.answer)
		}
		var err error
		s.initiator, err = choreographer.NewInitiator(choreographer.InitiatorConfig{Broker: s.broker, Name: "shop", Plans: []*plan.Plan{s.p}})
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range s.p.Steps {
			s.up(s.p.Steps[i].Name)
		}
		s.run("initiator", s.initiator.Run)
		synctest.Wait()
		story(s)
		for name := range s.running {
			s.down(name)
		}
	})
}

// up starts the agent of a step's service.
func (s *scene) up(step string) {
	s.t.Helper()
	a, err := choreographer.NewAgent(choreographer.AgentConfig{
		Broker: s.broker, Desk: s.desk(step), Name: s.services[step].name, Plans: []*plan.Plan{s.p}, Jitter: func() float64 { return 0 }, Now: s.clock(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.agents[step] = a
	s.run(step, a.Run)
	synctest.Wait()
}

// clock is what somebody who is started now takes for the time.
func (s *scene) clock() func() time.Time {
	wrong := s.wrong
	return func() time.Time { return time.Now().Add(wrong) }
}

// desk is the service of a step, or what stands in front of it.
func (s *scene) desk(step string) participant.Desk {
	if d := s.inFront[step]; d != nil {
		return d
	}
	return s.services[step]
}

func (s *scene) run(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	}()
	s.running[name] = func() { cancel(); <-done }
}

func (s *scene) down(name string) {
	s.running[name]()
	delete(s.running, name)
}

func (s *scene) answer(ctx context.Context, c participant.Call) participant.Answer {
	s.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf("%s#%d", c.Operation, c.Attempt))
	var answer func(context.Context) participant.Answer
	if s.refused[c.Saga] == c.Operation {
		answer = refuses("NoPaper")
	}
	if n := s.script[c.Operation]; len(n) > 0 {
		answer, s.script[c.Operation] = n[0], n[1:]
	}
	s.mu.Unlock()
	if answer == nil {
		return participant.Answer{Class: participant.Done, Result: []byte(`"` + c.Step + `"`)}
	}
	return answer(ctx)
}

// says scripts what an operation answers, in order.
func (s *scene) says(operation string, answers ...func(context.Context) participant.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script[operation] = append(s.script[operation], answers...)
}

func refuses(reason string) func(context.Context) participant.Answer {
	return func(context.Context) participant.Answer {
		return participant.Answer{Class: participant.Refused, Reason: reason, Detail: "in words"}
	}
}

func unknown(context.Context) participant.Answer { return participant.Answer{Detail: "it broke"} }

func (s *scene) start(id journal.SagaID) {
	s.t.Helper()
	if _, _, err := s.initiator.Start(s.t.Context(), choreographer.Request{ID: id, Definition: s.p.Name, Input: []byte(`{"n":1}`)}); err != nil {
		s.t.Fatal(err)
	}
}

// pass lets time pass, and everything that happens in it.
func (s *scene) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Calls that wait for a process of another version do not hide those that are due here, however many they are.
func TestCallsOfOtherVersionsHideNoneOfThisOne(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		reserve := s.services["reserve"]
		reserve.mu.Lock()
		for i := range 1500 {
			id := journal.SagaID(fmt.Sprintf("other-%d", i))
			reserve.rows = append(reserve.rows, row{participant.Token{Definition: s.p.Name, Version: "another", Saga: id, Step: participant.StepStart, Kind: participant.TokenDone}, true})
			reserve.waiting = append(reserve.waiting, participant.Waiting{Saga: id, Step: "reserve", Phase: participant.Action, At: time.Now()})
		}
		reserve.mu.Unlock()
		s.says("reserves.do", unknown)
		s.start("s-1")
		s.pass(time.Minute)
		s.want("s-1", allDone)
	})
}

// Versions roll out one program after the other. What an older process of a service could not know to concern it, a newer one catches up with, also without a tracker.
func TestAServiceThatLearnsAVersionLateCatchesUp(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		older := order(s.t, func(d *plan.Draft) {
			d.Revision = "0"
			d.Steps = []plan.DraftStep{step("create", participant.Compensatable), step("issue", participant.Pivot, "create")}
		})
		s.down("issue")
		a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: s.broker, Desk: s.desk("issue"), Name: s.services["issue"].name, Plans: []*plan.Plan{older}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("issue", a.Run)
		s.start("s-1")
		s.pass(5 * time.Second)
		s.want("s-1", "create:done reserve:done charge:done")
		s.down("issue")
		s.up("issue")
		s.pass(10 * time.Second)
		s.want("s-1", allDone)
	})
}

// While old and new processes of a service share its subscription, an old one leaves what a newer version may need to a new one.
func TestProcessesOfTwoVersionsStandSideBySide(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		older := order(s.t, func(d *plan.Draft) {
			d.Revision = "0"
			d.Steps = []plan.DraftStep{step("create", participant.Compensatable), step("issue", participant.Pivot, "create")}
		})
		s.down("charge")
		s.start("s-1")
		s.pass(time.Second)
		s.down("issue") // the old one alone is handed what it does not know to concern the service
		a, err := choreographer.NewAgent(choreographer.AgentConfig{Broker: s.broker, Desk: s.desk("issue"), Name: s.services["issue"].name, Plans: []*plan.Plan{older}})
		if err != nil {
			s.t.Fatal(err)
		}
		s.run("old", a.Run)
		s.up("charge")
		s.pass(time.Second)
		s.up("issue")
		s.pass(time.Minute)
		s.want("s-1", allDone)
	})
}

// tokens is what the broker has decided of a saga: step and kind, sorted.
func (s *scene) tokens(id journal.SagaID) string {
	s.t.Helper()
	messages, err := s.broker.Read(s.t.Context(), choreographer.DefaultTopic, broker.Filter(s.p.Name+"/"+string(id)+"/**"))
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, m := range messages {
		all = append(all, m.Step+":"+strings.TrimPrefix(m.Type, "skald.token."))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (s *scene) want(id journal.SagaID, tokens string) {
	s.t.Helper()
	want := strings.Fields(tokens)
	slices.Sort(want)
	if diff := cmp.Diff(strings.Join(want, " "), s.tokens(id)); diff != "" {
		s.t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func (s *scene) wantEffects(steps string) {
	s.t.Helper()
	var got []string
	for i := range s.p.Steps {
		got = append(got, s.services[s.p.Steps[i].Name].effects()...)
	}
	if strings.Join(got, " ") != steps {
		s.t.Errorf("effects are %q, want %q", strings.Join(got, " "), steps)
	}
}

func plainOrder(t testing.TB) *plan.Plan { return order(t) }

const (
	allDone    = "create:done reserve:done charge:done issue:done confirm:done send:done skald.end:done"
	allEffects = "create reserve charge issue confirm send"
)

func TestASagaCompletesWithNobodyInTheMiddle(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.start("s-1")
		s.pass(time.Millisecond)
		s.want("s-1", allDone)
		s.wantEffects(allEffects)
	})
}

func TestARefusalIsUndoneInReverse(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.says("issues.do", refuses("NoPaper"))
		s.start("s-1")
		s.pass(time.Millisecond)
		s.want("s-1", `create:done reserve:done charge:done issue:refused confirm:skipped send:skipped skald.end:skipped
			reserve:undone charge:undone create:undone skald.start:undone`)
		s.wantEffects("")
	})
}

func TestABranchIsRefusedWhileItsSiblingIsAway(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.down("charge")
		s.says("reserves.do", refuses("OutOfStock"))
		s.start("s-1")
		s.pass(time.Minute)
		s.want("s-1", "create:done reserve:refused issue:skipped confirm:skipped send:skipped skald.end:skipped")
		s.wantEffects("create") // charge may yet take effect
		s.up("charge")
		s.pass(time.Millisecond)
		s.want("s-1", `create:done reserve:refused charge:done issue:skipped confirm:skipped send:skipped skald.end:skipped
			charge:undone create:undone skald.start:undone`)
		s.wantEffects("")
	})
}

func TestWhatFailsIsTriedAgainAndThenGivenUp(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.says("reserves.do", unknown, unknown, unknown)
		s.start("s-1")
		s.pass(time.Second)
		s.want("s-1", `create:done reserve:failed charge:done issue:skipped confirm:skipped send:skipped skald.end:skipped
			reserve:undone charge:undone create:undone skald.start:undone`)
		s.wantEffects("")
		if got := s.count("reserves.do"); got != 3 {
			s.t.Errorf("reserve was tried %d times, want 3", got)
		}
	})
}

func (s *scene) count(operation string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if strings.HasPrefix(c, operation+"#") {
			n++
		}
	}
	return n
}

func TestWhatMustSucceedIsTriedUntilItDoes(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.says("sends.do", slices.Repeat([]func(context.Context) participant.Answer{unknown}, 9)...)
		s.start("s-1")
		s.pass(30 * time.Second)
		s.want("s-1", "create:done reserve:done charge:done issue:done confirm:done")
		s.pass(time.Minute)
		s.want("s-1", allDone)
		s.wantEffects(allEffects)
	})
}

func TestACompensationIsTriedUntilItSucceeds(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.says("issues.do", refuses("NoPaper"))
		s.says("charges.undo", slices.Repeat([]func(context.Context) participant.Answer{unknown}, 12)...)
		s.start("s-1")
		s.pass(time.Minute)
		s.wantEffects("create charge")
		s.pass(20 * time.Minute)
		s.wantEffects("")
		if !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
			s.t.Errorf("it is not compensated: %s", s.tokens("s-1"))
		}
	})
}

func TestAServiceThatWasAwayGoesOn(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.down("reserve")
		s.down("initiator")
		s.start("s-1")
		s.pass(10 * time.Minute)
		s.want("s-1", "create:done charge:done")
		s.up("reserve")
		s.pass(time.Millisecond)
		s.want("s-1", strings.TrimSuffix(allDone, " skald.end:done"))
		s.run("initiator", s.initiator.Run)
		s.pass(time.Millisecond)
		s.want("s-1", allDone)
	})
}

// A crash at each point of a transaction, in each service, is the same as no crash.
func TestACrashAtAnyPointIsHarmless(t *testing.T) {
	for _, point := range []string{"before take", "before commit", "after commit"} {
		for _, refusal := range []string{"", "issues.do"} {
			t.Run(point+" "+refusal, func(t *testing.T) {
				play(t, plainOrder, func(s *scene) {
					if refusal != "" {
						s.says(refusal, refuses("NoPaper"))
					}
					var died atomic.Int32
					for _, x := range s.services {
						left := 3
						x.mu.Lock()
						x.lose = func(p string) bool {
							if p != point || left == 0 {
								return false
							}
							left--
							died.Add(1)
							return true
						}
						x.mu.Unlock()
					}
					s.start("s-1")
					s.pass(time.Minute)
					if refusal == "" {
						s.want("s-1", allDone)
						s.wantEffects(allEffects)
					} else {
						s.wantEffects("")
						if !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
							s.t.Errorf("it is not compensated: %s", s.tokens("s-1"))
						}
					}
					if int(died.Load()) < 3*len(s.services) {
						s.t.Errorf("only %d crashes happened", died.Load())
					}
				})
			})
		}
	}
}

func TestF10_CancelWhileItIsUndoneChangesNothing(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.says("issues.do", refuses("NoPaper"))
		s.says("charges.undo", func(context.Context) participant.Answer {
			time.Sleep(time.Second)
			return participant.Answer{Class: participant.Done}
		})
		s.start("s-1")
		s.pass(time.Millisecond)
		if now := s.tokens("s-1"); !strings.Contains(now, "issue:refused") || strings.Contains(now, "charge:undone") {
			s.t.Fatalf("before the cancel the tokens are %s", now)
		}
		if err := s.initiator.Cancel(s.t.Context(), "s-1", "ann", "changed her mind"); err != nil {
			s.t.Errorf("cancel: %v", err)
		}
		s.pass(2 * time.Second)
		s.wantEffects("")
		if now := s.tokens("s-1"); !strings.Contains(now, "skald.start:undone") || !strings.Contains(now, "issue:refused") {
			s.t.Errorf("in the end the tokens are %s", now)
		}
	})
}

func TestACancelTurnsASagaBackUntilThePivot(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		s.down("charge")
		s.start("s-1")
		s.pass(time.Millisecond)
		if err := s.initiator.Cancel(s.t.Context(), "s-1", "ann", "changed her mind"); err != nil {
			s.t.Fatal(err)
		}
		s.pass(time.Millisecond)
		s.want("s-1", `create:done reserve:done charge:failed issue:skipped confirm:skipped send:skipped skald.end:skipped reserve:undone`)
		s.up("charge") // it acts, as it has heard of nothing else yet, loses, and cleans up after itself
		s.pass(time.Millisecond)
		s.wantEffects("")
		if !strings.Contains(s.tokens("s-1"), "charge:undone") || !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
			s.t.Errorf("tokens are %s", s.tokens("s-1"))
		}
		if err := s.initiator.Cancel(s.t.Context(), "s-1", "ann", "again"); !errors.Is(err, machine.ErrEnded) {
			s.t.Errorf("a cancel after the end gives %v", err)
		}

		s.down("issue")
		s.start("s-2")
		s.pass(time.Millisecond)
		if err := s.initiator.Cancel(s.t.Context(), "s-2", "ann", "too late"); !errors.Is(err, machine.ErrPassed) {
			s.t.Errorf("a cancel when the pivot is next gives %v", err)
		}
		s.up("issue")
		s.pass(time.Millisecond)
		s.want("s-2", allDone)
		if err := s.initiator.Cancel(s.t.Context(), "s-2", "ann", "too late"); !errors.Is(err, machine.ErrEnded) {
			s.t.Errorf("a cancel after the end gives %v", err)
		}
	})
}

// Where there is nothing to undo, a cancel is the end of its saga at once. That is no reason to refuse it.
func TestACancelThatLeavesNothingToUndoIsAccepted(t *testing.T) {
	play(t, oneLook, func(s *scene) {
		s.down("look")
		s.start("s-1")
		if err := s.initiator.Cancel(s.t.Context(), "s-1", "ann", "changed her mind"); err != nil {
			s.t.Errorf("the cancel gives %v", err)
		}
		s.pass(time.Millisecond)
		s.want("s-1", "look:refused skald.end:skipped skald.start:undone")
		if err := s.initiator.Cancel(s.t.Context(), "s-1", "ann", "again"); !errors.Is(err, machine.ErrEnded) {
			s.t.Errorf("a cancel after the end gives %v", err)
		}
	})
}

// oneLook is a definition without an effect.
func oneLook(t testing.TB) *plan.Plan {
	return order(t, func(d *plan.Draft) { d.Steps = []plan.DraftStep{step("look", participant.ReadOnly)} })
}

func TestStartingTwiceIsOneSaga(t *testing.T) {
	play(t, plainOrder, func(s *scene) {
		q := choreographer.Request{ID: "s-1", Definition: "order", Input: []byte(`{"n":1}`)}
		for i, want := range []bool{false, true} {
			_, existed, err := s.initiator.Start(s.t.Context(), q)
			if err != nil || existed != want {
				s.t.Errorf("start %d: existed %t, %v", i, existed, err)
			}
		}
		q.Input = []byte(`{"n":2}`)
		if _, _, err := s.initiator.Start(s.t.Context(), q); !errors.Is(err, choreographer.ErrConflict) {
			s.t.Errorf("another input gives %v", err)
		}
		s.pass(time.Millisecond)
		s.want("s-1", allDone)
	})
}

// overlooked is a desk that shows the calls that are asked of it.
type overlooked struct {
	participant.Desk
	calls *[]participant.Call
}

// Take implements participant.Desk.
func (o overlooked) Take(ctx context.Context, id journal.SagaID, heard []participant.Token, next func(participant.Ledger) (participant.Work, bool)) (participant.Taken, error) {
	return o.Desk.Take(ctx, id, heard, func(l participant.Ledger) (participant.Work, bool) {
		w, ok := next(l)
		if ok && w.Call.Operation != "" {
			*o.calls = append(*o.calls, w.Call)
		}
		return w, ok
	})
}

// A call that begins shortly before the saga's deadline may take until then, unless only its own answer can decide the step.
func TestACallEndsWithTheTimeOfItsSaga(t *testing.T) {
	for step, left := range map[string]time.Duration{"charge": 3 * time.Second, "issue": 10 * time.Second} {
		play(t, plainOrder, func(s *scene) {
			var calls []participant.Call
			s.inFront = map[string]participant.Desk{step: overlooked{s.services[step], &calls}}
			s.down(step)
			began := time.Now()
			s.start("s-1")
			s.pass(time.Hour - 3*time.Second - time.Since(began))
			s.up(step)
			s.pass(time.Second)
			if len(calls) != 1 {
				s.t.Fatalf("%s: calls %+v", step, calls)
			}
			if got := calls[0].Deadline.Sub(began.Add(time.Hour - 3*time.Second)); (got - left).Abs() > time.Second {
				s.t.Errorf("%s has %s, want %s", step, got, left)
			}
		})
	}
}

// A service that comes back after the saga's deadline does not act: not even the pivot, which only it may expire.
func TestWhatComesTooLateIsNotDone(t *testing.T) {
	for _, late := range []string{"reserve", "issue"} {
		t.Run(late, func(t *testing.T) {
			play(t, plainOrder, func(s *scene) {
				s.down(late)
				s.start("s-1")
				s.pass(2 * time.Hour)
				s.up(late)
				s.pass(time.Millisecond)
				s.wantEffects("")
				if s.count(late+"s.do") != 0 || !strings.Contains(s.tokens("s-1"), "skald.start:undone") {
					s.t.Errorf("%s was called %d times; tokens are %s", late, s.count(late+"s.do"), s.tokens("s-1"))
				}
			})
		})
	}
}
