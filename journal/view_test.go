package journal

import (
	"slices"
	"testing"
	"time"
)

// viewOf applies events to an empty view.
func viewOf(all ...Event) *View {
	var v View
	for _, e := range dated(all) {
		v.Apply(&e)
	}
	return &v
}

// failing is a saga that turns back at its second step and asks for its first to be undone.
func failing() []Event {
	return []Event{
		{Kind: SagaStarted, Definition: "commande"},
		{Kind: StepAsked, Step: "reserver", Attempt: 1},
		{Kind: StepDone, Step: "reserver", Attempt: 1},
		{Kind: SagaCompensating, Step: "payer", Reason: "PaymentFail.Declined"},
		{Kind: CompensationAsked, Step: "reserver", Attempt: 1},
		{Kind: CompensationRetrying, Step: "reserver", Attempt: 2, Reason: "unavailable", Detail: "503"},
	}
}

func TestF03_ViewTellsContradictionsApartFromWhatKeepsASagaFromItsEnd(t *testing.T) {
	stuck := Event{Kind: IncidentOpened, Step: "reserver", Reason: "skald.no_progress"}
	contradicted := Event{Kind: IncidentOpened, Step: "reserver", Reason: ReasonContradiction}
	seen := Event{Kind: IncidentResolved, Step: "reserver", Verb: VerbSeen, By: "amina"}
	for name, c := range map[string]struct {
		then []Event
		open []string
	}{
		"one of each":           {[]Event{contradicted, stuck}, []string{ReasonContradiction, "skald.no_progress"}},
		"the same again":        {[]Event{contradicted, contradicted}, []string{ReasonContradiction}},
		"closed by itself":      {[]Event{contradicted, stuck, {Kind: IncidentClosed, Step: "reserver"}}, []string{ReasonContradiction}},
		"decided by hand":       {[]Event{contradicted, stuck, {Kind: IncidentResolved, Step: "reserver", Verb: VerbDone}}, []string{ReasonContradiction}},
		"seen":                  {[]Event{contradicted, stuck, seen}, []string{"skald.no_progress"}},
		"seen after the end":    {[]Event{{Kind: CompensationDone, Step: "reserver"}, {Kind: SagaCompensated}, contradicted, seen}, nil},
		"another step was seen": {[]Event{contradicted, {Kind: IncidentResolved, Step: "payer", Verb: VerbSeen}}, []string{ReasonContradiction}},
	} {
		t.Run(name, func(t *testing.T) {
			var open []string
			for _, in := range viewOf(append(failing(), c.then...)...).Incidents {
				open = append(open, in.Reason)
			}
			if !slices.Equal(open, c.open) {
				t.Errorf("open: %q, want %q", open, c.open)
			}
		})
	}
}

func TestF03_ViewKeepsHowAStepWasDecidedAndWhatCameLater(t *testing.T) {
	v := viewOf(append(failing(), Event{Kind: CompensationDone, Step: "reserver", Verb: VerbDone, By: "amina"}, Event{Kind: SagaCompensated},
		Event{Kind: StepAnsweredLate, Step: "reserver", Reason: "Full"}, Event{Kind: StepAnsweredLate, Step: "payer"})...)
	for _, want := range []Decision{{"reserver", StepStateDone, 3, LateRefused}, {"payer", "", 0, LateDone}} {
		if got := v.Decision(want.Step); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if s := v.Step("reserver"); s.State != StepStateUndone || v.Step("payer") != nil {
		t.Errorf("%+v", v.Steps)
	}
	if v.Outcome != SagaCompensated || v.Ended.After(v.Updated) {
		t.Errorf("%+v", v)
	}
}

func TestViewTellsWhatAnOperatorEnded(t *testing.T) {
	for name, c := range map[string]struct {
		last   Event
		state  StepState
		undone bool
	}{
		"undone by its participant":    {Event{Kind: CompensationDone}, StepStateUndone, true},
		"undone by hand":               {Event{Kind: CompensationDone, Verb: VerbDone, By: "amina", Detail: "by telephone"}, StepStateUndone, true},
		"left as it is":                {Event{Kind: CompensationDone, Verb: VerbSkip, By: "amina", Detail: "sold meanwhile"}, StepStateLeft, false},
		"given up before it was asked": {Event{Kind: StepSkipped, Verb: VerbSkip, By: "amina", Detail: "told by telephone"}, StepStateSkipped, false},
		"done by hand":                 {Event{Kind: StepDone, Verb: VerbDone, By: "amina", Detail: "handed over"}, StepStateDone, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.last.Step = "reserver"
			s := viewOf(append(failing(), c.last)...).Step("reserver")
			if s.State != c.state || s.Undone.IsZero() == c.undone || !s.Next.Equal(time.Time{}) {
				t.Errorf("%+v, want %s", s, c.state)
			}
			if s.By != c.last.By || s.ByHand != (c.last.By != "") {
				t.Errorf("ended by %q, by hand %t; want %q", s.By, s.ByHand, c.last.By)
			}
			if c.last.By != "" && (s.Detail != c.last.Detail || s.Reason != "") {
				t.Errorf("because of %q, %q; want the operator's words", s.Reason, s.Detail)
			}
		})
	}
}

// A step that was asked for with another input shows the last one that was given, also when it waits for help again.
func TestViewHasTheInputThatAnOperatorGave(t *testing.T) {
	stuck := Event{Kind: IncidentOpened, Step: "payer", Reason: "PaymentFail.Down"}
	replaced := func(by string) Event {
		return Event{Kind: IncidentResolved, Step: "payer", Verb: VerbReplace, By: "amina", Payload: []byte(by)}
	}
	v := viewOf(stuck, replaced(`"first"`), stuck, replaced(`"second"`), stuck, Event{Kind: IncidentResolved, Step: "payer", Verb: VerbRetry})
	if given := string(v.Step("payer").Given); given != `"second"` {
		t.Errorf("the input that was given is %s", given)
	}
}
