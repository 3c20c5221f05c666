// Package receipt turns a paid order into a document: one HTML page that serves the browser and e-mail alike, a PDF of
// one or more A4 pages, and plain text. The same receipt gives the same bytes every time, so a receipt that is made
// again after a crash can be compared with the first one.
//
// A receipt is checked before it is rendered: the lines must add up to the total, and the card is the last four digits
// and nothing more. Amounts are in euro.
//
// It does not promise a tax invoice (there is no VAT), and the PDF's font holds the Latin, Greek and Cyrillic
// scripts only: a character beyond them is printed as "?" in the PDF. HTML and plain text have no such limit.
package receipt

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a receipt. They keep sums far from the end of int64 and documents within an e-mail's size.
const (
	MaxLines     = 500           // lines on one receipt
	MaxQuantity  = 100_000       // articles on one line
	MaxUnitCents = 1_000_000_000 // price of one article: ten million euro
	MaxText      = 200           // characters in any text
)

// Receipt is what was bought, by whom, and how it was paid.
type Receipt struct {
	Number     string    // the receipt's own number, such as "R-2026-000042"
	Order      string    // the order that it is for
	Client     string    // the customer's name
	Email      string    // the customer's address
	Issued     time.Time // printed in UTC; also the PDF's creation date
	Lines      []Line    // at least one
	TotalCents int64     // must be the sum of the lines
	Card       string    // the card's last four digits
}

// Line is one article of the order.
type Line struct {
	SKU       string // the shop's article number
	Name      string // as the customer knows it
	Quantity  int    // 1 to MaxQuantity
	UnitCents int64  // price of one, 0 to MaxUnitCents
}

// Cents is the price of the whole line.
func (l Line) Cents() int64 { return int64(l.Quantity) * l.UnitCents }

// Validate reports every fault of the receipt at once, or nil. HTML, PDF and Text call it: a receipt that does not add
// up is never rendered.
func (r Receipt) Validate() error {
	faults := []error{
		textFault("number", r.Number), textFault("order", r.Order), textFault("client", r.Client),
		addressFault(r.Email), cardFault(r.Card),
	}
	if r.Issued.IsZero() {
		faults = append(faults, errors.New("issued: the date is missing"))
	}
	if len(r.Lines) == 0 || len(r.Lines) > MaxLines {
		faults = append(faults, fmt.Errorf("lines: there are %d, give 1 to %d", len(r.Lines), MaxLines))
	}
	var sum int64
	countable := len(r.Lines) <= MaxLines
	for i, line := range r.Lines {
		err := line.validate()
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", i+1, err))
			countable = false
			continue
		}
		sum += line.Cents()
	}
	if countable && sum != r.TotalCents {
		faults = append(faults, fmt.Errorf("total: the lines add up to %s, the total says %s",
			FormatEUR(sum), FormatEUR(r.TotalCents)))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("receipt %q cannot be made: %w", r.Number, err)
	}
	return nil
}

func (l Line) validate() error {
	faults := []error{textFault("SKU", l.SKU), textFault("name", l.Name)}
	if l.Quantity < 1 || l.Quantity > MaxQuantity {
		faults = append(faults, fmt.Errorf("quantity: %d is not 1 to %d", l.Quantity, MaxQuantity))
	}
	if l.UnitCents < 0 || l.UnitCents > MaxUnitCents {
		faults = append(faults, fmt.Errorf("unit price: %d cents is not 0 to %d", l.UnitCents, int64(MaxUnitCents)))
	}
	return errors.Join(faults...)
}

// textFault refuses line breaks and direction marks too: they could make a line read as another.
func textFault(name, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return fmt.Errorf("%s: it is empty", name)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s: it is not UTF-8", name)
	case utf8.RuneCountInString(text) > MaxText:
		return fmt.Errorf("%s: it is longer than %d characters", name, MaxText)
	case strings.ContainsFunc(text, disruptive):
		return fmt.Errorf("%s: it holds a control character", name)
	}
	return nil
}

func disruptive(c rune) bool {
	return unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
}

func addressFault(address string) error {
	if err := textFault("e-mail", address); err != nil {
		return err
	}
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address {
		return fmt.Errorf("e-mail: %q is not a plain address such as name@example.com", address)
	}
	return nil
}

// cardFault never repeats what it was given: it may be a whole card number.
func cardFault(card string) error {
	if len(card) != 4 || strings.Trim(card, "0123456789") != "" {
		return errors.New("card: give the last four digits and nothing else")
	}
	return nil
}

func (r Receipt) date() string { return r.Issued.UTC().Format("2 January 2006, 15:04 UTC") }
