package system

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/program"
)

// Run is the all-in-one program: it starts a broker and the system as the flags and the environment say, says where, and returns the exit code when SIGINT or SIGTERM has stopped it (0) or
// something failed (1). A second signal ends the process at once.
func Run(args []string, env func(string) string, out, problems io.Writer) int {
	c, ok := parse(args, env, problems)
	if !ok {
		return 2
	}
	c.Logger = slog.New(slog.NewTextHandler(problems, &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, stop, c, out); err != nil {
		fmt.Fprintf(problems, "The drone system has failed: %v\n", err)
		return 1
	}
	fmt.Fprintln(out, "Stopped. Deliveries under way go on after the next start with the same data.")
	return 0
}

// run starts the broker and the system, and stops them when ctx ends.
func run(ctx context.Context, stop func(), c Config, out io.Writer) error {
	server, err := natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(c.Data, "broker"), Log: c.Logger})
	if err != nil {
		return err
	}
	b, err := natsbroker.Open(ctx, natsbroker.Config{Server: server, Log: c.Logger})
	if err != nil {
		return errors.Join(err, server.Close())
	}
	c.Broker = b
	s, err := Start(ctx, c)
	if err != nil {
		return errors.Join(err, b.Close(), server.Close())
	}
	s.screen(out)
	return errors.Join(program.Serve(ctx, stop, s), b.Close(), server.Close())
}

// parse reads flags, whose defaults are the environment's. What is wrong is printed.
func parse(args []string, env func(string) string, problems io.Writer) (c Config, ok bool) {
	factor, err := strconv.ParseFloat(cmp.Or(env("TIME_FACTOR"), strconv.Itoa(flight.DefaultFactor)), 64)
	if err != nil {
		fmt.Fprintf(problems, "TIME_FACTOR is not a number: %v\n", err)
		return c, false
	}
	f := flag.NewFlagSet("drone", flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&c.Listen, "listen", cmp.Or(env("LISTEN"), "127.0.0.1:8090"), "loopback `address` of the front door; LISTEN")
	f.StringVar(&c.Data, "data", cmp.Or(env("DATA"), "./data"), "`folder` of all databases and of the broker; DATA")
	f.Float64Var(&c.TimeFactor, "factor", factor, "how much faster than on the clock time runs in the air; TIME_FACTOR")
	f.StringVar((*string)(&c.Package), "package", cmp.Or(env("PACKAGE"), string(Auto)), "`language` of the Package service: go, node, or auto for node where it is installed; PACKAGE")
	if err := f.Parse(args); err != nil {
		return c, false
	}
	if f.NArg() > 0 {
		fmt.Fprintf(problems, "%q is not understood: everything is said with flags, see -help\n", f.Arg(0))
		return c, false
	}
	return c, true
}

// screen says what runs where.
func (s *System) screen(w io.Writer) {
	fmt.Fprintf(w, "\nSkald: the drone system runs.  %s/\n\n  %-14s %s\n", s.URL(), "ingestion", s.URL())
	for _, name := range Services() {
		fmt.Fprintf(w, "  %-14s %s\n", name, s.Service(name))
	}
	fmt.Fprintf(w, "\n  Package runs %s.\n", s.parcel)
	fmt.Fprint(w, "\n  Ctrl-C stops it. Deliveries under way go on after the next start with the same data.\n\n")
}
