package mailbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/commande/mail"
	"github.com/skaldhq/skald/examples/commande/mailbox"
)

// running is a mailbox that serves on loopback.
type running struct {
	*mailbox.Mailbox
	address string
	served  chan error
}

func start(t *testing.T, path string) *running {
	t.Helper()
	box, err := mailbox.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{box, listener.Addr().String(), make(chan error, 1)}
	go func() { r.served <- box.Serve(listener); close(r.served) }()
	t.Cleanup(r.stop(t))
	return r
}

func (r *running) stop(t *testing.T) func() {
	return func() {
		t.Helper()
		if err := errors.Join(r.Close(), <-r.served); err != nil {
			t.Error(err)
		}
	}
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "mail box?#1.db") }

func (r *running) send(t *testing.T, m mail.Message) {
	t.Helper()
	s, err := mail.New(mail.Config{Address: r.address, From: "Commande <shop@commande.example>"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func (r *running) list(t *testing.T, q mailbox.Query) []mailbox.Summary {
	t.Helper()
	list, err := r.List(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// client is a hand-driven SMTP session.
type client struct {
	*textproto.Conn
	t *testing.T
}

func (r *running) dial(t *testing.T) *client {
	t.Helper()
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	c := &client{textproto.NewConn(conn), t}
	t.Cleanup(func() { c.Close() })
	return c
}

// expect reads one reply and fails unless it has the code.
func (c *client) expect(code int) string {
	c.t.Helper()
	_, text, err := c.ReadResponse(code)
	if err != nil {
		c.t.Fatalf("want %d: %v", code, err)
	}
	return text
}

func (c *client) say(code int, format string, args ...any) string {
	c.t.Helper()
	if err := c.PrintfLine(format, args...); err != nil {
		c.t.Fatal(err)
	}
	return c.expect(code)
}

// hand sends one raw message and expects the reply with this code to its end.
func (c *client) hand(code int, raw string, to ...string) {
	c.t.Helper()
	c.say(250, "MAIL FROM:<a@example.com>")
	for _, address := range to {
		c.say(250, "RCPT TO:<%s>", address)
	}
	c.say(354, "DATA")
	w := c.DotWriter()
	if _, err := w.Write([]byte(raw)); err != nil {
		c.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.expect(code)
}

func (r *running) hello(t *testing.T) *client {
	t.Helper()
	c := r.dial(t)
	c.expect(220)
	c.say(250, "EHLO test")
	return c
}

func TestAcknowledgedMessagesSurviveARestart(t *testing.T) {
	path := file(t)
	first := start(t, path)
	m := mail.Message{Key: "k", To: "zoe@example.com", Subject: "s", Text: "t"}
	first.send(t, m)
	before := first.list(t, mailbox.Query{})
	first.stop(t)()

	second := start(t, path)
	after := second.list(t, mailbox.Query{})
	if len(before) != 1 || len(after) != 1 || before[0].MessageID != after[0].MessageID || !before[0].Received.Equal(after[0].Received) {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	second.send(t, m)
	if list := second.list(t, mailbox.Query{}); len(list) != 1 || list[0].Copies != 2 {
		t.Errorf("after a copy sent past the restart: %+v, want one message of two copies", list)
	}
}

func TestCopyToAnotherRecipientReachesBoth(t *testing.T) {
	r := start(t, file(t))
	c := r.hello(t)
	c.hand(250, "Message-ID: <1@x>\r\nSubject: s\r\n\r\nt\r\n", "old@example.com")
	c.hand(250, "Message-ID: <1@x>\r\nSubject: s\r\n\r\nt\r\n", "New@example.com", "old@example.com")
	for _, to := range []string{"old@example.com", "new@EXAMPLE.com"} {
		if list := r.list(t, mailbox.Query{To: to}); len(list) != 1 || len(list[0].To) != 2 || list[0].Copies != 2 {
			t.Errorf("%s has %+v", to, list)
		}
	}
	if list := r.list(t, mailbox.Query{To: "else@example.com"}); len(list) != 0 {
		t.Errorf("a stranger has %+v", list)
	}
}

func TestMessagesWithoutMessageIDAreNeverDuplicates(t *testing.T) {
	r := start(t, file(t))
	c := r.hello(t)
	for range 2 {
		c.hand(250, "Subject: s\r\n\r\nt\r\n", "a@example.com")
	}
	if list := r.list(t, mailbox.Query{}); len(list) != 2 {
		t.Errorf("%d messages, want 2", len(list))
	}
}

func TestRecipientsRefusedOnPurpose(t *testing.T) {
	r := start(t, file(t))
	for to, want := range map[string]string{
		"refuse@example.com": "550 5.1.1", "REFUSED.42@example.com": "550 5.1.1", "slow@example.com": "451 4.2.1",
		"busy-bee@example.com": "451 4.2.1", "nobody": "501 5.5.2", "@example.com": "501 5.5.2",
	} {
		t.Run(to, func(t *testing.T) {
			c := r.hello(t)
			c.say(250, "MAIL FROM:<a@example.com>")
			if err := c.PrintfLine("RCPT TO:<%s>", to); err != nil {
				t.Fatal(err)
			}
			line, err := c.ReadLine()
			if err != nil || !strings.HasPrefix(line, want) {
				t.Errorf("%q (%v), want %s", line, err, want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	r := start(t, file(t))
	t.Run("size", func(t *testing.T) {
		c := r.hello(t)
		line := strings.Repeat("x", 998) + "\r\n"
		c.hand(552, "Subject: s\r\n\r\n"+strings.Repeat(line, mailbox.MaxMessageBytes/len(line)+1), "a@example.com")
	})
	t.Run("recipients", func(t *testing.T) {
		c := r.hello(t)
		c.say(250, "MAIL FROM:<a@example.com>")
		for i := range mailbox.MaxRecipients {
			c.say(250, "RCPT TO:<a%d@example.com>", i)
		}
		c.say(452, "RCPT TO:<onemore@example.com>")
	})
	t.Run("connections", func(t *testing.T) {
		for range mailbox.MaxConnections {
			r.dial(t).expect(220)
		}
		extra := r.dial(t)
		extra.expect(220)
		extra.say(421, "EHLO test")
	})
	if list := r.list(t, mailbox.Query{}); len(list) != 0 {
		t.Errorf("%d messages are stored", len(list))
	}
}

func TestUnreadableHeaderIsRefused(t *testing.T) {
	r := start(t, file(t))
	r.hello(t).hand(554, "this is not a header\r\n\r\nt\r\n", "a@example.com")
}

func TestListPagesFromTheNewest(t *testing.T) {
	r := start(t, file(t))
	c := r.hello(t)
	for i := range 5 {
		c.hand(250, fmt.Sprintf("Message-ID: <%d@x>\r\nSubject: %d\r\n\r\nt\r\n", i, i), "a@example.com")
	}
	var subjects []string
	query := mailbox.Query{Limit: 2}
	for {
		list := r.list(t, query)
		if len(list) == 0 {
			break
		}
		for _, s := range list {
			subjects = append(subjects, s.Subject)
		}
		query.Before = list[len(list)-1].ID
	}
	if got := strings.Join(subjects, " "); got != "4 3 2 1 0" {
		t.Errorf("%s", got)
	}
}

func TestListenerThatOthersReachIsRefused(t *testing.T) {
	box, err := mailbox.Open(file(t))
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	l := elsewhere{closed: make(chan struct{})}
	if err := box.Serve(l); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("%v, want an error that says where to listen", err)
	}
	select {
	case <-l.closed:
	default:
		t.Error("the listener is left open")
	}
}

// elsewhere says it is reachable from everywhere, without being so.
type elsewhere struct{ closed chan struct{} }

func (elsewhere) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (elsewhere) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4zero, Port: 25} }
func (e elsewhere) Close() error            { close(e.closed); return nil }

func TestCloseWaitsForEverythingAndCutsOpenSessions(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	box, err := mailbox.Open(file(t))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{box, listener.Addr().String(), make(chan error, 1)}
	go func() { r.served <- box.Serve(listener) }()
	idle, receiving := r.hello(t), r.hello(t)
	receiving.say(250, "MAIL FROM:<a@example.com>")
	receiving.say(250, "RCPT TO:<b@example.com>")
	receiving.say(354, "DATA")

	r.stop(t)()
	for name, c := range map[string]*client{"idle": idle, "receiving": receiving} {
		for { // a farewell may come first; the end must
			if _, err := c.ReadLine(); err != nil {
				var slow net.Error
				if errors.As(err, &slow) && slow.Timeout() {
					t.Errorf("the %s session is still open", name)
				}
				break
			}
		}
	}
	if err := box.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	late := onLoopback{elsewhere{make(chan struct{})}}
	if err := box.Serve(late); err != nil {
		t.Errorf("Serve after Close: %v", err)
	}
	<-late.closed
}

type onLoopback struct{ elsewhere }

func (onLoopback) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }

func TestOpenRefusesWhatIsNoMailbox(t *testing.T) {
	for name, path := range map[string]string{"a folder": t.TempDir(), "a missing folder": filepath.Join(t.TempDir(), "no", "mail.db")} {
		if box, err := mailbox.Open(path); err == nil {
			box.Close()
			t.Errorf("%s was opened", name)
		}
	}
}

func TestGetOfAMissingMessage(t *testing.T) {
	r := start(t, file(t))
	if _, err := r.Get(t.Context(), 7); !errors.Is(err, mailbox.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

func TestUnreadablePartsDoNotHideTheOthers(t *testing.T) {
	r := start(t, file(t))
	raw := "Message-ID: <1@x>\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nCaf\xe9\r\n" +
		"--b\r\nContent-Type: application/pdf; name=\"../../etc/x\"\r\nContent-Disposition: attachment; filename=\"..\\\\..\\\\evil.pdf\"\r\n\r\n%PDF\r\n" +
		"--b\r\nContent-Type: application/zip\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!\r\n--b--\r\n"
	r.hello(t).hand(250, raw, "a@example.com")
	got, err := r.Get(t.Context(), r.list(t, mailbox.Query{})[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != "Café" || strings.TrimSpace(got.Text) != "Café" || got.Fault == "" {
		t.Errorf("subject %q, text %q, fault %q", got.Subject, got.Text, got.Fault)
	}
	if len(got.Attachments) != 1 || got.Attachments[0].Name != "evil.pdf" || !bytes.Equal(bytes.TrimSpace(got.Attachments[0].Data), []byte("%PDF")) {
		t.Errorf("attachments %+v", got.Attachments)
	}
}
