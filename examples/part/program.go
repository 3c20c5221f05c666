package part

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/program"
)

// Flags defines the flags that every service's program has, with the environment's LISTEN, DATA, EVENTS and BROKER as defaults.
func Flags(f *flag.FlagSet, c *Config) {
	f.StringVar(&c.Listen, "listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"), "loopback `address` to listen on; LISTEN")
	f.StringVar(&c.Data, "data", cmp.Or(os.Getenv("DATA"), "./data"), "`folder` of the database; DATA")
	f.StringVar(&c.Events, "events", os.Getenv("EVENTS"), "`URL` that takes the service's events; empty: they wait in the outbox; EVENTS")
	f.StringVar(&c.BrokerURL, "broker", os.Getenv("BROKER"), "`URL` of the NATS server that carries choreographed sagas; empty: only calls over HTTP; BROKER")
}

// Main opens the broker that c names, if it names one, starts a part, prints one line that says where it listens, and serves until the process is told to stop (SIGINT or
// SIGTERM) or the part fails. A broker that is not there yet is waited for. A second signal ends the process at once.
func Main(c *Config, start func(ctx context.Context) (*Part, error)) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.BrokerURL != "" {
		b, err := natsbroker.Await(ctx, natsbroker.Config{URL: c.BrokerURL, Log: c.Logger})
		if err != nil {
			return err
		}
		defer func() { _ = b.Close() }() // what it held is handed out again
		c.Broker = b
	}
	p, err := start(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s listens on %s\n", p.Name(), p.URL())
	return program.Serve(ctx, stop, p)
}
