package broker

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/journal"
)

// Limits of messages, in bytes.
const (
	// MaxData bounds a message's data: a compensation's input and result together, and what wraps them.
	MaxData = 2*journal.MaxPayload + 1024
	// MaxHeaders bounds all attributes and headers as they are encoded.
	MaxHeaders = 32 << 10
)

// Message is an event on its way. On the wire it is a CloudEvent 1.0 in binary mode (docs/wire-format.md); the comments name the attributes.
type Message struct {
	ID     string         // id. Unique and stable: a repetition has the same one. Required
	Type   string         // type: what happened, such as "InventaireReserve". Required
	Source string         // source: the participant's name. Required
	Saga   journal.SagaID // subject
	Step   string         // extension skaldstep
	Time   time.Time      // time, kept in UTC and nanoseconds

	Cause   string    // extension causationid: the id of the message that led to this one
	Attempt uint32    // extension skaldattempt: the sender's attempt at what the message tells of; 0 if it does not count
	Epoch   uint64    // extension skaldepoch: the sender's tenure; 0 if it has none
	Trace   string    // extension traceparent: W3C trace context
	Expires time.Time // extension expirytime: after this the message is set aside instead of handed out; zero never

	// Headers are the other headers, handed on as they are; the case of their names is kept. Other extensions of CloudEvents are among them, with their "ce-". Names are HTTP tokens
	// and not, in any case, "content-type", "traceparent" or one of the attributes above, nor do they begin with "nats-" or "skald-"; values are printable ASCII.
	Headers map[string]string

	ContentType string // datacontenttype. Default: application/json
	Data        []byte

	// Key is the message's place on its topic. It is no attribute of the event. Required
	Key Key
	// NotBefore delays a message of Publish (not of Decide). It is no attribute of the event, and receivers do not see it.
	NotBefore time.Time
}

// DefaultContentType is that of messages that do not say theirs.
const DefaultContentType = "application/json"

// Check returns what is wrong with a message that is to be published, as one error that wraps ErrInvalid, or nil. Encode checks, too.
func (m Message) Check() error { return m.check(encode(m)) }

func (m Message) check(headers []Header) error {
	var faults []error
	for _, required := range []struct{ name, value string }{{"ID", m.ID}, {"Type", m.Type}, {"Source", m.Source}} {
		if required.value == "" {
			faults = append(faults, fmt.Errorf("%s is empty: set it", required.name))
		}
	}
	if len(m.Data) > MaxData {
		faults = append(faults, fmt.Errorf("the data has %d bytes: send no more than %d", len(m.Data), MaxData))
	}
	size := 0
	for _, h := range headers {
		size += len(h.Name) + len(h.Value) + len(": \r\n")
	}
	if size > MaxHeaders {
		faults = append(faults, fmt.Errorf("attributes and headers have %d bytes: send no more than %d", size, MaxHeaders))
	}
	faults = append(faults, checkHeaders(m.Headers)...)
	for _, at := range []struct {
		name string
		time.Time
	}{{"Time", m.Time}, {"Expires", m.Expires}, {"NotBefore", m.NotBefore}} {
		if !journal.Writable(at.Time) {
			faults = append(faults, fmt.Errorf("%s is in the year %d: give one of four digits", at.name, at.UTC().Year()))
		}
	}
	if err := m.Key.Check(); err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: message %.200q: %w", ErrInvalid, m.ID, errors.Join(faults...))
	}
	return nil
}

// Clone returns a message that shares no memory with m.
func (m Message) Clone() Message {
	m.Data = bytes.Clone(m.Data)
	m.Headers = maps.Clone(m.Headers)
	return m
}

// Expired says whether the message is too late at a time.
func (m Message) Expired(now time.Time) bool { return !m.Expires.IsZero() && now.After(m.Expires) }

// checkHeaders returns the faults of headers, by name.
func checkHeaders(all map[string]string) (faults []error) {
	for name, value := range all {
		if checkHeader(name, value) == nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if err := checkHeader(name, all[name]); err != nil {
				faults = append(faults, err)
			}
		}
		break
	}
	return faults
}

func checkHeader(name, value string) error {
	if name == "" || strings.ContainsFunc(name, notToken) || reserved(name) {
		return fmt.Errorf("header %.80q: use an HTTP token that is not reserved", name)
	}
	if strings.ContainsFunc(value, notPrintable) || strings.TrimSpace(value) != value {
		return fmt.Errorf("header %s: use printable ASCII without space at the ends; encode anything else", name)
	}
	return nil
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

func notToken(r rune) bool {
	return r <= ' ' || r > '~' || separators[r]
}

// separators are the characters between tokens.
var separators = func() (all ['~' + 1]bool) {
	for _, r := range `()<>@,;:\"/[]?={}` {
		all[r] = true
	}
	return all
}()

// reserved says whether a header is not the application's.
func reserved(name string) bool {
	name = strings.ToLower(name) // as it is, mostly: then it costs nothing
	attribute, ce := strings.CutPrefix(name, prefix)
	return ce && slices.Contains(attributes[:], attribute) || strings.HasPrefix(name, "nats-") || strings.HasPrefix(name, "skald-") || name == contentType || name == trace
}

// Envelope is what a receiver knows of a message before it decodes it.
type Envelope struct {
	Key    Key
	Type   string
	Header func(name string) string // one of Message.Headers; empty if the message has none of that name
}

// Envelope is what was known of a message before it was decoded.
func (m *Message) Envelope() Envelope {
	headers := m.Headers // by itself: a message of which a function has the address is copied to the heap
	return Envelope{m.Key, m.Type, func(name string) string { return headers[name] }}
}
