package mailbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // character sets other than UTF-8
	"github.com/emersion/go-message/mail"
)

// maxParts bounds the work that one message can ask for.
const maxParts = 100

// entry is a message as it arrives, before it is stored.
type entry struct {
	messageID, subject, from string
	to                       []string
	raw                      []byte
}

func readEntry(raw []byte) (entry, error) {
	entity, err := message.Read(bytes.NewReader(raw))
	if err != nil && (entity == nil || !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err)) {
		return entry{}, err
	}
	header := mail.Header{Header: entity.Header}
	id, err := header.MessageID()
	if err != nil {
		id = strings.TrimSpace(header.Get("Message-Id")) // not as RFC 5322 has it, but still a name
	}
	return entry{messageID: id, subject: subject(header), raw: raw}, nil
}

// subject never fails: what cannot be decoded is shown as it came.
func subject(header mail.Header) string {
	text, _ := header.Subject()
	return strings.Join(strings.Fields(strings.ToValidUTF8(text, "\ufffd")), " ")
}

// Message is a stored message, read.
type Message struct {
	Summary
	HeaderFrom  string    // the From header as a reader sees it
	Date        time.Time // the Date header; zero: missing or unreadable
	Text        string    // the first plain text part
	HTML        string    // the first HTML part, as untrusted as its sender
	Attachments []Attachment
	Raw         []byte // as it arrived
	Fault       string // why a part of it could not be read; empty: all could
}

// Attachment is a part of a message that is to be saved, not shown.
type Attachment struct {
	Name        string // without a folder; never empty
	ContentType string
	Data        []byte
}

// readMessage shows as much of a message as can be read: the mail is stored, and an unreadable part is no reason to
// hide the others.
func readMessage(summary Summary, raw []byte) Message {
	m := Message{Summary: summary, Raw: raw}
	reader, err := mail.CreateReader(bytes.NewReader(raw))
	if reader == nil {
		m.Fault = err.Error()
		return m
	}
	defer reader.Close()
	m.HeaderFrom = sender(reader.Header)
	m.Date, _ = reader.Header.Date()
	for range maxParts {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return m
		}
		if part == nil {
			m.Fault = err.Error()
			return m
		}
		if err := m.addPart(part); err != nil {
			m.Fault = err.Error()
			return m
		}
	}
	m.Fault = fmt.Sprintf("it has more than %d parts", maxParts)
	return m
}

// sender is the From header without quotes, or as it came when it cannot be read.
func sender(header mail.Header) string {
	from, err := header.AddressList("From")
	if err != nil || len(from) != 1 {
		text, _ := header.Text("From")
		return strings.ToValidUTF8(text, "\ufffd")
	}
	if from[0].Name == "" {
		return from[0].Address
	}
	return from[0].Name + " <" + from[0].Address + ">"
}

func (m *Message) addPart(part *mail.Part) error {
	body, err := io.ReadAll(part.Body)
	if err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if err != nil || kind == "" {
		kind = "text/plain"
	}
	_, inline := part.Header.(*mail.InlineHeader)
	switch {
	case inline && kind == "text/plain" && m.Text == "":
		m.Text = readable(body)
	case inline && kind == "text/html" && m.HTML == "":
		m.HTML = readable(body)
	default:
		m.Attachments = append(m.Attachments, Attachment{
			Name: fileName(part.Header, params["name"], len(m.Attachments)+1), ContentType: kind, Data: body})
	}
	return nil
}

// readable has the line ends that an HTML parser sees, which hashes of style elements depend on.
func readable(body []byte) string {
	text := strings.ToValidUTF8(string(body), "\ufffd")
	return strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
}

// fileName keeps the last element of the sender's name, so that it cannot lead out of a folder.
func fileName(header mail.PartHeader, fallback string, number int) string {
	name := fallback
	if attachment, ok := header.(*mail.AttachmentHeader); ok {
		if given, err := attachment.Filename(); err == nil && given != "" {
			name = given
		}
	}
	name = strings.ToValidUTF8(name[strings.LastIndexAny(name, `/\`)+1:], "")
	name = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, name)
	if strings.Trim(name, ". ") == "" {
		return fmt.Sprintf("attachment-%d", number)
	}
	return name
}
