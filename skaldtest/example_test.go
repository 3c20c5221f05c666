package skaldtest_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/skaldtest"
)

type (
	Trip    struct{ City string }
	Booking struct{ Number int }
	Receipt struct{ Total int }
)

var (
	BookRoom = skald.Compensatable[Trip, Booking]("hotel.book", "hotel.cancel")
	Charge   = skald.Compensatable[Booking, Receipt]("bank.charge", "bank.refund")
	Confirm  = skald.Pivot[Receipt, struct{}]("hotel.confirm")
)

func holiday() (*skald.Saga[Trip], error) {
	s := skald.Define[Trip]("holiday")
	room := skald.Step(s, BookRoom, skald.From(func(t Trip) Trip { return t }))
	paid := skald.Step(s, Charge, skald.From1(room, func(_ Trip, b Booking) Booking { return b }))
	skald.Step(s, Confirm, skald.From1(paid, func(_ Trip, r Receipt) Receipt { return r }))
	return s.Build()
}

// bank is a participant that says it has a barrier, and has none: who asks twice pays twice.
type bank map[journal.SagaID]int

func (b bank) Invoke(_ context.Context, c participant.Call) participant.Answer {
	if c.Phase == participant.Action {
		b[c.Saga]++
	} else {
		b[c.Saga] = 0
	}
	return participant.Answer{Class: participant.Done, Result: []byte(`{"Total":120}`)}
}

func newBank() skaldtest.Participant {
	b := bank{}
	return skaldtest.Participant{Invoker: b, Level: participant.L2, Effects: func(saga journal.SagaID, _ string) int { return b[saga] }}
}

// The explorer runs the saga with every fault it knows. The hotel is modelled, as nothing is said about it; the bank is the real one, and charges
// twice when an answer is lost.
func ExampleExplore() {
	saga, err := holiday()
	if err != nil {
		fmt.Println(err)
		return
	}
	t := &printer{} // in a test of yours: t
	skaldtest.Explore(t, saga, skaldtest.Participants{"bank": newBank}, skaldtest.Inputs(Trip{City: "Bergen"}))
	// Output:
	// saga holiday: saga s0: step bank.charge took effect 2 times: a repeated call must get the stored answer
}

// printer prints the first line of what goes wrong. An example has no *testing.T.
type printer struct{}

func (*printer) Helper()             {}
func (*printer) Logf(string, ...any) {}
func (*printer) Errorf(format string, args ...any) {
	first, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	fmt.Println(first)
}
