package skald_test

import (
	"fmt"
	"time"

	"github.com/skaldhq/skald"
)

var (
	FindSeat   = skald.ReadOnly[SeatRequest, Seat]("seats.find")
	HoldSeat   = skald.Compensatable[Seat, Seat]("seats.hold", "seats.let", skald.Reasons("Seats.Held"))
	SendLetter = skald.Retriable[Ticket, string]("letters.send")
)

// A definition says how long everything may take, and what becomes of a step that ends with a reason.
func ExampleOnReason() {
	evening, err := patient()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range evening.Steps() {
		fmt.Println(s.Name, s.Kind)
	}
	// Output:
	// seats.find readonly
	// seats.hold compensatable
	// tickets.print pivot
	// letters.send retriable
}

func patient() (*skald.Saga[SeatRequest], error) {
	s := skald.Define[SeatRequest]("patientevening",
		skald.Deadline(30*time.Minute),      // the saga has so long until its point of no return
		skald.IncidentAfter(2*time.Minute),  // a step that must succeed is shown when it has not for so long
		skald.Revision("letters in colour"), // another version, though only the code of a mapping has changed
		skald.OnReason("Seats.Held", "somebody else is choosing", skald.Replay(3, time.Minute)))
	same := func(_ SeatRequest, seat Seat) Seat { return seat }
	found := skald.Step(s, FindSeat, skald.From(func(r SeatRequest) SeatRequest { return r }))
	held := skald.Step(s, HoldSeat, skald.From1(found, same),
		skald.Timeout(3*time.Second), // of one call
		skald.Deadline(time.Minute),  // of all its calls
		skald.Retries(skald.Retry{Initial: 200 * time.Millisecond, Attempts: 4}))
	ticket := skald.Step(s, PrintTicket, skald.From1(held, same))
	skald.Step(s, SendLetter, skald.From1(ticket, func(_ SeatRequest, t Ticket) Ticket { return t }))
	return s.Build()
}
