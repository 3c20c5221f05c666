package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// Await is Open for a server elsewhere that may not run yet: programs may be started in any order. It tries again, after pauses of up to a second, until the server can be reached
// or ctx ends; then the error wraps the context's cause and the last attempt's. What is set up wrongly, such as credentials, is an error at once, as with Open.
func Await(ctx context.Context, cfg Config) (*Broker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		b, err := Open(ctx, cfg)
		if err == nil || !unreachable(err) {
			return b, err
		}
		cfg.Log.WarnContext(ctx, "the broker is not there yet; trying again", "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("natsbroker: waiting for %s: %w: %w, or start the server", cfg.where(), context.Cause(ctx), err)
		}
	}
}

// unreachable says whether an error of Open means that there is no server now, or that it went away meanwhile. Any other says that something is set up wrongly.
func unreachable(err error) bool {
	if errors.Is(err, nats.ErrAuthorization) {
		return false
	}
	var network *net.OpError
	if errors.As(err, &network) || transient(err) {
		return true
	}
	for _, known := range []error{nats.ErrNoServers, nats.ErrConnectionClosed, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
