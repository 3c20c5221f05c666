package theatre

import (
	"time"

	"github.com/skaldhq/skald"
)

// Trouble is what goes wrong with a visit, until Mend.
type Trouble string

// The kinds of trouble.
const (
	SoldOut    Trouble = "sold out"   // the first step is refused: nothing to undo
	Declined   Trouble = "declined"   // a later step is refused: the saga turns back
	Unreleased Trouble = "unreleased" // the same, and one of the compensations does not succeed
	Unheard    Trouble = "unheard"    // the same, and at first nothing is heard of that compensation
	Unclear    Trouble = "unclear"    // a step has no clear answer until its attempts are used up
	NoPaper    Trouble = "no paper"   // the point of no return is tried again and again
	FullBox    Trouble = "full box"   // a step after it is refused: an incident
	LateBox    Trouble = "late box"   // the same, and at first nothing is heard of that step
)

// Closed is the trouble of the Agency, whatever the visit.
const Closed Trouble = "closed"

// Visit is what somebody wants: the saga's input.
type Visit struct {
	Visitor string  `json:"visitor"`
	Show    string  `json:"show"`
	Seats   int     `json:"seats"`
	Trouble Trouble `json:"trouble,omitempty"`
}

// Done is what a service says it did.
type Done struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
}

// Letter is what the post office is asked to send.
type Letter struct {
	To      string  `json:"to"`
	Text    string  `json:"text"`
	Trouble Trouble `json:"trouble,omitempty"`
}

// The operations of the services.
var (
	reserve = skald.Compensatable[Visit, Done]("seats.reserve", "seats.release", skald.Emits("SeatsReserved", "SeatsRefused"), skald.EmitsUndone("SeatsReleased"), skald.Reasons("Seats.SoldOut"))
	charge  = skald.Compensatable[Visit, Done]("cards.charge", "cards.refund", skald.Emits("CardCharged", "CardDeclined"), skald.EmitsUndone("CardRefunded"), skald.Reasons("Cards.Declined"))
	park    = skald.Compensatable[Visit, Done]("parking.book", "parking.free", skald.Emits("ParkingBooked", "ParkingRefused"), skald.EmitsUndone("ParkingFreed"), skald.Reasons("Parking.Unclear"))
	issue   = skald.Pivot[Done, Done]("tickets.print", skald.Emits("TicketPrinted", "TicketRefused"), skald.Reasons("Tickets.NoPaper"))
	send    = skald.Retriable[Letter, Done]("letters.send", skald.Emits("LetterSent", ""), skald.Reasons("Letters.Full"))
	credit  = skald.Retriable[Visit, Done]("points.add", skald.Emits("PointsAdded", ""))
)

// Definition is the saga of a visit: seats, then card and parking side by side, then the ticket, then a letter and points side by side.
func Definition() (*skald.Saga[Visit], error) { return define(true) }

// former is the version of the definition from before there were points: visits may still be under way that were begun with it.
func former() (*skald.Saga[Visit], error) { return define(false) }

func define(withPoints bool) (*skald.Saga[Visit], error) {
	whole := func(v Visit) Visit { return v }
	quick := skald.Retries(skald.Retry{Initial: 20 * time.Millisecond, Cap: 40 * time.Millisecond, Attempts: 3})
	s := skald.Define[Visit]("visit", skald.IncidentAfter(500*time.Millisecond), skald.Deadline(24*time.Hour),
		skald.OnReason("Parking.Unclear", "the barrier's controller does not answer", skald.Replay(1, 5*time.Minute)))
	seats := skald.Step(s, reserve, skald.From(whole), quick)
	card := skald.Step(s, charge, skald.From(whole), skald.After(seats), quick)
	place := skald.Step(s, park, skald.From(whole), skald.After(seats), quick)
	ticket := skald.Step(s, issue, skald.From1(seats, func(_ Visit, d Done) Done { return d }), skald.After(card, place))
	skald.Step(s, send, skald.From1(ticket, func(v Visit, d Done) Letter { return Letter{To: v.Visitor, Text: d.Text, Trouble: v.Trouble} }), skald.After(ticket))
	if withPoints {
		skald.Step(s, credit, skald.From(whole), skald.After(ticket))
	}
	return s.Build()
}
