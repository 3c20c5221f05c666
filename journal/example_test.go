package journal_test

import (
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
)

// A journal is records one after another, each with the chain's next value. Reading it checks them, and a view says what they mean.
func Example() {
	const id = journal.SagaID("order-1017")
	at := time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)
	events := []journal.Event{
		{Seq: 1, Time: at, Kind: journal.SagaStarted, Definition: "commande", Mode: journal.Orchestrated},
		{Seq: 2, Time: at, Kind: journal.StepAsked, Step: "paiement.charge", Attempt: 1},
		{Seq: 3, Time: at, Kind: journal.StepRefused, Step: "paiement.charge", Reason: "PaiementCancel.CardDeclined"},
	}
	var data []byte
	chain := journal.FirstChain(id)
	for i := range events {
		data, chain = journal.Append(data, chain, &events[i])
	}

	var view journal.View
	_, _, err := journal.Decode(data, journal.FirstChain(id), 0, func(e journal.Event) error {
		fmt.Println(e.Seq, e.Kind)
		view.Apply(&e)
		return nil
	})
	fmt.Println(err, view.Step("paiement.charge").State, view.Step("paiement.charge").Reason)

	data[20] ^= 1
	_, _, err = journal.Decode(data, journal.FirstChain(id), 0, func(journal.Event) error { return nil })
	fmt.Println(err != nil)
	// Output:
	// 1 saga started
	// 2 step asked
	// 3 step refused
	// <nil> refused PaiementCancel.CardDeclined
	// true
}
