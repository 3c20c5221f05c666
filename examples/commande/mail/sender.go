package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// TLS says whether the connection is encrypted with STARTTLS.
type TLS int

const (
	// TLSByAddress asks for STARTTLS unless the server is on this machine's loopback.
	TLSByAddress TLS = iota
	// TLSRequired asks for STARTTLS everywhere.
	TLSRequired
)

// Config says which server takes the messages.
type Config struct {
	Address  string         // host:port; required
	From     string         // the sender, "Shop <shop@example.com>" or a plain address; required
	Username string         // empty: no authentication
	Password string         // never appears in an error
	TLS      TLS            // default TLSByAddress
	RootCAs  *x509.CertPool // whom to trust for the server's certificate; nil: whom the machine trusts
	Timeout  time.Duration  // of one Send from dialling to the end; default 10 s
}

// Sender sends messages, each over its own connection. It is safe for concurrent use and holds nothing to close.
type Sender struct {
	config Config
	host   string
	port   int
	from   *mail.Address
	plain  bool // without TLS, and then only to a loopback address
}

// New checks the configuration and reports every fault of it at once. It does not connect.
func New(config Config) (*Sender, error) {
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	var faults []error
	host, portText, err := net.SplitHostPort(config.Address)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	if err != nil || portErr != nil || host == "" || port == 0 {
		faults = append(faults, fmt.Errorf("address: %q is not host:port", config.Address))
	}
	from, err := mail.ParseAddress(config.From)
	if err != nil {
		faults = append(faults, fmt.Errorf("from: %q is not an address", config.From))
	}
	if config.Timeout < 0 {
		faults = append(faults, fmt.Errorf("timeout: %s is negative", config.Timeout))
	}
	if config.TLS != TLSByAddress && config.TLS != TLSRequired {
		faults = append(faults, fmt.Errorf("TLS: %d is neither TLSByAddress nor TLSRequired", config.TLS))
	}
	if config.Username == "" && config.Password != "" {
		faults = append(faults, errors.New("username: there is a password and no user name"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("mail configuration: %w", err)
	}
	plain := config.TLS == TLSByAddress && isLoopback(host)
	return &Sender{config: config, host: host, port: int(port), from: from, plain: plain}, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// MessageID is the Message-ID, without angle brackets, of the message with this key from this sender.
func (s *Sender) MessageID(key string) string {
	_, domain, _ := strings.Cut(s.from.Address, "@")
	return messageID(key, domain)
}

// Send hands the message to the server and returns nil once the server has taken it. The error is a *RejectedError
// when the server refuses the message or its recipient with a 5xx reply, or the recipient's address is not one. Every
// other error may pass, and a time-out or a lost connection may hide that the message was taken: send it again with
// the same key. A message that no server could take (no key, no text) is an ordinary error too.
func (s *Sender) Send(ctx context.Context, m Message) error {
	if err := m.validate(); err != nil {
		return fmt.Errorf("message %q: %w", m.Key, err)
	}
	to, err := plainAddress(m.To)
	if err != nil {
		return newRejected(0, err.Error())
	}
	msg, err := m.compose(s.from.String(), s.MessageID(m.Key))
	if err != nil {
		return fmt.Errorf("message %q: %w", m.Key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	err = s.deliver(ctx, msg, to)
	var rejected *RejectedError
	switch {
	case err == nil, errors.As(err, &rejected):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("send message %q through %s: %w (%w)", m.Key, s.config.Address, ctx.Err(), err)
	}
	return fmt.Errorf("send message %q through %s: %w", m.Key, s.config.Address, err)
}

// deliver owns the connection: it is closed when deliver returns or ctx ends, whichever comes first.
func (s *Sender) deliver(ctx context.Context, msg *gomail.Msg, to string) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	client, err := s.client(conn)
	if err != nil {
		return err
	}
	session, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("open the session: %w", err)
	}
	if err := transmit(session, msg, s.from.Address, to); err != nil {
		return err
	}
	_ = session.Quit() // the server has taken the message: how the talk ends changes nothing
	return nil
}

// dial connects. A connection that will not be encrypted is refused when the name led away from this machine.
func (s *Sender) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.config.Address)
	if err != nil {
		return nil, err
	}
	if remote, ok := conn.RemoteAddr().(*net.TCPAddr); s.plain && (!ok || !remote.IP.IsLoopback()) {
		conn.Close()
		return nil, fmt.Errorf("%s leads to %s: set TLS to TLSRequired to send beyond this machine", s.config.Address, conn.RemoteAddr())
	}
	return conn, nil
}

func (s *Sender) client(conn net.Conn) (*gomail.Client, error) {
	options := []gomail.Option{
		gomail.WithPort(s.port),
		gomail.WithTimeout(s.config.Timeout),
		gomail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
		gomail.WithTLSPolicy(gomail.TLSMandatory),
		gomail.WithTLSConfig(&tls.Config{ServerName: s.host, RootCAs: s.config.RootCAs, MinVersion: tls.VersionTLS12}),
	}
	if s.plain {
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.config.Username != "" {
		options = append(options, gomail.WithUsername(s.config.Username), gomail.WithPassword(s.config.Password),
			gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover))
	}
	return gomail.NewClient(s.host, options...)
}

// transmit is one mail transaction. It returns nil only after the server's answer to the end of the data.
func transmit(session *smtp.Client, msg *gomail.Msg, from, to string) error {
	if err := session.Mail("<" + from + ">"); err != nil {
		return classify("sender", err)
	}
	if err := session.Rcpt("<" + to + ">"); err != nil {
		return classify("recipient", err)
	}
	data, err := session.Data()
	if err != nil {
		return classify("data", err)
	}
	if _, err := msg.WriteTo(data); err != nil {
		return classify("data", err)
	}
	if err := data.Close(); err != nil {
		return classify("end of data", err)
	}
	return nil
}

// classify makes a RejectedError of a reply that no repetition will change (RFC 5321, section 4.2.1). 530 is about
// this program, which did not authenticate or encrypt, and not about the message.
func classify(during string, err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 500 && reply.Code <= 599 && reply.Code != 530 {
		return newRejected(reply.Code, reply.Msg)
	}
	return fmt.Errorf("%s: %w", during, err)
}
