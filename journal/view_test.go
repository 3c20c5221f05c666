package journal

import (
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
