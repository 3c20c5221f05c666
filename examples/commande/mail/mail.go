// Package mail hands one message at a time to an SMTP server: plain text with an HTML alternative and attachments.
//
// It tells a refusal (RejectedError: the server will not take this message for this recipient, however often it is
// asked) from everything else, which may pass: the server is away, is slow, or answers 4xx. It never retries; the
// caller does. A message's Message-ID is derived from the caller's key, so a message that is sent twice because its
// first answer was lost is recognisable as one.
//
// It does not promise delivery: a server that took a message may still return it later. It does not speak implicit
// TLS (port 465).
package mail

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// Message is one letter to one recipient.
type Message struct {
	Key         string    // names the message for ever, such as "receipt/R-2026-000042"; the same key gives the same Message-ID
	To          string    // a plain address: name@example.com
	Subject     string    // one line
	Date        time.Time // the Date header; zero: the time of sending
	Text        string    // the plain text, required
	HTML        string    // the same as HTML; empty: none
	Attachments []Attachment
}

// Attachment is a file that goes with a message.
type Attachment struct {
	Name        string // the file's name without a folder, such as "receipt.pdf"
	ContentType string // such as "application/pdf"
	Data        []byte // kept until Send returns, never changed
}

// RejectedError says that the message is refused for good: sending it again is useless until somebody mends the
// address or the message.
type RejectedError struct {
	Code int    // the server's reply, 500 to 599; 0 when the address is not one and no server was asked
	Text string // the server's words, on one line and at most 500 characters
}

func (e *RejectedError) Error() string {
	if e.Code == 0 {
		return "the message is refused: " + e.Text
	}
	return fmt.Sprintf("the mail server refuses the message: %d %s", e.Code, e.Text)
}

// newRejected keeps what an operator can read of a server's words, which are any stranger's text.
func newRejected(code int, text string) *RejectedError {
	text = strings.Join(strings.FieldsFunc(text, func(c rune) bool { return unicode.IsControl(c) || c == ' ' }), " ")
	if runes := []rune(text); len(runes) > 500 {
		text = string(runes[:499]) + "…"
	}
	return &RejectedError{Code: code, Text: text}
}

// messageID derives the part of a Message-ID before the "@" from a key of any content.
func messageID(key, domain string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16]) + "@" + domain
}

// plainAddress is the address itself, or an error for anything that holds more or less than one.
func plainAddress(address string) (string, error) {
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || strings.ContainsFunc(address, unicode.IsControl) {
		return "", fmt.Errorf("%q is not a plain address such as name@example.com", address)
	}
	return parsed.Address, nil
}

// validate reports the faults of a program, as opposed to those of a customer's address.
func (m Message) validate() error {
	var faults []error
	if m.Key == "" {
		faults = append(faults, errors.New("key: it is empty, give one that names the message for ever"))
	}
	if strings.ContainsFunc(m.Subject, unicode.IsControl) || m.Subject == "" {
		faults = append(faults, errors.New("subject: give one line without control characters"))
	}
	if m.Text == "" {
		faults = append(faults, errors.New("text: it is empty, readers without HTML would see nothing"))
	}
	for _, a := range m.Attachments {
		if a.Name == "" || strings.ContainsAny(a.Name, `/\"`) || strings.ContainsFunc(a.Name, unicode.IsControl) {
			faults = append(faults, fmt.Errorf("attachment: %q is not a file's name", a.Name))
		}
		if a.ContentType == "" || strings.ContainsFunc(a.ContentType, unicode.IsControl) {
			faults = append(faults, fmt.Errorf("attachment %q: %q is not a content type", a.Name, a.ContentType))
		}
	}
	return errors.Join(faults...)
}

// compose builds the MIME message. The caller has checked every part of it.
func (m Message) compose(from, id string) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(from); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	if err := msg.To(m.To); err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	msg.SetMessageIDWithValue(id)
	msg.Subject(m.Subject)
	if m.Date.IsZero() {
		msg.SetDate()
	} else {
		msg.SetDateWithValue(m.Date)
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	for _, a := range m.Attachments {
		err := msg.AttachReader(a.Name, strings.NewReader(string(a.Data)), gomail.WithFileContentType(gomail.ContentType(a.ContentType)))
		if err != nil {
			return nil, fmt.Errorf("attachment %q: %w", a.Name, err)
		}
	}
	return msg, nil
}
