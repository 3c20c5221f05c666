package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// patience is how long a program lets requests and work under way end after it was told to stop.
const patience = 10 * time.Second

// Program is a service that a process runs.
type Program interface {
	URL() string
	Failed() <-chan error
	Stop(ctx context.Context) error
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
	failure := wait(ctx, p.Failed())
	stop()
	soft, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(failure, p.Stop(soft), b.Close())
}

// wait returns why a service failed, or nil when it is to stop.
func wait(ctx context.Context, failed <-chan error) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}
