package theatre

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/examples/program"
)

// Run is the program: it opens the theatre, begins visits of every kind in both modes, and stays until it is told to stop. It returns the exit code.
func Run(args []string, out, log io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	flags := flag.NewFlagSet("theatre", flag.ContinueOnError)
	flags.SetOutput(log)
	c := Config{Outsiders: true, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))}
	flags.StringVar(&c.Listen, "listen", "127.0.0.1:8090", "loopback address of the API and the console")
	flags.StringVar(&c.Data, "data", "data/theatre", "folder of the databases")
	flags.BoolVar(&c.Guarded, "guarded", false, "ask everybody who they are; a key for each role is printed")
	visits := flags.Int("visits", 40, "visits that go well, beside one of each trouble in each mode")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	t, err := Start(ctx, c)
	if err != nil {
		fmt.Fprintln(log, err)
		return 1
	}
	if err := t.fill(ctx, *visits); err != nil {
		fmt.Fprintln(log, err)
	}
	if err := t.showKeys(ctx, out); err != nil {
		fmt.Fprintln(log, err)
	}
	fmt.Fprintf(out, "The console is at %s/ (Ctrl-C ends it)\n", t.URL())
	if err := program.Serve(ctx, stop, t); err != nil {
		fmt.Fprintln(log, err)
		return 1
	}
	return 0
}

// showKeys makes a key of a guarded theatre for each role, to practise with.
func (t *Theatre) showKeys(ctx context.Context, out io.Writer) error {
	if !t.config.Guarded {
		return nil
	}
	for i, role := range []access.Role{access.Reader, access.Operator, access.Admin} {
		key, err := t.Key(ctx, guests[i], role)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s, %s: %s\n", guests[i], role, key)
	}
	return nil
}

var guests = []string{"Ada Lovelace", "Alan Turing", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Tony Hoare"}

// fill begins visits that go well, and one of each trouble.
func (t *Theatre) fill(ctx context.Context, well int) error {
	shows := []string{"Edda", "Völuspá", "Hávamál"}
	for i := range well {
		mode := []skald.Mode{skald.Orchestrated, skald.Choreographed}[i%2]
		v := Visit{Visitor: guests[i%len(guests)], Show: shows[i%len(shows)], Seats: 1 + i%4}
		begin := t.Begin
		if i%5 == 4 {
			begin = t.BeginFormer
		}
		if _, err := begin(ctx, v, skald.InMode(mode), skald.WithKey(fmt.Sprintf("booking-%04d", 1000+i))); err != nil {
			return err
		}
	}
	for i, x := range []Trouble{SoldOut, Declined, Unreleased, Unclear, NoPaper, FullBox, FullBox, FullBox} {
		for _, mode := range []skald.Mode{skald.Orchestrated, skald.Choreographed} {
			v := Visit{Visitor: guests[i%len(guests)], Show: shows[i%len(shows)], Seats: 2, Trouble: x}
			if _, err := t.Begin(ctx, v, skald.InMode(mode), skald.WithKey(fmt.Sprintf("trouble-%d", i))); err != nil {
				return err
			}
		}
	}
	return nil
}
