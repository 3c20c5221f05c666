package machine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

const (
	telling = 4        // the index of step tell
	roomy   = 9 * 1000 // from here on attempts are no longer recorded
)

// retried is a bench whose step tell is at a late attempt, of which none is recorded that decides nothing.
func retried(t *testing.T, level participant.Level) map[string]*bench {
	t.Helper()
	all := map[string]*bench{"after many attempts": newBench(t, level), "in a long journal": newBench(t, level)}
	for _, b := range all {
		b.done("look", "hold", "take", "sign")
	}
	all["after many attempts"].s.Steps[telling].Attempt = 101
	all["in a long journal"].s.Seq = roomy + 1
	return all
}

func TestAttemptsThatAreNotRecordedGoOn(t *testing.T) {
	for name, b := range retried(t, participant.L2) {
		attempt := b.s.Steps[telling].Attempt
		b.answer("tell", isUnknown)
		b.wants()
		if got := b.s.Steps[telling].Attempt; got != attempt+1 {
			t.Errorf("%s: attempt %d, want %d", name, got, attempt+1)
		}
		if w := b.m.Wake(&b.s); w.IsZero() || w.After(at(10*time.Second)) {
			t.Errorf("%s: wakes at %s", name, w.Sub(at(0)))
		}
	}
}

// What opens an incident is recorded however many attempts there were, with the attempt that it came of.
func TestAnIncidentIsRecordedWhereAttemptsAreNot(t *testing.T) {
	for name, b := range retried(t, participant.L2) {
		b.answer("tell", isRefused)
		b.wants("step retrying tell No", "incident opened tell No")
		if b.s.Steps[telling].Incident != "No" {
			t.Errorf("%s: incident %q", name, b.s.Steps[telling].Incident)
		}
		b.answer("tell", isRefused) // the next attempt: the same incident, which is open already
		b.wants()
	}
}

// A step that is held until an operator decides says so in the journal: whoever reads that must not ask again.
func TestAHeldStepIsRecordedWhereAttemptsAreNot(t *testing.T) {
	for name, b := range retried(t, participant.L0) {
		b.s.Steps[telling].Incident = machine.ReasonUnknown // open already, so that holding alone has to be recorded
		b.answer("tell", isUnknown)
		b.wants("step retrying tell")
		if !b.s.Steps[telling].Held {
			t.Errorf("%s: it is not held", name)
		}
	}
}

// Years of retries leave room for what decides.
func TestF25_JournalOfAStepThatIsAskedForEverIsNeverFull(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold", "take", "sign")
	for range 110_000 { // of which one in ten would be more than there is room for
		b.answer("tell", isUnknown)
		b.do(b.m.Due(&b.s, at(15*time.Second), nil)...)
		b.said = b.said[:0]
	}
	if got := b.s.Steps[telling].Attempt; got != 110_001 {
		t.Errorf("attempt %d", got)
	}
	if b.s.Seq > roomy+1 {
		t.Errorf("its journal has %d events, of which there may be %d", b.s.Seq, journal.MaxEvents)
	}
	b.answer("tell", isDone)
	b.wants("step done tell", "saga completed", "announce")
}

// A participant that has a new reason each time fills no journal either, and the step's incident stays open until it is done. Such reasons are those of a retriable step, of a compensation, and of results that are not known.
func TestF25_JournalOfAStepWithANewReasonEachTimeIsNeverFull(t *testing.T) {
	tests := map[string]struct {
		step  string
		class participant.Class
		ends  []string
	}{
		"a retriable step that is refused":  {"tell", participant.Refused, []string{"step done tell", "incident closed tell", "saga completed", "announce"}},
		"a compensation that is refused":    {"hold", participant.Refused, []string{"compensation done hold", "incident closed hold", "saga compensated", "announce"}},
		"a step whose result is not known":  {"tell", participant.Unknown, []string{"step done tell", "incident closed tell", "saga completed", "announce"}},
		"a compensation that is not heard":  {"hold", participant.Unknown, []string{"compensation done hold", "incident closed hold", "saga compensated", "announce"}},
		"a pivot whose result is not known": {"sign", participant.Unknown, []string{"step done sign", "incident closed sign", "step asked tell", "call tell#1 after 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, participant.L2)
			b.done("look", "hold", "take")
			switch tt.step {
			case "tell":
				b.done("sign")
			case "hold":
				b.answer("sign", isRefused)
				b.done("take")
			}
			later := at(plan.MaxBackoff)
			b.do(b.m.Due(&b.s, later, nil)...) // its own deadline has passed, by then
			i, _ := b.m.Plan.Index(tt.step)
			for n := range 2 * journal.MaxEvents {
				b.answer(tt.step, participant.Answer{Class: tt.class, Reason: fmt.Sprintf("No%d", n)})
				if w := b.m.Wake(&b.s); w.IsZero() || w.After(later) {
					t.Fatalf("after %d answers it wakes at %s", n+1, w)
				}
				b.said = nil
				b.do(b.m.Due(&b.s, later, nil)...)
				if again := fmt.Sprintf(" %s#%d ", tt.step, n+2); !strings.Contains(strings.Join(b.said, "\n"), again) {
					t.Fatalf("after %d answers it is not asked again: %q", n+1, b.said)
				}
			}
			if b.s.Seq > roomy+2 {
				t.Errorf("its journal has %d events, of which there may be %d", b.s.Seq, journal.MaxEvents)
			}
			if step, reason := b.s.Incident(); step != i || reason == "" {
				t.Errorf("the incident is %q of step %d", reason, step)
			}
			b.said = nil
			b.answer(tt.step, isDone)
			b.wants(tt.ends...)
		})
	}
}
