package broker

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/journal"
)

// Names of the wire format. Attributes are written in lower case and read in any.
const (
	prefix      = "ce-"
	contentType = "content-type"
	trace       = "traceparent"
	specVersion = "1.0"
)

// The attributes that have a field of their own in Message: places in attributes.
const (
	attrID = iota
	attrType
	attrSource
	attrSpecVersion
	attrSubject
	attrTime
	attrContentType
	attrStep
	attrCause
	attrAttempt
	attrEpoch
	attrTrace
	attrExpires
	attrMost
)

// attributes are their names.
var attributes = [attrMost]string{
	"id", "type", "source", "specversion", "subject", "time", "datacontenttype", "skaldstep", "causationid", "skaldattempt", "skaldepoch", trace, "expirytime",
}

// attributeHeaders are the headers that carry them.
var attributeHeaders = func() (names [attrMost]string) {
	for i, attribute := range attributes {
		names[i] = prefix + attribute
	}
	return names
}()

// Header is one header of a message on the wire.
type Header struct{ Name, Value string }

// Encode returns the headers of a message in the wire format, sorted by name, each name once; the data is sent beside them as it is. It returns the
// faults of a message that may not be published, as Message.Check does.
func Encode(m Message) ([]Header, error) {
	headers := encode(m)
	if err := m.check(headers); err != nil {
		return nil, err
	}
	return headers, nil
}

func encode(m Message) []Header {
	headers := make([]Header, 0, len(attributes)+len(m.Headers))
	add := func(attribute int, value string) {
		if value != "" {
			headers = append(headers, Header{attributeHeaders[attribute], escape(value)})
		}
	}
	add(attrSpecVersion, specVersion)
	add(attrID, m.ID)
	add(attrType, m.Type)
	add(attrSource, m.Source)
	add(attrSubject, string(m.Saga))
	add(attrStep, m.Step)
	add(attrTime, formatTime(m.Time))
	add(attrCause, m.Cause)
	add(attrAttempt, formatNumber(uint64(m.Attempt)))
	add(attrEpoch, formatNumber(m.Epoch))
	add(attrTrace, m.Trace)
	add(attrExpires, formatTime(m.Expires))
	add(attrContentType, cmp.Or(m.ContentType, DefaultContentType))
	for name, value := range m.Headers {
		headers = append(headers, Header{name, value})
	}
	slices.SortFunc(headers, func(a, b Header) int { return cmp.Compare(a.Name, b.Name) })
	return headers
}

// TypeOf returns a message's type without decoding anything else of it. header returns a header of it by its name as Encode writes it; from a sender who writes it otherwise nothing is found, and Type is empty.
func TypeOf(header func(name string) string) string {
	value, _ := url.PathUnescape(header(attributeHeaders[attrType])) // empty if it cannot be read
	return value
}

// Decode reads a message from its headers and data, which it retains. Headers that do not belong to the wire format, other extensions among
// them, are in Message.Headers. It returns what could be read together with all faults: such a message is poison.
func Decode(headers []Header, data []byte) (Message, error) {
	d := decoder{m: Message{Data: data}}
	for _, h := range headers {
		d.take(h)
	}
	d.attributes()
	return d.m, errors.Join(d.faults...)
}

type decoder struct {
	m       Message
	said    [attrMost]string // the attributes, decoded
	seen    [attrMost]bool
	media   string // the transport's content type
	carried string // the transport's own trace context
	faults  []error
}

// take sorts a header into attributes and others.
func (d *decoder) take(h Header) {
	name := strings.ToLower(h.Name)
	attribute, ce := strings.CutPrefix(name, prefix)
	at := -1
	if ce {
		at = slices.Index(attributes[:], attribute)
	}
	switch {
	case at >= 0:
		value, err := url.PathUnescape(h.Value)
		if err != nil {
			d.fault("header %s is %.80q: percent-encode it", h.Name, h.Value)
		}
		if d.seen[at] {
			d.fault("header %s comes twice: send it once", h.Name)
		}
		d.said[at], d.seen[at] = value, true
	case name == contentType:
		d.media = h.Value
	case name == trace:
		d.carried = h.Value
	case strings.HasPrefix(name, "nats-"), strings.HasPrefix(name, "skald-"):
	default:
		if d.m.Headers == nil {
			d.m.Headers = make(map[string]string, 4)
		}
		d.m.Headers[h.Name] = h.Value
	}
}

func (d *decoder) attributes() {
	if version := d.said[attrSpecVersion]; version != specVersion {
		d.fault("ce-specversion is %.20q: send CloudEvents %s in binary mode", version, specVersion)
	}
	if strings.HasPrefix(d.media, "application/cloudevents") {
		d.fault("content-type is %.80q: send binary mode, not structured mode", d.media)
	}
	d.m.ID, d.m.Type, d.m.Source = d.required(attrID), d.required(attrType), d.required(attrSource)
	d.m.Saga, d.m.Step, d.m.Cause = journal.SagaID(d.said[attrSubject]), d.said[attrStep], d.said[attrCause]
	d.m.Time, d.m.Expires = d.time(attrTime), d.time(attrExpires)
	d.m.Attempt, d.m.Epoch = uint32(d.number(attrAttempt, 32)), d.number(attrEpoch, 64)
	// A sender that knows nothing of the extension may have set the transport's header.
	d.m.Trace = cmp.Or(d.said[attrTrace], d.carried)
	d.m.ContentType = cmp.Or(d.said[attrContentType], d.media, DefaultContentType)
}

func (d *decoder) fault(format string, args ...any) {
	d.faults = append(d.faults, fmt.Errorf(format, args...))
}

func (d *decoder) required(attribute int) string {
	if d.said[attribute] == "" {
		d.fault("header ce-%s is missing: send it", attributes[attribute])
	}
	return d.said[attribute]
}

func (d *decoder) time(attribute int) time.Time {
	if d.said[attribute] == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, d.said[attribute])
	switch at = at.UTC(); {
	case err != nil:
		d.fault("ce-%s is %.40q: send a time as in RFC 3339", attributes[attribute], d.said[attribute])
	case !journal.Writable(at): // its zone's hours took it beyond
		d.fault("ce-%s is %.40q: in UTC its year has no four digits", attributes[attribute], d.said[attribute])
		return time.Time{}
	}
	return at
}

func (d *decoder) number(attribute, bits int) uint64 {
	if d.said[attribute] == "" {
		return 0
	}
	n, err := strconv.ParseUint(d.said[attribute], 10, bits)
	if err != nil {
		d.fault("ce-%s is %.40q: send a number", attributes[attribute], d.said[attribute])
	}
	return n
}

func formatTime(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

func formatNumber(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// escape percent-encodes, as UTF-8, all but printable ASCII, and space, double quote and percent. The bindings of CloudEvents to HTTP and NATS say so.
func escape(s string) string {
	i := 0
	for i < len(s) && !escaped(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; escaped(c) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func escaped(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' }
