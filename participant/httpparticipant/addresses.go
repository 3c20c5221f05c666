package httpparticipant

import (
	"fmt"
	"net/netip"
)

// egressRules decide on addresses.
type egressRules struct {
	noLoopback, noPrivate bool
	never                 []forbiddenNet
	translated            []netip.Prefix // IPv6 networks whose last four bytes are an IPv4 address
	sixToFour             netip.Prefix   // 6to4, RFC 3056: bytes 2 to 5 are an IPv4 address
	shared                netip.Prefix   // RFC 6598, used like private networks by carriers and overlay networks
}

type forbiddenNet struct {
	net netip.Prefix
	why string
}

// newEgressRules lists what no configuration allows: networks from IANA's special-purpose registries (RFC 6890), and those metadata services
// of clouds that are not link-local.
func newEgressRules(cfg EgressConfig) egressRules {
	never := func(why string, nets ...string) (all []forbiddenNet) {
		for _, n := range nets {
			all = append(all, forbiddenNet{netip.MustParsePrefix(n), why})
		}
		return all
	}
	r := egressRules{noLoopback: cfg.NoLoopback, noPrivate: cfg.NoPrivate,
		sixToFour: netip.MustParsePrefix("2002::/16"), shared: netip.MustParsePrefix("100.64.0.0/10")}
	r.never = append(r.never, never("a cloud's metadata service", "100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::/32")...)
	r.never = append(r.never, never("for documentation only", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")...)
	r.never = append(r.never, never("reserved", "0.0.0.0/8", "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "fec0::/10", "100::/64", "5f00::/16")...)
	r.never = append(r.never, never("a tunnel or a translation", "2001::/32", "64:ff9b:1::/48", "192.88.99.0/24")...)
	for _, n := range []string{"64:ff9b::/96", "::/96", "::ffff:0:0:0/96"} { // NAT64, IPv4-compatible, IPv4-translated
		r.translated = append(r.translated, netip.MustParsePrefix(n))
	}
	return r
}

// check looks at the address that is about to be connected to, after all names are resolved.
func (r egressRules) check(network, address string) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return fmt.Errorf("%w: network %s", ErrForbidden, network)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is no address", ErrForbidden, address)
	}
	return r.permit(at.Addr())
}

// permit says why an address must not be called, if it must not.
func (r egressRules) permit(a netip.Addr) error {
	if why := r.forbids(a); why != "" {
		return fmt.Errorf("%w: %s is %s", ErrForbidden, a, why)
	}
	return nil
}

// forbids says why an address must not be called, or nothing.
func (r egressRules) forbids(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback():
		return when(r.noLoopback, "loopback")
	case a.IsUnspecified():
		return "unspecified"
	case a.IsLinkLocalUnicast():
		return "link-local, where clouds keep credentials"
	case a.IsMulticast():
		return "multicast"
	}
	for _, f := range r.never {
		if f.net.Contains(a) {
			return f.why
		}
	}
	if inner, ok := r.inner(a); ok {
		if why := r.forbids(inner); why != "" {
			return fmt.Sprintf("a way to %s, which is %s", inner, why)
		}
	}
	return when(r.noPrivate && (a.IsPrivate() || r.shared.Contains(a)), "private")
}

func when(forbidden bool, why string) string {
	if forbidden {
		return why
	}
	return ""
}

// inner returns the IPv4 address to which a translator or a tunnel would bring an IPv6 address.
func (r egressRules) inner(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return netip.Addr{}, false
	}
	b := a.As16()
	if r.sixToFour.Contains(a) {
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	for _, n := range r.translated {
		if n.Contains(a) {
			return netip.AddrFrom4([4]byte(b[12:16])), true
		}
	}
	return netip.Addr{}, false
}
