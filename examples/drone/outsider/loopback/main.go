package loopback

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"
)

// patience is how long a program lets requests end after it was told to stop.
const patience = 10 * time.Second

// Main starts a server, prints one line that says where it listens, and serves until the process is told to stop (SIGINT or SIGTERM) or the server
// fails. A second signal ends the process at once.
func Main(start func(ctx context.Context) (*Server, error)) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := start(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s listens on %s\n", s.Name(), s.URL())
	var failure error
	select {
	case <-ctx.Done():
		stop()
	case failure = <-s.Failed():
	}
	soft, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(failure, s.Stop(soft))
}
