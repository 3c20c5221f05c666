package metrics_test

import (
	"testing"
	"time"

	"github.com/skaldhq/skald"
)

// order is the input of the sagas here: what each participant is to do, by operation, when it is not simply to do its work.
type order struct {
	Script map[string]string `json:"script,omitempty"`
}

// Reason codes of the orders' participants. One is returned although nobody declares it.
const (
	outOfStock  = "Stock.OutOfStock"
	declined    = "Bank.Declined"
	mailboxFull = "Mail.MailboxFull"
	undeclared  = "Bank.Moonphase"
)

var quick = skald.Retries(skald.Retry{Initial: time.Millisecond, Attempts: 2})

// defineOrder is a saga with every kind of step but a readonly one: reserve, charge, issue (the pivot), send.
func defineOrder(t testing.TB) *skald.Saga[order] {
	t.Helper()
	s := skald.Define[order]("order")
	same := skald.From(func(o order) order { return o })
	skald.Step(s, skald.Compensatable[order, order]("stock.reserve", "stock.release", skald.Reasons(outOfStock)), same, quick,
		skald.CompensationRetries(skald.Retry{Initial: time.Millisecond}))
	skald.Step(s, skald.Compensatable[order, order]("bank.charge", "bank.refund", skald.Reasons(declined)), same, quick)
	skald.Step(s, skald.Pivot[order, order]("receipt.issue"), same)
	skald.Step(s, skald.Retriable[order, order]("mail.send", skald.Reasons(mailboxFull)), same)
	return build(t, s)
}

// defineQuestion is a saga that only asks.
func defineQuestion(t testing.TB) *skald.Saga[order] {
	t.Helper()
	s := skald.Define[order]("question")
	skald.Step(s, skald.ReadOnly[order, order]("oracle.ask"), skald.From(func(o order) order { return o }), quick)
	return build(t, s)
}

func build(t testing.TB, d *skald.Definition[order]) *skald.Saga[order] {
	t.Helper()
	s, err := d.Build()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
