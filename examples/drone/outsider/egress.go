package outsider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// errForbidden is wrapped by the errors for addresses that are not called.
var errForbidden = errors.New("forbidden address")

// newClient returns the way out to strangers' servers: it checks the address of every connection when it is made, so a name that changes its address gains nothing,
// follows no redirect and uses no proxy.
func newClient(c Config) *http.Client {
	never := special()
	dialer := &net.Dialer{Timeout: 5 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %q is no address", errForbidden, address)
		}
		return allowed(at.Addr(), c.AllowLoopback, never)
	}}
	return &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 32 << 10,
			DisableCompression:     true,
		},
	}
}

// allowed lets public addresses pass, and loopback where the configuration says so. Outsiders are strangers: what they name must not lead into private networks.
func allowed(a netip.Addr, loopback bool, never []netip.Prefix) error {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() && loopback {
		return nil
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return fmt.Errorf("%w: %s is not public", errForbidden, a)
	}
	for _, n := range never {
		if n.Contains(a) {
			return fmt.Errorf("%w: %s is special or leads to another address", errForbidden, a)
		}
	}
	return nil
}

// special are the networks of IANA's special-purpose registries (RFC 6890) that netip takes for ordinary ones, the translations and tunnels into IPv4, and the
// metadata services of clouds that are neither private nor link-local.
func special() []netip.Prefix {
	var all []netip.Prefix
	for _, n := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "168.63.129.16/32",
		"::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(n))
	}
	return all
}
