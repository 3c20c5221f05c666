package node

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/program"
)

// Main is the service with its sidecar as a program: it prints one line that says where the service listens, and goes on until it is told to stop (SIGINT or SIGTERM) or one of the
// two fails. A broker that is not there yet is waited for. It returns the exit code.
func Main(args []string, env func(string) string, out, problems io.Writer) int {
	var c Config
	var broker string
	f := flag.NewFlagSet(Name, flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&c.Listen, "listen", cmp.Or(env("LISTEN"), "127.0.0.1:0"), "loopback `address` of the service; LISTEN")
	f.StringVar(&c.Service, "service", env("SERVICE"), "`URL` of the service where it runs by itself; empty: it is started, and stopped, with its sidecar; SERVICE")
	f.StringVar(&c.Sidecar, "sidecar", cmp.Or(env("SIDECAR"), "127.0.0.1:0"), "loopback `address` of its sidecar; SIDECAR")
	f.StringVar(&c.Data, "data", cmp.Or(env("DATA"), "./data"), "`folder` of the service's book and the sidecar's database; DATA")
	f.StringVar(&broker, "broker", env("BROKER"), "`URL` of the NATS server that carries the sagas; BROKER")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if f.NArg() > 0 || broker == "" {
		fmt.Fprintln(problems, "package: give -broker, the URL of the NATS server that carries the sagas, and nothing but flags; see -help")
		return 2
	}
	c.Log = slog.New(slog.NewTextHandler(problems, nil))
	if err := c.run(broker, out); err != nil {
		fmt.Fprintf(problems, "package: %v\n", err)
		return 1
	}
	return 0
}

func (c Config) run(broker string, out io.Writer) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.Saga, err = deliver.Definition(0); err != nil {
		return err
	}
	if c.Broker, err = natsbroker.Await(ctx, natsbroker.Config{URL: broker, Log: c.Log}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Broker.Close()) }()
	s, err := Start(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s listens on %s, its sidecar on %s\n", Name, s.URL(), s.Sidecar())
	return program.Serve(ctx, stop, s)
}
