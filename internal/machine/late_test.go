package machine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

var (
	isDoneAgain   = participant.Answer{Class: participant.Done, Result: []byte(`2`)}
	isCompensated = participant.Answer{Class: participant.Refused, Reason: participant.ReasonCompensated}
)

// says hears an answer to an action, whatever phase the saga is in, outside of its call.
func (b *bench) says(step string, a participant.Answer) {
	b.t.Helper()
	i, _ := b.m.Plan.Index(step)
	b.do(b.m.Late(&b.s, machine.Answer{Step: i, Answer: a}, nil)...)
}

// byHand is an operator's act.
func (b *bench) byHand(step string, verb journal.Verb) {
	b.t.Helper()
	b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.IncidentResolved, Step: step, Verb: verb, By: "ann", Detail: "by telephone"}})
	b.said = nil
}

// What a late answer leads to, for all that may be recorded of its step. The same answer once more leads to nothing.
func TestF03_EveryLateAnswerIsARepeatEvidenceOrAContradiction(t *testing.T) {
	completed := func(b *bench) { b.done("look", "hold", "take", "sign", "tell") }
	turned := func(b *bench) { // hold was done and is undone, take was refused
		b.done("look", "hold")
		b.answer("take", isRefused)
		b.answer("hold", isDone)
	}
	const evidence, incident = "step answered late ", "incident opened "
	contradicts := func(step, reason string) []string {
		return []string{strings.TrimSpace(evidence + step + " " + reason), incident + step + " skald.contradiction"}
	}
	for _, tt := range []struct {
		name   string
		before func(*bench)
		step   string
		answer participant.Answer
		want   []string
	}{
		{"done, again", completed, "hold", isDone, nil},
		{"done, and unknown", completed, "hold", isUnknown, nil},
		{"done, and refused", completed, "hold", isRefused, contradicts("hold", "No")},
		{"done, and another result", completed, "hold", isDoneAgain, contradicts("hold", "")},
		{"done, and compensated by nobody", completed, "hold", isCompensated, contradicts("hold", "skald.compensated")},
		{"done, and an input in dispute", completed, "hold", conflicts, nil},
		{"pivot done, and refused", completed, "sign", isRefused, contradicts("sign", "No")},
		{"retriable done, and an earlier refusal", completed, "tell", isRefused, nil},
		{"retriable done, and another result", completed, "tell", isDoneAgain, contradicts("tell", "")},
		{"readonly done, and refused", completed, "look", isRefused, nil},
		{"readonly done, and another result", completed, "look", isDoneAgain, nil},
		{"undone, and a late copy of the call", turned, "hold", isCompensated, nil},
		{"undone, and done once more", turned, "hold", isDone, nil},
		{"undone, and never done", turned, "hold", isRefused, contradicts("hold", "No")},
		{"undone, and another result", turned, "hold", isDoneAgain, contradicts("hold", "")},
		{"refused, again", turned, "take", isRefused, nil},
		{"refused, and done", turned, "take", isDone, contradicts("take", "")},
		{"never asked, and done", turned, "sign", isDone, contradicts("sign", "")},
		{"never asked, and refused", turned, "sign", isRefused, nil},
		{"done by hand, and done", func(b *bench) { b.done("look", "hold", "take"); b.byHand("sign", journal.VerbDone) }, "sign", isDone, contradicts("sign", "")},
		{"done by hand, and refused", func(b *bench) { b.done("look", "hold", "take"); b.byHand("sign", journal.VerbDone) }, "sign", isRefused, []string{"step answered late sign No"}},
		{"given up by hand, and done", func(b *bench) { b.done("look", "hold", "take", "sign"); b.byHand("tell", journal.VerbSkip) }, "tell", isDone, []string{"step answered late tell"}},
		{"still asked", func(b *bench) { b.done("look") }, "hold", isDone, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, participant.L2)
			tt.before(b)
			b.said = nil
			phase := b.s.Phase
			b.says(tt.step, tt.answer)
			b.wants(tt.want...)
			b.says(tt.step, tt.answer)
			b.wants()
			if b.s.Phase != phase {
				t.Errorf("it was in phase %d and is in %d", phase, b.s.Phase)
			}
		})
	}
}

func TestF03_OneIncidentIsOpenWhateverElseContradicts(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold", "take", "sign", "tell")
	b.says("hold", isRefused)
	b.said = nil
	b.says("hold", isDoneAgain)
	b.wants("step answered late hold")
}

func TestF03_AContradictionWaitsForAPersonAndForNothingElse(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold")
	b.says("hold", isRefused)
	b.said = nil
	b.answer("take", isRefused)
	b.wants("step refused take No", "saga compensating take No", "compensation asked hold", "compensate hold#1 after 10")
	b.answer("hold", isRefused)
	b.wants("compensation retrying hold No", "incident opened hold No") // beside it
	if i, reason := b.s.Incident(); i != 1 || reason != "No" {
		t.Errorf("what keeps it from ending comes first; it is %d %s", i, reason)
	}
	b.do(b.m.Due(&b.s, at(10*60*1e9), nil)...)
	b.said = nil
	b.answer("hold", isDone)
	b.wants("compensation done hold", "incident closed hold", "saga compensated", "announce")
	if _, reason := b.s.Incident(); reason != journal.ReasonContradiction {
		t.Errorf("open after the end: %q", reason)
	}
	b.byHand("hold", journal.VerbSeen)
	if _, reason := b.s.Incident(); reason != "" || b.s.Phase != machine.Compensated {
		t.Errorf("seen, and %q is open", reason)
	}
}

func TestF03_SeenIsForContradictionsAlone(t *testing.T) {
	b := newBench(t, participant.L2)
	b.done("look", "hold")
	wants := func(verb journal.Verb, step, words string) {
		t.Helper()
		switch err := b.m.Resolvable(&b.s, verb, step, []byte(`1`)); {
		case words == "" && err != nil, words != "" && !errors.Is(err, machine.ErrVerb), words != "" && !strings.Contains(err.Error(), words):
			t.Errorf("%s %s: %v, want %q", verb, step, err, words)
		}
	}
	wants(journal.VerbSeen, "take", "no answer to step take contradicts what is recorded")
	wants(journal.VerbSeen, "", "name the step")
	wants(journal.VerbRetry, "hold", "waits for nothing")
	b.says("hold", isRefused)
	for _, verb := range []journal.Verb{journal.VerbRetry, journal.VerbReplace, journal.VerbSkip, journal.VerbDone} {
		wants(verb, "hold", "then say seen")
	}
	wants(journal.VerbSeen, "hold", "")
	b.done("take", "sign", "tell")
	wants(journal.VerbSeen, "hold", "")
	if err := b.m.Resolvable(&b.s, journal.VerbDone, "hold", nil); !errors.Is(err, machine.ErrEnded) {
		t.Errorf("done after the end: %v", err)
	}
}

// What is known from a journal alone leads to the same as what a coordinator has in memory.
func TestF03_AJournalSaysTheSameAsACoordinatorKnows(t *testing.T) {
	answers := []participant.Answer{isDone, isDoneAgain, isRefused, isCompensated, conflicts, isUnknown}
	for _, refuses := range []string{"", "hold", "take", "sign"} {
		b := newBench(t, participant.L2)
		var v journal.View
		b.seen = v.Apply
		b.do(machine.Command{Do: machine.Record, Event: journal.Event{Kind: journal.SagaRecovered}})
		for _, step := range []string{"look", "hold", "take", "sign", "tell", "take", "hold"} {
			i, _ := b.m.Plan.Index(step)
			switch {
			case !b.s.Flying.Has(i): // it is not asked
			case step == refuses && b.s.Phase == machine.Running:
				b.answer(step, isRefused)
			default:
				b.answer(step, isDone)
			}
		}
		for i := range b.m.Plan.Steps {
			step := &b.m.Plan.Steps[i]
			for _, a := range answers {
				past := machine.PastOf(step.Kind, &v, step.Name)
				fromJournal := past.Against(step.Name, machine.Answer{Answer: a})
				var known []journal.Event
				for _, c := range b.m.Late(&b.s, machine.Answer{Step: i, Answer: a}, nil) {
					known = append(known, c.Event)
				}
				same := func(x, y journal.Event) bool { return x.Kind == y.Kind && x.Reason == y.Reason }
				if !slices.EqualFunc(fromJournal, known, same) {
					t.Errorf("%s refuses, %s says %s %s: %v from the journal, %v in memory", refuses, step.Name, a.Class, a.Reason, fromJournal, known)
				}
			}
		}
	}
}
