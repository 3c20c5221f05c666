package mail_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/commande/mail"
	"github.com/skaldhq/skald/examples/commande/mailbox"
)

// open starts a mailbox on loopback and returns it with its address.
func open(t *testing.T) (*mailbox.Mailbox, string) {
	t.Helper()
	box, err := mailbox.Open(filepath.Join(t.TempDir(), "mail.db"))
	if err != nil {
		t.Fatal(err)
	}
	listener := listen(t)
	served := make(chan error, 1)
	go func() { served <- box.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(box.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return box, listener.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func sender(t *testing.T, config mail.Config) *mail.Sender {
	t.Helper()
	if config.From == "" {
		config.From = "Commande <shop@commande.example>"
	}
	s, err := mail.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func letter(to string) mail.Message {
	return mail.Message{
		Key: "receipt/R-1", To: to, Subject: "Reçu R-1 – merci !", Date: time.Date(2026, 11, 21, 20, 49, 5, 0, time.UTC),
		Text: "Café crème – éclair: 14,25\u00a0€\n.\nA line that is one dot stands above.\n",
		HTML: "<!DOCTYPE html><html><head><style>p{color:green}</style></head><body><p>Café crème</p></body></html>",
		Attachments: []mail.Attachment{{Name: "reçu.pdf", ContentType: "application/pdf",
			Data: append([]byte("%PDF-1.3\r\n\x00\xff"), bytes.Repeat([]byte{0, 1, '\n', '.', 255}, 10_000)...)}},
	}
}

func TestMessageArrivesWhole(t *testing.T) {
	box, address := open(t)
	s := sender(t, mail.Config{Address: address})
	sent := letter("zoe@example.com")
	if err := s.Send(t.Context(), sent); err != nil {
		t.Fatal(err)
	}
	list, err := box.List(t.Context(), mailbox.Query{})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d messages (%v), want 1", len(list), err)
	}
	got, err := box.Get(t.Context(), list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Fault != "" {
		t.Errorf("a part cannot be read: %s", got.Fault)
	}
	type seen struct {
		MessageID, From, HeaderFrom, Subject, Text, HTML string
		To                                               []string
		Date                                             time.Time
		Attachments                                      []mailbox.Attachment
	}
	want := seen{s.MessageID(sent.Key), "shop@commande.example", "Commande <shop@commande.example>", sent.Subject, sent.Text,
		sent.HTML, []string{"zoe@example.com"}, sent.Date,
		[]mailbox.Attachment{{Name: "reçu.pdf", ContentType: "application/pdf", Data: sent.Attachments[0].Data}}}
	// A transport may add the line end that the last line lacks.
	have := seen{got.MessageID, got.From, got.HeaderFrom, got.Subject, got.Text, strings.TrimSuffix(got.HTML, "\n"), got.To,
		got.Date.UTC(), got.Attachments}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the message changed on its way (-sent +arrived):\n%s", diff)
	}
}

func TestMessageSentTwiceIsOneMessage(t *testing.T) {
	box, address := open(t)
	for range 2 { // two senders: the Message-ID depends on nothing that one process holds
		if err := sender(t, mail.Config{Address: address}).Send(t.Context(), letter("zoe@example.com")); err != nil {
			t.Fatal(err)
		}
	}
	other := letter("zoe@example.com")
	other.Key = "receipt/R-2"
	if err := sender(t, mail.Config{Address: address}).Send(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	list, err := box.List(t.Context(), mailbox.Query{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Copies != 1 || list[1].Copies != 2 {
		t.Fatalf("want one message of one copy above one message of two: %+v", list)
	}
}

func TestRefusedRecipientIsARejectedError(t *testing.T) {
	box, address := open(t)
	err := sender(t, mail.Config{Address: address}).Send(t.Context(), letter("refuse.me@example.com"))
	var rejected *mail.RejectedError
	if !errors.As(err, &rejected) {
		t.Fatalf("%v is no RejectedError", err)
	}
	if rejected.Code != 550 || !strings.Contains(rejected.Text, "5.1.1") {
		t.Errorf("%+v, want 550 5.1.1", rejected)
	}
	if list, err := box.List(t.Context(), mailbox.Query{}); err != nil || len(list) != 0 {
		t.Errorf("%d messages (%v) are stored", len(list), err)
	}
}

func TestAddressThatIsNoneIsARejectedErrorWithoutCode(t *testing.T) {
	s := sender(t, mail.Config{Address: "127.0.0.1:1"})
	for _, to := range []string{"", "zoe", "Zoë <zoe@example.com>", "a@example.com, b@example.com", "a@example.com\r\nRCPT TO:<b@example.com>"} {
		var rejected *mail.RejectedError
		if err := s.Send(t.Context(), letter(to)); !errors.As(err, &rejected) || rejected.Code != 0 {
			t.Errorf("%q: %v, want a RejectedError with code 0", to, err)
		}
	}
}

func TestTooLargeMessageIsARejectedError(t *testing.T) {
	_, address := open(t)
	m := letter("zoe@example.com")
	m.Attachments[0].Data = make([]byte, mailbox.MaxMessageBytes)
	err := sender(t, mail.Config{Address: address, Timeout: time.Minute}).Send(t.Context(), m)
	var rejected *mail.RejectedError
	if !errors.As(err, &rejected) || rejected.Code != 552 {
		t.Fatalf("%v, want a RejectedError with code 552", err)
	}
}

func TestFailuresThatMayPassAreNotRejectedErrors(t *testing.T) {
	_, address := open(t)
	closed := listen(t)
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	mute := listen(t) // connections queue, nobody greets
	defer mute.Close()
	cases := map[string]struct{ address, to string }{
		"the mailbox is busy":    {address, "busy@example.com"},
		"the mailbox is slow":    {address, "Slow.Joe@example.com"},
		"nobody listens":         {closed.Addr().String(), "zoe@example.com"},
		"the server never talks": {mute.Addr().String(), "zoe@example.com"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := sender(t, mail.Config{Address: c.address, Timeout: 300 * time.Millisecond}).Send(t.Context(), letter(c.to))
			var rejected *mail.RejectedError
			if err == nil || errors.As(err, &rejected) {
				t.Fatalf("%v, want an error that may pass", err)
			}
		})
	}
}

func TestCancelledSendReturnsAtOnce(t *testing.T) {
	mute := listen(t)
	defer mute.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- sender(t, mail.Config{Address: mute.Addr().String(), Timeout: time.Hour}).Send(ctx, letter("zoe@example.com"))
	}()
	conn, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("Send still waits for the server")
	}
}

func TestFaultyMessageIsNotSent(t *testing.T) {
	s := sender(t, mail.Config{Address: "127.0.0.1:1"})
	cases := map[string]func(*mail.Message){
		"no key":                        func(m *mail.Message) { m.Key = "" },
		"no text":                       func(m *mail.Message) { m.Text = "" },
		"a header in the subject":       func(m *mail.Message) { m.Subject = "a\r\nBcc: eve@example.com" },
		"a folder in a file's name":     func(m *mail.Message) { m.Attachments[0].Name = "../x.pdf" },
		"a header in the content type":  func(m *mail.Message) { m.Attachments[0].ContentType = "a/b\r\nX: y" },
		"an attachment without a name":  func(m *mail.Message) { m.Attachments[0].Name = "" },
		"an attachment without content": func(m *mail.Message) { m.Attachments[0].ContentType = "" },
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			m := letter("zoe@example.com")
			spoil(&m)
			err := s.Send(t.Context(), m)
			var network *net.OpError
			if err == nil || errors.As(err, &network) {
				t.Errorf("%v, want a fault found before the server is asked", err)
			}
		})
	}
}

func TestConfigurationFaultsAreReportedAtOnce(t *testing.T) {
	_, err := mail.New(mail.Config{Address: "nowhere", From: "nobody", Password: "hunter2"})
	if err == nil {
		t.Fatal("it is accepted")
	}
	for _, part := range []string{"address:", "from:", "username:"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("no %q in: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error shows the password: %v", err)
	}
}
