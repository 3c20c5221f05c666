package httpparticipant

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// ErrForbidden is wrapped by the errors for addresses that must not be called.
var ErrForbidden = errors.New("forbidden address")

// EgressConfig says what may be called. The zero value lets a coordinator call its own services: loopback, private and public addresses.
type EgressConfig struct {
	// NoLoopback forbids 127.0.0.0/8 and ::1.
	NoLoopback bool
	// NoPrivate forbids private networks: 10/8, 172.16/12, 192.168/16, 100.64/10 and fc00::/7.
	NoPrivate bool
	// Idle is the number of connections kept open to one host. It should be no less than the calls in flight to it. Default: 256.
	Idle int
	// TLS is used for https. Default: Go's defaults.
	TLS *tls.Config
	// Socket is the path of a Unix socket to which every connection goes, whatever the host in the address says: for a service on this machine that opens no
	// port. The rules about addresses do not apply to it. Default: none.
	Socket string
	// Resolver finds the addresses of names. Default: net.DefaultResolver. What it says is checked when a connection is made,
	// so a name that changes its address in between gains nothing.
	Resolver *net.Resolver
}

// Egress is the one way out: all clients and publishers of a process share one, and whatever else asks strangers (Client). It checks the address of every connection when it is
// made, follows no redirects, uses no proxy, and speaks HTTP/1.1 over connections that it keeps. It may be used concurrently.
type Egress struct {
	transport *http.Transport
	rules     *egressRules // nil: every connection goes to one socket
}

// NewEgress returns a way out. Close it when nothing calls any more.
func NewEgress(cfg EgressConfig) *Egress {
	idle := cfg.Idle
	if idle <= 0 {
		idle = 256
	}
	rules := newEgressRules(cfg)
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Resolver: cfg.Resolver,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return rules.check(network, address)
		}}
	dial := dialer.DialContext
	if cfg.Socket != "" {
		local := &net.Dialer{Timeout: dialer.Timeout}
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return local.DialContext(ctx, "unix", cfg.Socket)
		}
	}
	e := &Egress{rules: &rules}
	if cfg.Socket != "" {
		e.rules = nil
	}
	e.transport = &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        cfg.TLS,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
		DisableCompression:     true,
		// Proxy is nil: the environment must not reroute calls.
	}
	return e
}

// Allows refuses an address whose host is a number that must not be called, with an error that wraps ErrForbidden: for those who keep addresses, so that they need not find it out with the first call. What a name stands for is decided
// whenever it is called, and an address that cannot be read is for others to refuse.
func (e *Egress) Allows(address string) error {
	if u, err := url.Parse(address); err == nil && e.rules != nil {
		if number, err := netip.ParseAddr(u.Hostname()); err == nil {
			return e.rules.permit(number)
		}
	}
	return nil
}

// Client makes other requests the same guarded way, such as those to an issuer of tokens or to a webhook. It follows no redirects: the answer is the redirect.
func (e *Egress) Client(timeout time.Duration) *http.Client {
	return &http.Client{Transport: e.transport, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Close closes the connections that nothing uses.
func (e *Egress) Close() { e.transport.CloseIdleConnections() }
