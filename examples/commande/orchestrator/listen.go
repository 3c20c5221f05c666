package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// inUseError says that another program listens there, and the mend instead of the system's words.
type inUseError struct{ port, host string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("port %s on %s is in use: stop the program that listens there, or choose another port, such as LISTEN=127.0.0.1:8090", e.port, e.host)
}

// Unwrap lets callers recognise the cause.
func (e *inUseError) Unwrap() error { return syscall.EADDRINUSE }

// Listen opens a TCP listener on this machine's loopback. Any other address is refused: nothing here asks for a password. Its errors say the mend.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the address %q cannot be listened on: write host and port, such as 127.0.0.1:8080", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("the address %q can be reached by other machines, and nothing here asks for a password: listen on 127.0.0.1:%s", address, port)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
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
