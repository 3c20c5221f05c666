package mailbox

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// session is one connection. Its methods are called one after another.
type session struct {
	mailbox *Mailbox
	from    string
	to      []string
}

func (m *Mailbox) newSession(*smtp.Conn) (smtp.Session, error) {
	if len(m.connections()) > MaxConnections {
		return nil, reply(421, smtp.EnhancedCode{4, 7, 0}, "too many connections, come back later")
	}
	return &session{mailbox: m}, nil
}

func reply(code int, enhanced smtp.EnhancedCode, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from, s.to = from, nil
	return nil
}

// Rcpt decides by the local part alone, so that anybody can show any failure by choosing an address.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	local, domain, found := strings.Cut(to, "@")
	local = strings.ToLower(local)
	switch {
	case !found || local == "" || domain == "" || len(to) > 254:
		return reply(553, smtp.EnhancedCode{5, 1, 3}, "that is not an address such as name@example.com")
	case strings.HasPrefix(local, "refuse"):
		return reply(550, smtp.EnhancedCode{5, 1, 1}, "no such mailbox: addresses that begin with refuse are refused for good")
	case strings.HasPrefix(local, "slow"), strings.HasPrefix(local, "busy"):
		return reply(451, smtp.EnhancedCode{4, 2, 1}, "mailbox busy: addresses that begin with slow or busy are refused for now")
	}
	s.to = append(s.to, to)
	return nil
}

// Data stores the message and returns only when it is on the disk: the acknowledgement that follows is a promise.
func (s *session) Data(r io.Reader) error {
	end, ok := s.mailbox.begin()
	if !ok {
		return reply(421, smtp.EnhancedCode{4, 3, 2}, "shutting down, send it again later")
	}
	defer end()
	raw, err := io.ReadAll(r)
	if err != nil {
		return err // the library's own reply: too large, line too long, or the client went away
	}
	entry, err := readEntry(raw)
	if err != nil {
		return reply(554, smtp.EnhancedCode{5, 6, 0}, "the message's header cannot be read")
	}
	entry.from, entry.to = s.from, s.to
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.mailbox.store.add(ctx, entry, time.Now()); err != nil {
		slog.Error("the mailbox could not store a message", "error", err)
		return reply(451, smtp.EnhancedCode{4, 3, 0}, "the message could not be stored, send it again later")
	}
	return nil
}

func (s *session) Reset() { s.from, s.to = "", nil }

func (s *session) Logout() error { return nil }
