package front

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/mattn/go-isatty"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/natsbroker"
	commande "github.com/skaldhq/skald/examples/commande/system"
	drone "github.com/skaldhq/skald/examples/drone/system"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/program"
)

// Distances of the systems' ports from the page's.
const (
	shopPort  = 1
	dronePort = 20
)

// All says where both systems run together.
type All struct {
	Listen  string         // loopback address of the front page; the systems take ports after it. Port 0: any free ports. Required
	Data    string         // folder of everything, made if it is missing. Required
	Mode    skald.Mode     // of new orders until somebody chooses; default: orchestrated
	SMTP    string         // host:port of another mail server for the receipts; default: the one that comes with the order system
	From    string         // sender of the receipts
	Factor  float64        // how much faster than on the clock drones fly; default: the drone system's
	Package drone.Language // of the drone system's Package service; default: Go
	Logger  *slog.Logger   // default: none
}

// Both are the running systems with their front page. Its methods may be called concurrently.
type Both struct {
	Orders *commande.System
	Drones *drone.System

	page    *served
	server  *natsbroker.Server
	brokers []*natsbroker.Broker
	failed  chan error
	closing chan struct{}
	watch   sync.WaitGroup
	once    sync.Once
	err     error
}

// Start starts the broker, both systems and the page. ctx bounds the start only. The caller stops what was started.
func Start(ctx context.Context, c All) (*Both, error) {
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Data == "" {
		return nil, errors.New("there is no folder for the data: give one, such as DATA=./data")
	}
	listener, err := local.Listen(ctx, c.Listen)
	if err != nil {
		return nil, err
	}
	b := &Both{failed: make(chan error, 1), closing: make(chan struct{})}
	if err := b.start(ctx, c, listener); err != nil {
		_ = listener.Close()
		return nil, errors.Join(err, b.Stop(ctx))
	}
	return b, nil
}

func (b *Both) start(ctx context.Context, c All, l net.Listener) (err error) {
	if b.server, err = natsbroker.Start(natsbroker.ServerConfig{Dir: filepath.Join(c.Data, "broker"), Log: c.Logger}); err != nil {
		return err
	}
	orders, err := b.connect(ctx, "", c.Logger) // as the order system by itself has it, so that it can go on with the same data
	if err != nil {
		return err
	}
	b.Orders, err = commande.Start(ctx, commande.Config{
		Listen: after(l, c.Listen, shopPort), Data: c.Data, Broker: orders, Mode: c.Mode, SMTP: c.SMTP, From: c.From, Logger: c.Logger,
	})
	if err != nil {
		return err
	}
	b.follow(b.Orders.Failed())
	flights, err := b.connect(ctx, "drone", c.Logger)
	if err != nil {
		return err
	}
	b.Drones, err = drone.Start(ctx, drone.Config{
		Listen: after(l, c.Listen, dronePort), Data: filepath.Join(c.Data, "drone"), Broker: flights, DeadLetters: flights, TimeFactor: c.Factor, Package: c.Package, Logger: c.Logger,
	})
	if err != nil {
		return err
	}
	b.follow(b.Drones.Failed())
	page, err := New(Config{Shop: b.Orders.URL(), Drone: b.Drones.URL(), Metrics: b.metrics(ctx), Logger: c.Logger})
	if err != nil {
		return err
	}
	b.page = serve(l, page.Handler(), c.Logger)
	b.follow(b.page.failed)
	return nil
}

// connect opens a connection to the broker whose topics are the system's own, under its namespace: two systems that share a broker need not know each other.
func (b *Both) connect(ctx context.Context, namespace string, log *slog.Logger) (*natsbroker.Broker, error) {
	x, err := natsbroker.Open(ctx, natsbroker.Config{Server: b.server, Namespace: namespace, Log: log})
	if err != nil {
		return nil, err
	}
	b.brokers = append(b.brokers, x)
	return x, nil
}

// after is the address at a distance from the page's, or any if that is taken or the page was to have any.
func after(l net.Listener, asked string, distance int) string {
	at, isTCP := l.Addr().(*net.TCPAddr)
	if _, port, err := net.SplitHostPort(asked); err != nil || port == "0" || !isTCP || at.Port+distance > 65535 {
		return local.AnyPort
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(at.Port+distance))
	free, err := net.Listen("tcp", address) //nolint:noctx // closed at once
	if err != nil {
		return local.AnyPort
	}
	_ = free.Close()
	return address
}

// metrics are the addresses of all numbers. Some parts of the drone system have none.
func (b *Both) metrics(ctx context.Context) []Link {
	list := []Link{{"orders", b.Orders.URL() + "/metrics"}}
	for _, name := range commande.Services() {
		list = append(list, Link{name, b.Orders.Service(name) + "/metrics"})
	}
	list = append(list, Link{"deliveries", b.Drones.URL() + "/metrics"})
	for _, name := range drone.Services() {
		if at := b.Drones.Service(name); at != "" {
			list = append(list, Link{name, at + "/metrics"})
		}
	}
	return slices.DeleteFunc(list, func(l Link) bool { return !answers(ctx, l.URL) })
}

// answers says whether there is something at an address.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(q)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// follow takes a part's failure as the whole's.
func (b *Both) follow(failed <-chan error) {
	b.watch.Go(func() {
		select {
		case err := <-failed:
			select {
			case b.failed <- err:
			default: // one reason is enough
			}
		case <-b.closing:
		}
	})
}

// Failed has an error once a part had to stop by itself; the caller still stops the rest.
func (b *Both) Failed() <-chan error { return b.failed }

// URL is where the front page is, without a slash at the end.
func (b *Both) URL() string { return b.page.url() }

// Stop ends everything: softly, and hard when ctx ends. What is under way goes on after the next start with the same data.
func (b *Both) Stop(ctx context.Context) error {
	b.once.Do(func() {
		close(b.closing)
		if b.page != nil {
			b.page.stop(ctx)
		}
		var orders, drones error
		var stopping sync.WaitGroup
		if b.Orders != nil {
			stopping.Go(func() { orders = b.Orders.Stop(ctx) })
		}
		if b.Drones != nil {
			stopping.Go(func() { drones = b.Drones.Stop(ctx) })
		}
		stopping.Wait()
		var faults []error
		for _, x := range b.brokers {
			faults = append(faults, x.Close())
		}
		if b.server != nil {
			faults = append(faults, b.server.Close())
		}
		b.watch.Wait()
		b.err = errors.Join(orders, drones, errors.Join(faults...))
	})
	return b.err
}

// Run is the program: it starts both systems as the flags and the environment say, prints one screen, and returns the exit code when SIGINT or SIGTERM has stopped it (0) or
// something failed (1). A second signal ends the process at once.
func Run(args []string, env func(string) string, out, problems *os.File) int {
	c, ok := parse(args, env, problems)
	if !ok {
		return 2
	}
	c.Logger = slog.New(slog.NewTextHandler(problems, &slog.HandlerOptions{Level: slog.LevelWarn}))
	slog.SetDefault(c.Logger)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := Start(ctx, c)
	if err != nil {
		fmt.Fprintf(problems, "The systems cannot start: %v\n", err)
		return 1
	}
	b.screen(out, isatty.IsTerminal(out.Fd()) && env("NO_COLOR") == "", os.Getpid())
	if err := program.Serve(ctx, stop, b); err != nil {
		fmt.Fprintf(problems, "The systems have failed: %v\n", err)
		return 1
	}
	fmt.Fprintln(out, "Stopped. What was under way goes on after the next start with the same data.")
	return 0
}

// parse reads flags, whose defaults are the environment's. What is wrong is printed.
func parse(args []string, env func(string) string, problems io.Writer) (c All, ok bool) {
	f := flag.NewFlagSet("all", flag.ContinueOnError)
	f.SetOutput(problems)
	f.StringVar(&c.Listen, "listen", cmp.Or(env("LISTEN"), "127.0.0.1:8080"), "loopback `address` of the front page; LISTEN")
	f.StringVar(&c.Data, "data", cmp.Or(env("DATA"), "./data"), "`folder` of everything; DATA")
	f.StringVar((*string)(&c.Mode), "mode", cmp.Or(env("MODE"), string(skald.Orchestrated)), "`mode` of new orders until somebody chooses: orchestrated or choreographed; MODE")
	f.StringVar(&c.SMTP, "smtp", env("SMTP"), "`host:port` of another mail server for the receipts; SMTP")
	f.StringVar(&c.From, "from", env("FROM"), "`sender` of the receipts; FROM")
	f.StringVar((*string)(&c.Package), "package", cmp.Or(env("PACKAGE"), string(drone.Auto)),
		"`language` of the drone system's Package service: go, node, or auto for node where it is installed; PACKAGE")
	factor := f.String("time-factor", env("TIME_FACTOR"), "how many `times` faster than on the clock drones fly; TIME_FACTOR")
	if err := f.Parse(args); err != nil {
		return c, false
	}
	if f.NArg() > 0 {
		fmt.Fprintf(problems, "%q is not understood: everything is said with flags, see -help\n", f.Arg(0))
		return c, false
	}
	if *factor != "" {
		var err error
		if c.Factor, err = strconv.ParseFloat(*factor, 64); err != nil || c.Factor <= 0 {
			fmt.Fprintf(problems, "The time factor %q is not a number above 0.\n", *factor)
			return c, false
		}
	}
	return c, true
}

// screen prints what there is, what to try and how to stop.
func (b *Both) screen(w io.Writer, colour bool, pid int) {
	in := func(code, text string) string {
		if !colour {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	const bold, dim, link = "1", "2", "36"
	var s strings.Builder
	fmt.Fprintf(&s, "\n%s  %s\n\n", in(bold, "Skald: both systems run."), in(bold+";"+link, b.URL()+"/"))
	for _, line := range []struct{ what, where string }{
		{"shop", b.Orders.URL() + "/shop/"}, {"mailbox", b.Orders.URL() + "/mailbox/"}, {"drones", b.Drones.URL() + "/"}, {"new orders", string(b.Orders.Mode())},
	} {
		fmt.Fprintf(&s, "  %-14s %s\n", line.what, in(link, line.where))
	}
	fmt.Fprintf(&s, "  %-14s runs %s\n", "package", b.Drones.Package())
	fmt.Fprintf(&s, "\n  %s\n", in(bold, "Try"))
	for _, line := range []struct{ what, how string }{
		{"choose the mode", "on the front page, or: -mode choreographed"},
		{"buy something", "in the shop, with card 4242 4242 4242 4242"},
		{"be declined", "card 4000 0000 0000 0002: watch everything being undone"},
		{"make a step fail", "the button \"Make it fail\" in the shop"},
		{"send a parcel", "on the drones' page"},
		{"pull the plug", fmt.Sprintf("kill -9 %d during an order, then start again", pid)},
	} {
		fmt.Fprintf(&s, "  %-17s %s\n", line.what, line.how)
	}
	fmt.Fprintf(&s, "\n  %s\n\n", in(dim, "Ctrl-C stops it. What is under way goes on after the next start with the same data."))
	_, _ = io.WriteString(w, s.String()) // to a terminal that may be gone
}
