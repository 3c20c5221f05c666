package machine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// bench is one saga in a chosen state: a readonly step, two compensatable ones beside each other, a pivot and a retriable step.
//
//	look -> (hold, take) -> sign (pivot) -> tell
type bench struct {
	t *testing.T
	m *machine.Machine
	s machine.State
	// what the machine asked for since it was last looked at
	said []string
	seen func(*journal.Event) // told of every event; may be nil
}

const origin = 1_000_000_000 // microseconds

func at(d time.Duration) time.Time { return time.UnixMicro(origin).Add(d) }

func newBench(t *testing.T, level participant.Level) *bench {
	t.Helper()
	kinds := []participant.Kind{participant.ReadOnly, participant.Compensatable, participant.Compensatable, participant.Pivot, participant.Retriable}
	follows := [][]string{nil, {"look"}, {"look"}, {"hold", "take"}, {"sign"}}
	d := plan.Draft{Name: "bench", IncidentAfter: 30 * time.Second, Deadline: time.Hour}
	for i, name := range []string{"look", "hold", "take", "sign", "tell"} {
		s := plan.DraftStep{Follows: follows[i], Step: plan.Step{
			Name: name, Kind: kinds[i], Action: "x." + name, Timeout: time.Second, Deadline: time.Minute,
			Map:   func([]byte, [][]byte) ([]byte, error) { return nil, nil },
			Retry: plan.Retry{Initial: time.Second, Factor: 2, Cap: 10 * time.Second}, Undo: plan.Retry{Initial: time.Second, Factor: 2, Cap: 10 * time.Second},
		}}
		if kinds[i] == participant.Compensatable || kinds[i] == participant.ReadOnly {
			s.Retry.Attempts = 2
		}
		if kinds[i] == participant.Compensatable {
			s.Compensation = "x.un" + name
		}
		if name == "take" {
			s.ReadsOf = []string{"look"}
		}
		d.Steps = append(d.Steps, s)
	}
	p, err := plan.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, m: machine.New(p, []participant.Level{level, level, level, level, level})}
	b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaStarted, At: at(time.Hour)}})
	b.said = nil
	return b
}

func (b *bench) do(cmds ...machine.Command) {
	b.t.Helper()
	for i := 0; i < len(cmds); i++ {
		c := cmds[i]
		switch c.Do {
		case machine.Record:
			e := c.Event
			e.Seq, e.Time = b.s.Seq+1, at(0)
			words := e.Kind.String()
			if e.Step != "" {
				words += " " + e.Step
			}
			if e.Reason != "" {
				words += " " + e.Reason
			}
			b.said = append(b.said, words)
			var err error
			if cmds, err = b.m.Apply(&b.s, &e, cmds); err != nil {
				b.t.Fatal(err)
			}
			if b.seen != nil {
				b.seen(&e)
			}
		case machine.Announce:
			b.said = append(b.said, "announce")
		default:
			verb := map[machine.Do]string{machine.Call: "call", machine.Compensate: "compensate"}[c.Do]
			b.said = append(b.said, fmt.Sprintf("%s %s#%d after %d", verb, b.m.Plan.Steps[c.Step].Name, c.Attempt, c.Wait))
		}
	}
}

func (b *bench) answer(step string, a participant.Answer) {
	b.t.Helper()
	i, _ := b.m.Plan.Index(step)
	b.do(b.m.Answered(&b.s, machine.Answer{Step: i, Compensation: b.s.Phase == machine.Compensating, Answer: a, Now: at(0)}, nil)...)
}

func (b *bench) done(steps ...string) {
	b.t.Helper()
	for _, s := range steps {
		b.answer(s, participant.Answer{Class: participant.Done})
	}
	b.said = nil
}

func (b *bench) wants(want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.said, cmpopts.EquateEmpty()); diff != "" {
		b.t.Errorf("(-want +got):\n%s", diff)
	}
	b.said = nil
}

var (
	isDone    = participant.Answer{Class: participant.Done}
	isRefused = participant.Answer{Class: participant.Refused, Reason: "No"}
	isUnknown = participant.Answer{}
	conflicts = participant.Answer{Class: participant.Refused, Reason: participant.ReasonConflict}
)

// What each kind of step leads to on each class of answer, at each level. Everything that a driver can hear stands here.
func TestEveryAnswerOfEveryKind(t *testing.T) {
	const l0, l2 = participant.L0, participant.L2
	before := map[string][]string{"look": nil, "hold": {"look"}, "sign": {"look", "hold", "take"}, "tell": {"look", "hold", "take", "sign"}}
	tests := []struct {
		step   string
		level  participant.Level
		answer participant.Answer
		want   []string
	}{
		{"look", l2, isDone, []string{"step done look", "step asked hold", "step asked take", "call hold#1 after 1", "call take#1 after 3"}},
		{"look", l2, isRefused, []string{"step refused look No", "saga compensating look No", "saga compensated", "announce"}},
		{"look", l2, isUnknown, []string{"step retrying look"}},
		{"look", l0, isUnknown, []string{"step retrying look"}},
		{"look", l2, conflicts, []string{"step retrying look skald.conflict", "incident opened look skald.conflict"}},
		{"hold", l2, isDone, []string{"step done hold"}},
		{"hold", l2, isRefused, []string{"step refused hold No"}},
		{"hold", l2, isUnknown, []string{"step retrying hold"}},
		{"hold", l0, isUnknown, []string{"step failed hold skald.unknown_result"}},
		{"hold", l2, conflicts, []string{"step retrying hold skald.conflict", "incident opened hold skald.conflict"}},
		{"sign", l2, isDone, []string{"step done sign", "step asked tell", "call tell#1 after 1"}},
		{"sign", l2, isRefused, []string{
			"step refused sign No", "saga compensating sign No", "compensation asked hold", "compensation asked take",
			"compensate hold#1 after 10", "compensate take#1 after 10",
		}},
		{"sign", l2, isUnknown, []string{"step retrying sign"}},
		{"sign", l0, isUnknown, []string{"step retrying sign", "incident opened sign skald.unknown_result"}},
		{"sign", l2, conflicts, []string{"step retrying sign skald.conflict", "incident opened sign skald.conflict"}},
		{"tell", l2, isDone, []string{"step done tell", "saga completed", "announce"}},
		{"tell", l2, isRefused, []string{"step retrying tell No", "incident opened tell No"}},
		{"tell", l2, isUnknown, []string{"step retrying tell"}},
		{"tell", l0, isUnknown, []string{"step retrying tell", "incident opened tell skald.unknown_result"}},
		{"tell", l2, conflicts, []string{"step retrying tell skald.conflict", "incident opened tell skald.conflict"}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %s %s %s", tt.step, tt.level, tt.answer.Class, tt.answer.Reason), func(t *testing.T) {
			b := newBench(t, tt.level)
			b.done(before[tt.step]...)
			b.answer(tt.step, tt.answer)
			b.wants(tt.want...)
		})
	}
}

func TestLastAttemptOfAStepThatMayFailTurnsBack(t *testing.T) {
	b := newBench(t, participant.L2)
	b.answer("look", isUnknown)
	b.said = nil
	b.do(b.m.Due(&b.s, at(time.Second), nil)...)
	b.wants("call look#2 after 1")
	b.answer("look", isUnknown)
	b.wants("step failed look skald.retries_exhausted", "saga compensating look skald.retries_exhausted", "saga compensated", "announce")
}

func TestEveryAnswerToACompensation(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer participant.Answer
		want   []string
	}{
		{"done", isDone, []string{"compensation done hold", "saga compensated", "announce"}},
		{"refused", isRefused, []string{"compensation retrying hold No", "incident opened hold No"}},
		{"unknown", isUnknown, []string{"compensation retrying hold"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, participant.L2)
			b.done("look", "hold")
			b.answer("take", isRefused)
			b.said = nil
			b.answer("hold", tt.answer)
			b.wants(tt.want...)
		})
	}
}

func TestEveryAnswerAfterTheStepIsDecidedIsEvidenceOnly(t *testing.T) {
	for _, tt := range []struct {
		answer participant.Answer
		want   []string
	}{
		{isDone, []string{"step answered late hold", "saga compensating take No", "compensation asked hold", "compensate hold#1 after 10"}},
		{isRefused, []string{"step answered late hold No", "saga compensating take No", "compensation asked hold", "compensate hold#1 after 10"}},
		{isUnknown, []string{"saga compensating take No", "compensation asked hold", "compensate hold#1 after 9"}},
	} {
		t.Run(tt.answer.Class.String(), func(t *testing.T) {
			b := newBench(t, participant.L2)
			b.done("look")
			b.answer("take", isRefused)
			b.said = nil
			b.do(b.m.Due(&b.s, at(time.Minute), nil)...)
			b.wants("deadline expired hold", "step failed hold skald.deadline")
			b.answer("hold", tt.answer)
			b.wants(tt.want...)
		})
	}
}

func TestWaitingSiblingIsGivenUpWhenTheSagaTurnsBack(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look")
	b.answer("hold", isUnknown)
	b.said = nil
	b.answer("take", isRefused)
	b.wants("step refused take No", "step failed hold skald.abandoned", "saga compensating take No", "compensation asked hold", "compensate hold#1 after 9")
}

func TestUnstoredAnswerIsDurableBeforeItIsUsed(t *testing.T) {
	b := newBench(t, participant.L2)
	b.answer("look", isDone) // hold does not read the answer, take does
	b.wants("step done look", "step asked hold", "step asked take", "call hold#1 after 1", "call take#1 after 3")
}

func TestStrictStepsWaitForTheirIntentAndAreWaitedFor(t *testing.T) {
	b := newBench(t, participant.L2)
	p := *b.m.Plan
	p.Steps = append([]plan.Step(nil), p.Steps...)
	p.Steps[0].Strict, p.Steps[1].Strict = true, true
	b.m = machine.New(&p, []participant.Level{participant.L2, participant.L2, participant.L2, participant.L2, participant.L2})
	b.answer("look", isDone)
	b.wants("step done look", "step asked hold", "step asked take", "call hold#1 after 4", "call take#1 after 3")
	b.done("hold", "take")
	b.answer("sign", isDone)
	b.wants("step done sign", "step asked tell", "call tell#1 after 6") // the result of hold
	p.Durability = plan.Strict
	b = newBench(t, participant.L2)
	b.m = machine.New(&p, []participant.Level{participant.L2, participant.L2, participant.L2, participant.L2, participant.L2})
	b.answer("look", isDone)
	b.wants("step done look", "step asked hold", "step asked take", "call hold#1 after 4", "call take#1 after 5")
}

func TestTimeOpensAndClosesAnIncident(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold", "take", "sign")
	b.answer("tell", isUnknown)
	b.said = nil
	if w := b.m.Wake(&b.s); !w.Equal(at(time.Second)) {
		t.Errorf("wakes at %s", w.Sub(at(0)))
	}
	b.do(b.m.Due(&b.s, at(time.Second), nil)...)
	b.wants("call tell#2 after 1")
	if w := b.m.Wake(&b.s); !w.Equal(at(30 * time.Second)) {
		t.Errorf("wakes at %s", w.Sub(at(0)))
	}
	b.do(b.m.Due(&b.s, at(30*time.Second), nil)...)
	b.wants("incident opened tell skald.no_progress")
	b.do(b.m.Due(&b.s, at(time.Minute), nil)...)
	b.wants("deadline expired tell", "incident opened tell skald.deadline")
	b.answer("tell", isDone)
	b.wants("step done tell", "incident closed tell", "saga completed", "announce")
}

// An incident says what is wrong, as far as anybody knows; what the machine of a coordinator that comes later says is the same.
func TestAnIncidentOfAStepThatMakesNoProgressSaysWhatCameOfItsCalls(t *testing.T) {
	refused := participant.Answer{NotAsked: true, Detail: "connection refused by 127.0.0.1:9"}
	for _, tt := range []struct {
		name    string
		answers []machine.Answer
		want    string
	}{
		{"no answer yet", nil, "its first call was not answered yet, or waits for others to the same participant"},
		{"the last one's words", []machine.Answer{{Answer: participant.Answer{Detail: "no answer within 10s"}}, {Answer: refused}}, refused.Detail},
		{"with its code", []machine.Answer{{Answer: participant.Answer{Reason: "Busy", Detail: "try later"}}}, "Busy: try later"},
		{"only a code", []machine.Answer{{Answer: participant.Answer{Reason: "Busy"}}}, "Busy"},
		{"no words", []machine.Answer{{Answer: refused}, {}}, "it was asked again, and its participant does not say what is wrong"},
		{"left alone meanwhile", []machine.Answer{{Answer: participant.Answer{Reason: "Busy", Detail: "try later"}}, {Answer: participant.Answer{NotAsked: true, Detail: "left alone"}, Unsaid: true}}, "Busy: try later"},
		{"only left alone", []machine.Answer{{Answer: participant.Answer{NotAsked: true, Detail: "left alone"}, Unsaid: true}}, "left alone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, participant.L2)
			b.done("look", "hold", "take", "sign")
			for _, a := range tt.answers {
				b.hear("tell", a)
			}
			opened := func() string {
				for _, c := range b.m.Due(&b.s, at(30*time.Second), nil) {
					if c.Event.Kind == journal.IncidentOpened {
						return c.Event.Reason + ": " + c.Event.Detail
					}
				}
				return ""
			}
			if got, want := opened(), machine.ReasonSlow+": "+tt.want; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestSagaDeadlineAfterThePivotIsAnIncident(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold", "take")
	b.do(b.m.Due(&b.s, at(time.Hour), nil)...)
	b.wants("deadline expired", "incident opened skald.deadline")
	b.answer("sign", isRefused) // the pivot's own refusal still turns it back
	b.done("hold", "take")
	if b.s.Phase != machine.Compensated || b.s.Stuck != "" {
		t.Errorf("phase %d, stuck %q", b.s.Phase, b.s.Stuck)
	}
}

func TestRecoveryOfEachLevel(t *testing.T) {
	recovered := machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered}}
	for _, tt := range []struct {
		level participant.Level
		done  []string
		want  []string
	}{
		{participant.L2, nil, []string{"saga recovered", "call look#1 after 1"}},
		{participant.L2, []string{"look"}, []string{"saga recovered", "call hold#1 after 1", "call take#1 after 3"}},
		{participant.L1, []string{"look"}, []string{"saga recovered", "call hold#1 after 4", "call take#1 after 5"}},
		{participant.L0, []string{"look"}, []string{
			"saga recovered", "step failed hold skald.unknown_result", "step failed take skald.unknown_result", "saga compensating hold skald.unknown_result",
			"compensation asked hold", "compensation asked take", "compensate hold#1 after 10", "compensate take#1 after 11",
		}},
		{participant.L0, []string{"look", "hold", "take"}, []string{"saga recovered", "incident opened sign skald.unknown_result"}},
	} {
		t.Run(fmt.Sprint(tt.level, " after ", tt.done), func(t *testing.T) {
			b := newBench(t, tt.level)
			b.done(tt.done...)
			b.do(recovered)
			b.wants(tt.want...)
		})
	}
}

func TestVerbsThatDoNotFitAreRefusedWithTheMend(t *testing.T) {
	b := newBench(t, participant.L2)
	for _, tt := range []struct {
		verb journal.Verb
		step string
		ok   bool
	}{
		{journal.VerbRetry, "look", true},
		{journal.VerbRetry, "hold", false}, // not asked yet
		{journal.VerbRetry, "nobody", false},
		{journal.VerbRetry, "", false}, // no incident of the whole saga
		{journal.VerbSkip, "look", false},
		{journal.VerbReplace, "look", false},
		{journal.VerbDone, "look", false},
	} {
		if err := b.m.Resolvable(&b.s, tt.verb, tt.step, []byte(`1`)); (err == nil) != tt.ok {
			t.Errorf("%s %s: %v", tt.verb, tt.step, err)
		}
	}
	b.done("look", "hold", "take")
	for verb, ok := range map[journal.Verb]bool{journal.VerbRetry: true, journal.VerbDone: true, journal.VerbSkip: false, journal.VerbReplace: false} {
		if err := b.m.Resolvable(&b.s, verb, "sign", []byte(`1`)); (err == nil) != ok {
			t.Errorf("pivot %s: %v", verb, err)
		}
	}
	b.done("sign")
	if err := b.m.Resolvable(&b.s, "burn", "tell", nil); err == nil {
		t.Error("an unknown verb was accepted")
	}
	if err := b.m.Resolvable(&b.s, journal.VerbReplace, "tell", nil); err == nil {
		t.Error("an input was replaced by nothing")
	}
	b.done("tell")
	if err := b.m.Resolvable(&b.s, journal.VerbRetry, "tell", nil); err == nil {
		t.Error("an ended saga was acted on")
	}
}

func TestJournalOfAnotherDefinitionIsRefused(t *testing.T) {
	b := newBench(t, participant.L2)
	for _, e := range []journal.Event{
		{Seq: b.s.Seq + 1, Kind: journal.StepDone, Step: "nobody"},
		{Seq: b.s.Seq + 1, Kind: journal.StepDone},
		{Seq: b.s.Seq + 2, Kind: journal.StepDone, Step: "look"},
	} {
		if _, err := b.m.Apply(&b.s, &e, nil); err == nil {
			t.Errorf("applied %+v", e)
		}
	}
}

func (b *bench) hear(step string, a machine.Answer) {
	b.t.Helper()
	a.Step, _ = b.m.Plan.Index(step)
	a.Compensation = b.s.Phase == machine.Compensating
	if a.Now.IsZero() {
		a.Now = at(0)
	}
	b.do(b.m.Answered(&b.s, a, nil)...)
}

func TestInputThatCannotBeMadeIsARefusalOnlyIfNoCallWasMade(t *testing.T) {
	unmapped := machine.Answer{Unmapped: true}
	for _, tt := range []struct {
		step  string
		tried bool
		want  []string
	}{
		{"look", false, []string{"step refused look skald.mapping", "saga compensating look skald.mapping", "saga compensated", "announce"}},
		{"look", true, []string{"step failed look skald.mapping", "saga compensating look skald.mapping", "saga compensated", "announce"}},
		{"hold", false, []string{"step refused hold skald.mapping"}},
		{"hold", true, []string{"step failed hold skald.mapping"}},
		{"sign", false, []string{
			"step refused sign skald.mapping", "saga compensating sign skald.mapping", "compensation asked hold", "compensation asked take",
			"compensate hold#1 after 10", "compensate take#1 after 10",
		}},
		{"sign", true, []string{"step retrying sign skald.mapping", "incident opened sign skald.mapping"}},
		{"tell", false, []string{"step retrying tell skald.mapping", "incident opened tell skald.mapping"}},
	} {
		t.Run(fmt.Sprint(tt.step, " tried ", tt.tried), func(t *testing.T) {
			b := newBench(t, participant.L2)
			b.done(map[string][]string{"hold": {"look"}, "sign": {"look", "hold", "take"}, "tell": {"look", "hold", "take", "sign"}}[tt.step]...)
			if tt.tried {
				b.answer(tt.step, isUnknown)
				b.do(b.m.Due(&b.s, at(time.Second), nil)...)
				b.said = nil
			}
			b.hear(tt.step, unmapped)
			b.wants(tt.want...)
		})
	}
}

func TestCallThatWasNotMadeSaysNothingAboutTheEffect(t *testing.T) {
	notAsked := machine.Answer{Answer: participant.Answer{NotAsked: true}}
	b := newBench(t, participant.L0)
	b.done("look")
	b.hear("hold", notAsked)
	b.wants("step retrying hold skald.not_asked")
	b.do(b.m.Due(&b.s, at(time.Second), nil)...)
	b.said = nil
	b.hear("hold", notAsked)
	b.wants("step refused hold skald.retries_exhausted") // and so nothing to undo
	b.answer("take", isDone)
	b.wants("step done take", "saga compensating hold skald.retries_exhausted", "compensation asked take", "compensate take#1 after 10")

	b = newBench(t, participant.L0)
	b.done("look")
	b.answer("take", isRefused)
	b.said = nil
	b.hear("hold", notAsked)
	b.wants("step skipped hold skald.abandoned", "saga compensating take No", "saga compensated", "announce")
}

func TestWorkingParticipantIsNotGivenUp(t *testing.T) {
	b := newBench(t, participant.L2)
	for range 9 {
		b.hear("look", machine.Answer{Answer: participant.Answer{Working: true, RetryAfter: time.Second}})
		b.wants("step retrying look")
		b.do(b.m.Due(&b.s, at(2*time.Second), nil)...)
		b.wants("call look#1 after 1")
	}
	b.do(b.m.Due(&b.s, at(time.Minute), nil)...)
	b.wants("deadline expired look", "step failed look skald.deadline")
}

// Where the definition says so, attempts that are used up begin anew after a pause, paced like the first ones, until the budget is used up too.
func TestAttemptsBeginAnewAsTheRemedySays(t *testing.T) {
	b := newBench(t, participant.L2)
	b.m.Plan.Remedies = []plan.Remedy{{Reason: "NoneFree", Does: plan.Replay, Budget: 2, Pause: 30 * time.Second}}
	b.done("look")
	per := b.m.Plan.Steps[1].Retry.Attempts
	noneFree := machine.Answer{Answer: participant.Answer{Reason: "NoneFree"}}
	for attempt := 1; attempt < 3*per; attempt++ {
		before := b.s
		b.hear("hold", noneFree)
		b.wants("step retrying hold NoneFree")
		pause := time.Duration(0)
		if attempt%per == 0 {
			pause = 30 * time.Second
		}
		early := b.m.Due(&b.s, at(29*time.Second), nil)
		if late := len(early) == 0; late != (pause > 0) {
			t.Fatalf("attempt %d: waits for the remedy's pause: %t (before %+v)", attempt, late, before.Steps[1])
		}
		if pause > 0 {
			early = b.m.Due(&b.s, at(31*time.Second), nil)
		}
		b.do(early...)
		b.said = nil
	}
	b.hear("hold", noneFree)
	b.wants("step failed hold NoneFree", "incident closed hold") // it had been without progress for long
}

func TestARefusalBeyondThePivotIsGoneOnFromAsTheRemedySays(t *testing.T) {
	b := newBench(t, participant.L2)
	b.m.Plan.Remedies = []plan.Remedy{{Reason: "No", Does: plan.GoOn}}
	b.done("look", "hold", "take", "sign")
	b.answer("tell", isRefused)
	b.wants("incident resolved tell No", "step skipped tell No", "saga completed", "announce")
}

func TestRecoveryAtL1CompensatesOnlyWhatWasAsked(t *testing.T) {
	b := newBench(t, participant.L1)
	b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered}})
	b.said = nil
	b.answer("look", isRefused)
	b.wants("step refused look No", "saga compensating look No", "saga compensated", "announce")
}

// A coordinator may have called the step and lost the record of that: although this one never does, a step whose time passes may have taken effect.
func TestStepThatMayHaveBeenCalledBeforeACrashFailsWhenItsTimePasses(t *testing.T) {
	expires := func(recovers bool) *bench {
		b := newBench(t, participant.L2)
		if recovers {
			b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered}})
		}
		b.done("look", "hold")
		b.hear("take", machine.Answer{Answer: participant.Answer{NotAsked: true}})
		b.said = nil
		b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.DeadlineExpired, Step: "take"}})
		return b
	}
	expires(false).wants("deadline expired take", "step refused take skald.deadline", "saga compensating take skald.deadline", "compensation asked hold", "compensate hold#1 after 10")
	expires(true).wants("deadline expired take", "step failed take skald.deadline", "saga compensating take skald.deadline", "compensation asked hold", "compensation asked take",
		"compensate hold#1 after 11", "compensate take#1 after 11")
}

func TestReplacedInputIsUsedAsSoonAsTheCallUnderWayEnds(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold", "take", "sign")
	b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.IncidentResolved, Step: "tell", Verb: journal.VerbReplace, Payload: []byte(`2`)}})
	b.wants("incident resolved tell")
	b.answer("tell", isRefused)
	b.wants("step retrying tell No")
	b.do(b.m.Due(&b.s, at(0), nil)...)
	b.wants("call tell#2 after 11") // the decision is durable first
}

func TestWhatFollowsAnOperatorsDecisionWaitsForIt(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold", "take", "sign")
	b.answer("tell", isRefused)
	b.said = nil
	b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.IncidentResolved, Step: "tell", Verb: journal.VerbRetry}})
	b.wants("incident resolved tell", "call tell#2 after 13")
}

func TestPausesAreSpreadAndNeverUndercutWhatWasAskedFor(t *testing.T) {
	p := func(a machine.Answer, jitter float64) time.Duration {
		b := newBench(t, participant.L2)
		for i := range b.m.Plan.Steps {
			b.m.Plan.Steps[i].Retry.Jitter = 0.5
		}
		a.Jitter = jitter
		b.hear("look", a)
		return time.Duration(b.s.Steps[0].Next-origin) * time.Microsecond
	}
	late := machine.Answer{Answer: participant.Answer{RetryAfter: 20 * time.Second}}
	for _, tt := range []struct {
		a      machine.Answer
		jitter float64
		want   time.Duration
	}{
		{machine.Answer{}, 0, time.Second}, {machine.Answer{}, 1, 1500 * time.Millisecond}, {machine.Answer{}, -1, 500 * time.Millisecond},
		{late, 0, 20 * time.Second}, {late, 1, 30 * time.Second}, {late, -1, 30 * time.Second},
		{machine.Answer{Answer: participant.Answer{RetryAfter: time.Hour}}, 0, plan.MaxBackoff},
	} {
		if got := p(tt.a, tt.jitter); got != tt.want {
			t.Errorf("retry after %s, jitter %g: %s, want %s", tt.a.RetryAfter, tt.jitter, got, tt.want)
		}
	}
}

func TestLongRetriesAreThinnedInTheJournal(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold", "take", "sign")
	recorded := 0
	for range 1000 {
		b.answer("tell", isUnknown)
		recorded += len(b.said)
		b.said = nil
		b.do(b.m.Due(&b.s, time.UnixMicro(b.s.Steps[4].Next), nil)...)
		for _, said := range b.said {
			if !strings.HasPrefix(said, "call") {
				recorded++
			}
		}
		b.said = nil
	}
	if recorded < 180 || recorded > 200 || b.s.Steps[4].Attempt != 1001 {
		t.Errorf("%d events for 1,000 attempts; the next is %d", recorded, b.s.Steps[4].Attempt)
	}
}

func TestSecondAnswerToAFinishedCompensationChangesNothing(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold")
	b.answer("take", isRefused)
	b.answer("hold", isDone)
	b.said = nil
	hold, _ := b.m.Plan.Index("hold")
	b.do(b.m.Answered(&b.s, machine.Answer{Step: hold, Answer: isRefused, Compensation: true}, nil)...)
	b.wants()
}

func TestStepWhoseResultIsReadCannotBeSkipped(t *testing.T) {
	b := newBench(t, participant.L2)
	p := *b.m.Plan
	p.Steps = append([]plan.Step(nil), p.Steps...)
	p.Steps[4].Reads = []int{4} // as if a later step read it
	b.m = machine.New(&p, make([]participant.Level, len(p.Steps)))
	b.done("look", "hold", "take", "sign")
	if err := b.m.Resolvable(&b.s, journal.VerbSkip, "tell", nil); err == nil {
		t.Error("skipped")
	}
	if err := b.m.Resolvable(&b.s, journal.VerbDone, "tell", []byte(`1`)); err != nil {
		t.Error(err)
	}
}
