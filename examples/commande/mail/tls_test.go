package mail_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/skaldhq/skald/examples/commande/mail"
	"github.com/skaldhq/skald/examples/commande/mailbox"
)

// guarded is an SMTP server that takes mail only over TLS and from one user.
type guarded struct {
	mu        sync.Mutex
	delivered []string
	commands  int // MAIL commands seen at all
}

type guardedSession struct {
	server *guarded
	conn   *smtp.Conn
	known  bool
}

func (g *guarded) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &guardedSession{server: g, conn: c}, nil
}

func (s *guardedSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *guardedSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "shop" || password != "hunter2" {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}), nil
}

func (s *guardedSession) Mail(string, *smtp.MailOptions) error {
	s.server.mu.Lock()
	s.server.commands++
	s.server.mu.Unlock()
	if _, encrypted := s.conn.TLSConnectionState(); !encrypted || !s.known {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "authentication required"}
	}
	return nil
}
func (s *guardedSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *guardedSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	s.server.mu.Lock()
	s.server.delivered = append(s.server.delivered, string(data))
	s.server.mu.Unlock()
	return err
}
func (s *guardedSession) Reset()        {}
func (s *guardedSession) Logout() error { return nil }

// startGuarded returns the server, its address, and whom to trust for its certificate.
func startGuarded(t *testing.T) (*guarded, string, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	backend := &guarded{}
	server := smtp.NewServer(backend)
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.ErrorLog = quiet{}
	listener := listen(t)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return backend, listener.Addr().String(), pool
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func TestMessageGoesOverSTARTTLSWithAPassword(t *testing.T) {
	server, address, pool := startGuarded(t)
	s := sender(t, mail.Config{Address: address, TLS: mail.TLSRequired, RootCAs: pool, Username: "shop", Password: "hunter2"})
	if err := s.Send(t.Context(), letter("zoe@example.com")); err != nil {
		t.Fatal(err)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.delivered) != 1 || !strings.Contains(server.delivered[0], s.MessageID("receipt/R-1")) {
		t.Errorf("the server has %q", server.delivered)
	}
}

func TestNothingIsSentWithoutTrustOrTLS(t *testing.T) {
	server, guardedAddress, pool := startGuarded(t)
	box, plainAddress := open(t)
	cases := map[string]mail.Config{
		"a certificate nobody vouches for": {Address: guardedAddress, TLS: mail.TLSRequired},
		"a server without STARTTLS":        {Address: plainAddress, TLS: mail.TLSRequired, RootCAs: pool},
		"a wrong password":                 {Address: guardedAddress, TLS: mail.TLSRequired, RootCAs: pool, Username: "shop", Password: "wrong-one"},
	}
	for name, config := range cases {
		t.Run(name, func(t *testing.T) {
			err := sender(t, config).Send(t.Context(), letter("zoe@example.com"))
			var rejected *mail.RejectedError
			if err == nil || errors.As(err, &rejected) {
				t.Fatalf("%v, want an error that is not about the message", err)
			}
			if strings.Contains(err.Error(), "wrong-one") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.commands != 0 {
		t.Errorf("%d transactions began", server.commands)
	}
	if list, err := box.List(t.Context(), mailbox.Query{}); err != nil || len(list) != 0 {
		t.Errorf("%d messages (%v) are stored", len(list), err)
	}
}

// A server that asks for a password has not refused the customer's address.
func TestMissingPasswordIsNotARejectedError(t *testing.T) {
	_, address, pool := startGuarded(t)
	err := sender(t, mail.Config{Address: address, TLS: mail.TLSRequired, RootCAs: pool}).Send(t.Context(), letter("zoe@example.com"))
	var rejected *mail.RejectedError
	if err == nil || errors.As(err, &rejected) || !strings.Contains(err.Error(), "530") {
		t.Fatalf("%v, want 530 as an ordinary error", err)
	}
}
