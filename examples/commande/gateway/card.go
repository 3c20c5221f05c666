package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// The documented test cards.
const (
	CardAccepted          Card = "4242424242424242"
	CardDeclined          Card = "4000000000000002"
	CardInsufficientFunds Card = "4000000000009995"
	CardTimeout           Card = "4000000000000119" // the gateway does not answer within a client's time-out
	CardDown              Card = "4000000000000341" // the gateway answers 503
)

// Card is a card number. Printed or logged, by any verb and by log/slog, it shows its last four digits and no more.
//
// Three ways remain open. JSON holds the whole number, because it must travel to the gateway: do not marshal a Card for
// anybody else (in a type that is logged as JSON, hide it with a LogValue of that type's own, as Request does). And fmt
// cannot see the type of an unexported field: keep a Card in exported fields. The verb %p, which go vet refuses for a
// string, shows its operand as it is.
type Card string

// ParseCard removes the spaces and hyphens that people write between groups of digits. It checks nothing: the gateway
// decides what a card is.
func ParseCard(text string) Card {
	return Card(strings.NewReplacer(" ", "", "-", "", "\u00a0", "").Replace(text))
}

// Reveal is the whole number. Call it only where the number must travel.
func (c Card) Reveal() string { return string(c) }

// LastFour is what may be printed on a receipt: four digits, or "" for what is too short or too strange to be a card.
func (c Card) LastFour() string {
	if len(c) < 12 {
		return ""
	}
	last := string(c[len(c)-4:])
	if strings.Trim(last, "0123456789") != "" {
		return ""
	}
	return last
}

// String is "•••• 4242", or "••••" when LastFour is empty.
func (c Card) String() string { return strings.TrimRight("•••• "+c.LastFour(), " ") }

// GoString is String, quoted: %#v shows no more than %v.
func (c Card) GoString() string { return fmt.Sprintf("gateway.Card(%q)", c.String()) }

// Format writes String for every verb, also for those that would show the bytes.
func (c Card) Format(s fmt.State, verb rune) {
	text := c.String()
	switch {
	case verb == 'q':
		text = `"` + text + `"`
	case verb == 'v' && s.Flag('#'):
		text = c.GoString()
	}
	_, _ = io.WriteString(s, text) // fmt.State reports no errors
}

// LogValue is String.
func (c Card) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Plausible says whether the number has 13 to 19 digits and a right check digit (Luhn, ISO/IEC 7812-1 annex B).
func (c Card) Plausible() bool {
	if len(c) < 13 || len(c) > 19 {
		return false
	}
	sum := 0
	for i := range len(c) {
		digit := int(c[len(c)-1-i]) - '0'
		if digit < 0 || digit > 9 {
			return false
		}
		if i%2 == 1 {
			digit *= 2
			if digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}
