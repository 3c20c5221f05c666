package machine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
		if name == "sign" {
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
	if diff := cmp.Diff(want, b.said); diff != "" {
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
		{"look", l2, isDone, []string{"step done look", "step asked hold", "step asked take", "call hold#1 after 1", "call take#1 after 1"}},
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
	b.done("look", "hold")
	b.answer("take", isDone)
	b.wants("step done take", "step asked sign", "call sign#1 after 8") // the pivot's own intent, which comes after the answer it reads
}

func TestStrictStepsWaitForTheirIntent(t *testing.T) {
	b := newBench(t, participant.L2)
	p := *b.m.Plan
	p.Durability = plan.Strict
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
		{participant.L2, []string{"look"}, []string{"saga recovered", "call hold#1 after 1", "call take#1 after 1"}},
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
