package plan_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// visited is a plan of two steps, the second of which picks the first one's seat, and of a third that reads the second as a whole, with what is not kept.
func visited(t *testing.T, r plan.Redaction) (*plan.Plan, []plan.Fault) {
	t.Helper()
	step := func(name string, kind participant.Kind) plan.DraftStep {
		s := plan.DraftStep{Sequence: true}
		s.Name, s.Action, s.Kind, s.Timeout, s.Input, s.Output = name, "desk."+name, kind, 1e9, "any", "any"
		s.Retry = plan.Retry{Initial: 1e6, Factor: 2, Cap: 1e9}
		s.Undo = s.Retry
		s.Map = func(input []byte, _ [][]byte) ([]byte, error) { return input, nil }
		return s
	}
	d := plan.Draft{Name: "visit", Input: "any", IncidentAfter: 1e9, Steps: []plan.DraftStep{step("take", participant.Pivot), step("print", participant.Retriable), step("send", participant.Retriable)}}
	d.Steps[1].ReadsOf, d.Steps[1].PicksOf = []string{"take"}, map[string][][]string{"take": {{"seat", "number"}}}
	d.Steps[2].ReadsOf = []string{"print"}
	p, err := plan.Build(d)
	if err != nil {
		t.Fatal(err)
	}
	return p.Redacted(r)
}

// What is named is found wherever a participant would find it, and the same payload gives the same text.
func TestWhatIsNotKeptIsFoundAsDecodersFindIt(t *testing.T) {
	p, faults := visited(t, plan.Redaction{Input: []string{"/card/cvv", "/guests/*/birthday", "/a~1b", "/nowhere/at/all"}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for payload, want := range map[string]string{
		` {"n":1.50,"card":{"cvv":"4711","last":"<0042>"}}`:                             `{"card":{"cvv":"[redacted]","last":"<0042>"},"n":1.50}`,
		`{"guests":[{"name":"ada","birthday":"4711"},"no object",{"birthday":[4711]}]}`: `{"guests":[{"birthday":"[redacted]","name":"ada"},"no object",{"birthday":"[redacted]"}]}`,
		`{"guests":{"ada":{"birthday":4711}},"a/b":{"x":4711}}`:                         `{"a/b":"[redacted]","guests":{"ada":{"birthday":"[redacted]"}}}`,
		`{"CARD":[{"cvv":"4711"},[{"Cvv":4711}]],"card":{"c\u0076v":"4711"}}`:           `{"CARD":[{"cvv":"[redacted]"},[{"Cvv":"[redacted]"}]],"card":{"cvv":"[redacted]"}}`,
		`{"card":{"cvv":"4711"},"card":{"cvv":"4711"}}`:                                 `{"card":{"cvv":"[redacted]"}}`,
		`{"card":"4712","guests":7}`:                                                    `{"card":"4712","guests":7}`,
		`null`:                                                                          `null`,
		``:                                                                              ``,
		`{"card":4711`:                                                                  `"[redacted]"`, // nobody can look into it
		strings.Repeat(`{"x":`, 65) + `4711` + strings.Repeat(`}`, 65):                    `"[redacted]"`,
		`{"guests":[` + strings.Repeat(`{"birthday":1},`, 60_000) + `{"birthday":4711}]}`: `"[redacted]"`, // it would be larger than what can be kept
	} {
		got := p.KeptInput([]byte(payload))
		if string(got) != want || bytes.Contains(got, []byte("4711")) {
			t.Errorf("of %.80s is kept %.200s, want %.200s", payload, got, want)
		}
		if again := p.KeptInput(got); !bytes.Equal(again, got) {
			t.Errorf("of what is kept is kept %.200s", again)
		}
	}
}

// What a later step is made of has to be kept; beside it, and of what nobody reads, anything can be left out.
func TestWhatALaterStepReadsIsKept(t *testing.T) {
	for place, reader := range map[string]string{
		"take /pin": "", "take /seat/pin": "", "send /anything": "", "send /*": "",
		"take /seat": "print", "take /seat/number": "print", "take /SEAT/Number/of": "print", "take /*/pin": "", "take /*/number": "print", "take /*": "print", "print /pin": "send",
	} {
		step, at, _ := strings.Cut(place, " ")
		_, faults := visited(t, plan.Redaction{Steps: map[string]plan.StepRedaction{step: {Result: []string{at}}}})
		switch {
		case reader == "" && len(faults) > 0:
			t.Errorf("%s: %v", place, faults)
		case reader != "" && (len(faults) != 1 || faults[0].Step != step || !strings.Contains(faults[0].Problem, "step "+reader+" is made of it")):
			t.Errorf("%s: %v", place, faults)
		}
	}
	_, faults := visited(t, plan.Redaction{Input: []string{"card"}, Steps: map[string]plan.StepRedaction{"take": {Input: []string{""}}, "gone": {Words: true}}})
	if len(faults) != 2 || !strings.Contains(faults[0].Error(), `the place "card" in its input`) || !strings.Contains(faults[1].Error(), "begin it with a slash") {
		t.Errorf("places that are none: %v", faults)
	}
}

// A plan of which some is not kept is another one of the same version; the one that it is made of stays as it is.
func TestWhatIsNotKeptIsNoneOfTheDefinitionsBusiness(t *testing.T) {
	whole, _ := visited(t, plan.Redaction{})
	p, _ := whole.Redacted(plan.Redaction{Input: []string{"/pin"}, Steps: map[string]plan.StepRedaction{"take": {Result: []string{"/pin"}, Words: true}}})
	if p.Version != whole.Version {
		t.Errorf("it has version %s instead of %s", p.Version, whole.Version)
	}
	payload := []byte(`{"pin":4711}`)
	if got := [][]byte{whole.KeptInput(payload), whole.Steps[0].KeptResult(payload)}; !bytes.Equal(got[0], payload) || !bytes.Equal(got[1], payload) {
		t.Errorf("the plan that it is made of keeps %s", got)
	}
}

func TestWhatIsTakenOfAnAnswer(t *testing.T) {
	p, faults := visited(t, plan.Redaction{Steps: map[string]plan.StepRedaction{"take": {Result: []string{"/pin"}, Words: true}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	p.Steps[0].Returns = func(payload []byte) error {
		if !bytes.HasPrefix(payload, []byte("{")) {
			return &plan.Misfit{Places: []plan.Misplaced{{Problem: "must be an object"}}}
		}
		return nil
	}
	const large = journal.MaxPayload + 1
	for _, x := range []struct {
		phase participant.Phase
		a     participant.Answer
		want  participant.Answer
	}{
		{participant.Action, participant.Answer{Class: participant.Done, Result: []byte(`{"pin":4711}`)}, participant.Answer{Class: participant.Done, Result: []byte(`{"pin":"[redacted]"}`)}},
		{participant.Action, participant.Answer{Class: participant.Done, Result: []byte(`4711`)}, participant.Answer{Detail: "the result: the payload does not fit its schema: must be an object"}},
		{participant.Action, participant.Answer{Class: participant.Done, Result: []byte(`4711,`)}, participant.Answer{Detail: "the result is not JSON"}},
		{participant.Action, participant.Answer{Class: participant.Done, Result: bytes.Repeat([]byte{'1'}, large)}, participant.Answer{Detail: "the result has 1048577 bytes; 1048576 are allowed"}},
		{participant.Action, participant.Answer{Class: participant.Refused, Reason: "NoPin", Detail: "4711"}, participant.Answer{Class: participant.Refused, Reason: "NoPin", Detail: "[redacted]"}},
		{participant.Action, participant.Answer{Class: participant.Refused, Detail: "4711"}, participant.Answer{Detail: "refused without a reason code"}},
		{participant.Action, participant.Answer{Detail: "4711"}, participant.Answer{Detail: "[redacted]"}},
		{participant.Action, participant.Answer{Result: []byte(`4711`)}, participant.Answer{}},
		{participant.Compensation, participant.Answer{Class: participant.Done, Result: []byte(`{"was":{"pin":4711}}`)}, participant.Answer{Class: participant.Done}},
		{participant.Compensation, participant.Answer{Class: participant.Refused, Reason: "Shut", Detail: "4711"}, participant.Answer{Class: participant.Refused, Reason: "Shut", Detail: "[redacted]"}},
	} {
		if diff := cmp.Diff(x.want, p.Steps[0].Taken(x.phase, x.a)); diff != "" {
			t.Errorf("%s %.60q (-want +got):\n%s", x.phase, x.a.Result, diff)
		}
	}
}

func TestWhatAnOperatorGivesIsKeptAsWhatItStandsFor(t *testing.T) {
	p, faults := visited(t, plan.Redaction{Steps: map[string]plan.StepRedaction{"take": {Input: []string{"/a"}, Result: []string{"/b"}}}})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for verb, want := range map[journal.Verb]string{journal.VerbReplace: `{"a":"[redacted]","b":2}`, journal.VerbDone: `{"a":1,"b":"[redacted]"}`, journal.VerbRetry: "", journal.VerbSkip: ""} {
		if got := p.KeptDecision("take", verb, []byte(`{"a":1,"b":2}`)); string(got) != want {
			t.Errorf("of %s is kept %s, want %s", verb, got, want)
		}
	}
	if got := p.KeptDecision("", journal.VerbRetry, []byte(`{"a":1}`)); got != nil {
		t.Errorf("a decision about no step keeps %s", got)
	}
}
