package skaldtest_test

import (
	"context"
	"fmt"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/skaldtest"
)

// What undoes a payment is bank.refund. PayWrongly was copied from where money is only reserved.
var (
	Pay        = skald.Compensatable[Trip, Receipt]("bank.pay", "bank.refund")
	PayWrongly = skald.Compensatable[Trip, Receipt]("bank.pay", "bank.release")
)

func prepaid(pay skald.Operation[Trip, Receipt]) (*skald.Saga[Trip], error) {
	s := skald.Define[Trip]("prepaid")
	paid := skald.Step(s, pay, skald.From(func(t Trip) Trip { return t }))
	skald.Step(s, Confirm, skald.From1(paid, func(_ Trip, r Receipt) Receipt { return r }))
	return s.Build()
}

// honest is a bank that does what it is asked for, once for each key, and nothing for a saga that was undone before.
type honest struct {
	paid  map[journal.SagaID]int
	heard map[string]bool
}

func (b honest) Invoke(_ context.Context, c participant.Call) participant.Answer {
	repeated := b.heard[c.Key()]
	b.heard[c.Key()] = true
	undo := c
	undo.Phase = participant.Compensation
	switch {
	case c.Phase == participant.Action && b.heard[undo.Key()]:
		return participant.Answer{Class: participant.Refused, Reason: participant.ReasonCompensated}
	case repeated:
	case c.Operation == "bank.pay":
		b.paid[c.Saga]++
	case c.Operation == "bank.refund":
		b.paid[c.Saga] = 0
	case c.Operation == "bank.release": // nothing was reserved
	}
	return participant.Answer{Class: participant.Done, Result: []byte(`{"Total":120}`)}
}

func newHonest() skaldtest.Participant {
	b := honest{map[journal.SagaID]int{}, map[string]bool{}}
	return skaldtest.Participant{Invoker: b, Level: participant.L2, Effects: func(saga journal.SagaID, _ string) int { return b.paid[saga] }}
}

// The bank is right and the saga is wrong: the compensation that it names leaves what its step did. With the right one, every promise is kept.
func ExampleExplore_saga() {
	for _, pay := range []skald.Operation[Trip, Receipt]{PayWrongly, Pay} {
		saga, err := prepaid(pay)
		if err != nil {
			fmt.Println(err)
			return
		}
		t := &printer{} // in a test of yours: t
		skaldtest.Explore(t, saga, skaldtest.Participants{"bank": newHonest}, skaldtest.Inputs(Trip{City: "Bergen"}), skaldtest.Seeds(100))
	}
	// Output:
	// saga prepaid: saga s0 is compensated, and step bank.pay took effect 1 times:
}
