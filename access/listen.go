package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Listening says how a program wants to be reached.
type Listening struct {
	Address       string // host:port
	Authenticated bool   // nothing but signs of life is answered without an identity
	TLS           bool   // this program encrypts
	BehindProxy   bool   // something in front of it does, and nobody reaches it otherwise
	Mend          string // what to do where it may not listen so, beside listening on the loopback interface; to turn on access control or TLS, as far as that is missing
}

// Check says why a program must not listen so, and the mend: other machines reach it, and it lacks authentication or encryption. A name counts as other machines' unless it is localhost;
// what that stands for Listen checks.
func (l Listening) Check() error {
	host, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return fmt.Errorf("the address %q cannot be listened on: write host and port, such as 127.0.0.1:8080", l.Address)
	}
	if ThisMachine(host) {
		return nil
	}
	return l.guarded(fmt.Sprintf("the address %q", l.Address), port)
}

// ThisMachine says whether a host, a name or a number without a port, is this machine and nothing else: localhost, or an address of the loopback interface. Other names count as other machines', whatever they stand for.
func ThisMachine(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// guarded says what is missing where other machines can ask.
func (l Listening) guarded(address, port string) error {
	var missing, mend string
	switch {
	case !l.Authenticated && !l.TLS && !l.BehindProxy:
		missing, mend = "nothing here asks who they are or encrypts", "turn on access control and TLS (or say that a proxy with TLS stands in front)"
	case !l.Authenticated:
		missing, mend = "nothing here asks who they are", "turn on access control"
	case !l.TLS && !l.BehindProxy:
		missing, mend = "keys would travel in the clear", "give a certificate and its key, say that a proxy with TLS stands in front"
	default:
		return nil
	}
	return fmt.Errorf("%s can be reached by other machines, and %s: %s, or listen on 127.0.0.1:%s", address, missing, cmp.Or(l.Mend, mend), port)
}

// Listen checks, and opens a TCP listener, which it checks again: a name may stand for anything. Its errors say the mend; one that a port is in use wraps syscall.EADDRINUSE.
func (l Listening) Listen(ctx context.Context) (net.Listener, error) {
	if err := l.Check(); err != nil {
		return nil, err
	}
	x, err := new(net.ListenConfig).Listen(ctx, "tcp", l.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &inUseError{l.Address}
	}
	if err != nil {
		return nil, fmt.Errorf("the address %q cannot be listened on: %w", l.Address, err)
	}
	at, err := netip.ParseAddrPort(x.Addr().String())
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		if why := l.guarded(fmt.Sprintf("the address %q, which stands for %s,", l.Address, x.Addr()), fmt.Sprint(at.Port())); why != nil {
			return nil, errors.Join(why, x.Close())
		}
	}
	return x, nil
}

// inUseError says that another program listens there, and the mend instead of the system's words.
type inUseError struct{ address string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("%s is in use: stop the program that listens there, or choose another port", e.address)
}

// Unwrap lets callers recognise the cause.
func (e *inUseError) Unwrap() error { return syscall.EADDRINUSE }
