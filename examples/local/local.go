// Package local keeps the examples' programs on this machine: they listen on its loopback addresses, and answer only who asks for these by name or number.
//
// Nothing here authenticates or encrypts, and other people's programs on the same machine are not kept out.
package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/skaldhq/skald/examples/problem"
)

// AnyPort is the address to listen on when any free port will do.
const AnyPort = "127.0.0.1:0"

// Check says what is wrong with an address (host:port) that a program is to listen on, and the mend.
func Check(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("the address %q cannot be listened on: write host and port, such as 127.0.0.1:8080", address)
	}
	if !named(host) {
		return fmt.Errorf("the address %q can be reached by other machines, and nothing here asks for a password: listen on 127.0.0.1:%s", address, port)
	}
	return nil
}

// Listen opens a TCP listener on this machine's loopback. Any other address is refused, as Check does. Its errors say the mend; one that a port is in use wraps syscall.EADDRINUSE.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	if err := Check(address); err != nil {
		return nil, err
	}
	host, port, _ := net.SplitHostPort(address)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &inUseError{port, host}
	}
	if err != nil {
		return nil, fmt.Errorf("the address %q cannot be listened on: %w", address, err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() { // localhost may be anything
		return nil, errors.Join(fmt.Errorf("the address %q stands for %s, which other machines can reach: listen on 127.0.0.1:%s", address, l.Addr(), port), l.Close())
	}
	return l, nil
}

// inUseError says that another program listens there, and the mend instead of the system's words.
type inUseError struct{ port, host string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("port %s on %s is in use: stop the program that listens there, or choose another port, such as LISTEN=127.0.0.1:8090", e.port, e.host)
}

// Unwrap lets callers recognise the cause.
func (e *inUseError) Unwrap() error { return syscall.EADDRINUSE }

// Only passes on requests for a name of this machine and answers others with 421: a page of the internet whose name was made to stand for this machine must not read or change what
// is here.
func Only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil { // no port
			host = strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
		}
		if !named(host) {
			problem.New(http.StatusMisdirectedRequest, "This program serves 127.0.0.1 and localhost only; ask for it under one of these names.").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// named says whether a host's name or number stands for this machine's loopback.
func named(host string) bool { return host == "localhost" || net.ParseIP(host).IsLoopback() }
