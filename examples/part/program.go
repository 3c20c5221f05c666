package part

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// patience is how long a program lets requests end after it was told to stop.
const patience = 10 * time.Second

// Flags defines the flags that every service's program has, with the environment's LISTEN, DATA and EVENTS as defaults.
func Flags(f *flag.FlagSet, c *Config) {
	f.StringVar(&c.Listen, "listen", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:0"), "loopback `address` to listen on; LISTEN")
	f.StringVar(&c.Data, "data", cmp.Or(os.Getenv("DATA"), "./data"), "`folder` of the database; DATA")
	f.StringVar(&c.Events, "events", os.Getenv("EVENTS"), "`URL` that takes the service's events; empty: they wait in the outbox; EVENTS")
}

// Main starts a part, prints one line that says where it listens, and serves until the process is told to stop (SIGINT or SIGTERM) or the part
// fails. A second signal ends the process at once.
func Main(start func(ctx context.Context) (*Part, error)) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p, err := start(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%s listens on %s\n", p.Name(), p.URL())
	var failure error
	select {
	case <-ctx.Done():
		stop()
	case failure = <-p.Failed():
	}
	soft, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return errors.Join(failure, p.Stop(soft))
}
