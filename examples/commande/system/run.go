package system

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/program"
)

// Run is the all-in-one program: it starts the system as the flags and the environment say, prints one screen, and returns the exit code when
// SIGINT or SIGTERM has stopped it (0) or something failed (1). A second signal ends the process at once.
func Run(args []string, env func(string) string, out, problems *os.File) int {
	c, ok := parse(args, env, problems)
	if !ok {
		return 2
	}
	c.Logger = slog.New(slog.NewTextHandler(problems, &slog.HandlerOptions{Level: slog.LevelInfo}))
	slog.SetDefault(c.Logger)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := Start(ctx, c)
	if err != nil {
		fmt.Fprintf(problems, "The order system cannot start: %v\n", err)
		return 1
	}
	s.screen(out, isatty.IsTerminal(out.Fd()) && env("NO_COLOR") == "", os.Getpid())
	if err := program.Serve(ctx, stop, s); err != nil {
		fmt.Fprintf(problems, "The order system has failed: %v\n", err)
		return 1
	}
	fmt.Fprintln(out, stopped(s.Left()))
	return 0
}

// stopped is the last line: that it ended, and what is not lost.
func stopped(left int) string {
	switch left {
	case 0:
		return "Stopped. Every order has its end."
	case 1:
		return "Stopped. 1 order goes on after the next start."
	}
	return fmt.Sprintf("Stopped. %d orders go on after the next start.", left)
}

// parse reads flags, whose defaults are the environment's. What is wrong is printed.
func parse(args []string, env func(string) string, problems io.Writer) (c Config, ok bool) {
	f := flag.NewFlagSet("commande", flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&c.Listen, "listen", cmp.Or(env("LISTEN"), "127.0.0.1:8080"), "loopback `address` of the shop; LISTEN")
	f.StringVar(&c.Data, "data", cmp.Or(env("DATA"), "./data"), "`folder` of all databases; DATA")
	f.StringVar(&c.SMTP, "smtp", env("SMTP"), "`host:port` of another mail server for the receipts; SMTP")
	f.StringVar((*string)(&c.Mode), "mode", cmp.Or(env("MODE"), string(skald.Orchestrated)), "`mode` of new orders until somebody chooses: orchestrated or choreographed; MODE")
	f.StringVar(&c.From, "from", env("FROM"), "`sender` of the receipts; FROM")
	if err := f.Parse(args); err != nil {
		return c, false
	}
	if f.NArg() > 0 {
		fmt.Fprintf(problems, "%q is not understood: everything is said with flags, see -help\n", f.Arg(0))
		return c, false
	}
	return c, true
}
