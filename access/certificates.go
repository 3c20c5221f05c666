package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Certificates names the files with which a program shows who it is, and finds out who others are. They are PEM. A certificate that is renewed is read again, without a restart; a
// CA that changes needs one.
type Certificates struct {
	Cert string   // the program's certificate, and those between it and its CA
	Key  string   // the certificate's private key
	CA   string   // whose certificates others have to show. A server without one asks nobody for theirs, a client without one trusts the system's
	From []string // of a server with a CA: the names (DNS) of which a caller's certificate must have one; without, any certificate of the CA will do
}

// Server is the configuration of a server. With a CA, nobody without a certificate gets as far as a request.
func (c Certificates) Server() (*tls.Config, error) {
	own, err := c.own()
	if err != nil {
		return nil, err
	}
	if own == nil {
		return nil, errors.New("a server needs a certificate and its key: give both files")
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.current() }}
	if c.CA == "" {
		if len(c.From) > 0 {
			return nil, errors.New("the names of callers mean nothing without the CA of their certificates: give its file")
		}
		return t, nil
	}
	if t.ClientCAs, err = pool(c.CA); err != nil {
		return nil, err
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	from := slices.Clone(c.From)
	t.VerifyConnection = func(s tls.ConnectionState) error {
		if len(from) == 0 {
			return nil
		}
		for _, name := range from {
			if len(s.PeerCertificates) > 0 && slices.Contains(s.PeerCertificates[0].DNSNames, name) {
				return nil
			}
		}
		return fmt.Errorf("the caller's certificate has none of the names %q", from)
	}
	return t, nil
}

// Client is the configuration of a client, which shows its certificate to servers that ask for it.
func (c Certificates) Client() (*tls.Config, error) {
	own, err := c.own()
	if err != nil {
		return nil, err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if own != nil {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.current() }
	}
	if c.CA != "" {
		t.RootCAs, err = pool(c.CA)
	}
	return t, err
}

// MutualServer says whether a server's configuration lets in only those whose certificate it has verified.
func MutualServer(t *tls.Config) bool {
	return t != nil && t.ClientAuth == tls.RequireAndVerifyClientCert && t.ClientCAs != nil
}

func pool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the CA cannot be read: %w", err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return p, nil
}

// own is the program's certificate, or nil if it has none.
func (c Certificates) own() (*pair, error) {
	if c.Cert == "" && c.Key == "" {
		return nil, nil //nolint:nilnil // none is asked for
	}
	if c.Cert == "" || c.Key == "" {
		return nil, errors.New("a certificate and its key belong together: give both files")
	}
	p := &pair{cert: c.Cert, key: c.Key}
	_, err := p.current()
	return p, err
}

// pair is a certificate with its key, as they lie in their files now.
type pair struct {
	cert, key string
	mu        sync.Mutex
	read      *tls.Certificate
	of        [2]time.Time // when the files changed that were read
}

// current is the certificate. It looks at the files' times for each handshake; a pair that cannot be read, as in the middle of being renewed, leaves the one before in use.
func (p *pair) current() (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var of [2]time.Time
	for i, name := range []string{p.cert, p.key} {
		info, err := os.Stat(name)
		if err != nil {
			return p.before(err)
		}
		of[i] = info.ModTime()
	}
	if p.read != nil && of == p.of {
		return p.read, nil
	}
	c, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return p.before(err)
	}
	p.read, p.of = &c, of
	return p.read, nil
}

func (p *pair) before(err error) (*tls.Certificate, error) {
	if p.read != nil {
		return p.read, nil
	}
	return nil, fmt.Errorf("the certificate %s cannot be used: %w", p.cert, err)
}
