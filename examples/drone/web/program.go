package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/program"
)

// Program is a service that a process runs.
type Program interface {
	program.Running
	URL() string
}

// Main opens the broker at a URL, waiting for one that is not there yet, starts a service, prints one line that says where it listens, and serves until the process is told to stop
// (SIGINT or SIGTERM) or the service fails. A second signal ends the process at once.
func Main[P Program](name, brokerURL string, out io.Writer, start func(ctx context.Context, b broker.Broker) (P, error)) error {
	if brokerURL == "" {
		return fmt.Errorf("%s needs a broker: give its URL, such as BROKER=nats://127.0.0.1:4222", name)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := natsbroker.Await(ctx, natsbroker.Config{URL: brokerURL})
	if err != nil {
		return err
	}
	p, err := start(ctx, b)
	if err != nil {
		return errors.Join(err, b.Close())
	}
	fmt.Fprintf(out, "%s listens on %s\n", name, p.URL())
	return errors.Join(program.Serve(ctx, stop, p), b.Close())
}
