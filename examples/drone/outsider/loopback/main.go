package loopback

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/skaldhq/skald/examples/program"
)

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
	return program.Serve(ctx, stop, s)
}
