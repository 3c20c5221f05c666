package httpparticipant

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
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
	// Resolver finds the addresses of names. Default: net.DefaultResolver. What it says is checked when a connection is made,
	// so a name that changes its address in between gains nothing.
	Resolver *net.Resolver
}

// Egress is the one way out: all clients and publishers of a process share one. It checks the address of every connection when it is
// made, follows no redirects, uses no proxy, and speaks HTTP/1.1 over connections that it keeps. It may be used concurrently.
type Egress struct {
	transport *http.Transport
}

// NewEgress returns a way out. Close it when nothing calls any more.
func NewEgress(cfg EgressConfig) *Egress {
	idle := cfg.Idle
	if idle <= 0 {
		idle = 256
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second, Resolver: cfg.Resolver,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return cfg.check(network, address)
		}}
	return &Egress{transport: &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        cfg.TLS,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
		DisableCompression:     true,
		// Proxy is nil: the environment must not reroute calls.
	}}
}

// Close closes the connections that nothing uses.
func (e *Egress) Close() { e.transport.CloseIdleConnections() }

// check looks at the address that is about to be connected to, after all names are resolved.
func (cfg EgressConfig) check(network, address string) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return fmt.Errorf("%w: network %s", ErrForbidden, network)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no address", ErrForbidden, address)
	}
	if why := cfg.forbids(at.Addr()); why != "" {
		return fmt.Errorf("%w: %s is %s", ErrForbidden, at.Addr(), why)
	}
	return nil
}

// forbids says why an address must not be called, or nothing.
func (cfg EgressConfig) forbids(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback():
		return when(cfg.NoLoopback, "loopback")
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLinkLocalUnicast():
		return "link-local, where clouds keep credentials"
	case a.IsMulticast():
		return "multicast"
	}
	for _, f := range never() {
		if f.net.Contains(a) {
			return f.why
		}
	}
	if inner, ok := embedded(a); ok {
		if why := cfg.forbids(inner); why != "" {
			return "a way to " + inner.String() + ", which is " + why
		}
	}
	if a.IsPrivate() || sharedSpace.Contains(a) {
		return when(cfg.NoPrivate, "private")
	}
	return ""
}

func when(forbidden bool, why string) string {
	if forbidden {
		return why
	}
	return ""
}

// sharedSpace is RFC 6598's, which carriers and overlay networks use like private networks.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

type forbiddenNet struct {
	net netip.Prefix
	why string
}

// never lists what no configuration allows: IANA's special-purpose registries (RFC 6890) and the metadata services of
// clouds that are not link-local.
func never() []forbiddenNet { return forbiddenNets[:] }

var forbiddenNets = [...]forbiddenNet{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved for protocols"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation only"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation only"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation only"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks only"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved or broadcast"},
	{netip.MustParsePrefix("100.100.100.200/32"), "a cloud's metadata service"},
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata service"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "a cloud's metadata service"},
	{netip.MustParsePrefix("fd20:ce::/32"), "a cloud's metadata service"},
	{netip.MustParsePrefix("fec0::/10"), "site-local, which was withdrawn"},
	{netip.MustParsePrefix("100::/64"), "discarded"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation only"},
	{netip.MustParsePrefix("2001::/32"), "a Teredo tunnel"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "a local translation"},
}

// embedded returns the IPv4 address to which a translator or a tunnel would bring an IPv6 address.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	switch {
	case netip.MustParsePrefix("64:ff9b::/96").Contains(a), netip.MustParsePrefix("::/96").Contains(a), netip.MustParsePrefix("::ffff:0:0:0/96").Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true // NAT64; IPv4-compatible; IPv4-translated
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true // 6to4
	}
	return netip.Addr{}, false
}
