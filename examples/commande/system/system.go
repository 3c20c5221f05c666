// Package system puts the parts of the order system together in one process: the card company's stand-in, the mail server with its
// mailbox, the five services, and OrchestratorService with the shop's pages. Each part keeps its own database and its own port, and speaks to
// the others over HTTP, SMTP and the broker only, as it would in a process of its own.
//
// It is what `make run` starts. It promises nothing beyond what its parts do, and listens on loopback only.
package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/commande/gateway"
	"github.com/skaldhq/skald/examples/commande/mailbox"
	"github.com/skaldhq/skald/examples/commande/orchestrator"
	"github.com/skaldhq/skald/examples/commande/shop"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/part"
)

// Config says where the system runs.
type Config struct {
	Listen string        // loopback address of the shop; the services take the ports after it where they are free. Port 0: any free ports. Required
	Data   string        // folder of all databases; made if it is missing. Required
	Broker broker.Broker // carries choreographed orders, and is not closed here; default: one in this process, without a port
	Mode   skald.Mode    // of new orders, until somebody chooses; default: orchestrated
	SMTP   string        // host:port of another mail server for the receipts; default: the one that comes with the system
	From   string        // sender of the receipts; default: DefaultFrom

	GatewayTimeout time.Duration // how long PaiementService waits for the card company; default 2 s
	MaxInFlight    int           // orders under way until new ones are refused; default as in skald.Config
	Logger         *slog.Logger  // default: none
}

// DefaultFrom sends the receipts unless the configuration says otherwise.
const DefaultFrom = "Commande <shop@commande.example>"

// System is the running system. Its methods may be called concurrently.
type System struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
	ports    ports

	broker  *ownBroker // nil if it was given
	gateway *gatewayServer
	mailbox *mailbox.Mailbox
	smtp    net.Listener
	shop    *orchestrator.Orchestrator

	mu    sync.Mutex
	parts map[string]*part.Part

	watching sync.WaitGroup
	closing  chan struct{}
	failed   chan error
	stop     sync.Once
	stopErr  error
}

// Start starts everything and returns when orders are taken. ctx bounds the start only. The caller stops the system.
func Start(ctx context.Context, c Config) (*System, error) {
	c.From = cmp.Or(c.From, DefaultFrom)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Data == "" {
		return nil, errors.New("there is no folder for the data: give one, such as DATA=./data")
	}
	listener, err := local.Listen(ctx, c.Listen)
	if err != nil {
		return nil, err
	}
	s := &System{
		config: c, log: c.Logger, listener: listener, ports: portsAfter(c.Listen, listener),
		parts: make(map[string]*part.Part), closing: make(chan struct{}), failed: make(chan error, 1),
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(ctx))
	}
	return s, nil
}

func (s *System) start(ctx context.Context) (err error) {
	if err := os.MkdirAll(s.config.Data, 0o700); err != nil {
		return fmt.Errorf("the folder for the data cannot be made: %w", err)
	}
	if s.config.Broker == nil {
		if s.broker, err = startBroker(ctx, s.config.Data, s.log); err != nil {
			return fmt.Errorf("the broker cannot start: %w", err)
		}
		s.config.Broker = s.broker
	}
	if err := s.startOutside(ctx); err != nil {
		return err
	}
	for _, name := range Services() {
		if err := s.start1(ctx, name, s.ports.next()); err != nil {
			return err
		}
	}
	s.shop, err = orchestrator.Start(ctx, orchestrator.Config{
		Listener: s.listener, Data: s.config.Data, Services: s.services(), Broker: s.config.Broker, Mode: s.config.Mode, Pages: shop.Handler(), Mailbox: s.mailbox.Handler(),
		SMTP: s.config.SMTP, Shown: s.shown(), MaxInFlight: s.config.MaxInFlight, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.watch(s.shop.Failed())
	return nil
}

// startOutside starts what stands for the world outside the shop: the card company and the mail server.
func (s *System) startOutside(ctx context.Context) (err error) {
	listener, err := s.ports.listen(ctx, gatewayPort)
	if err != nil {
		return err
	}
	s.gateway = serveGateway(listener, gateway.New(gateway.Config{}), s.log)
	s.watch(s.gateway.failed)
	if s.mailbox, err = mailbox.Open(filepath.Join(s.config.Data, "mailbox.db")); err != nil {
		return err
	}
	if s.smtp, err = s.ports.listen(ctx, smtpPort); err != nil {
		return err
	}
	failed := make(chan error, 1)
	s.watch(failed)
	s.watching.Go(func() {
		if err := s.mailbox.Serve(s.smtp); err != nil {
			failed <- fmt.Errorf("the mail server cannot be reached any more: %w", err)
		}
	})
	return nil
}

// watch takes a part's failure as the system's.
func (s *System) watch(failed <-chan error) {
	s.watching.Go(func() {
		select {
		case err := <-failed:
			select {
			case s.failed <- err:
			default: // one reason is enough
			}
		case <-s.closing:
		}
	})
}

// Failed has an error once a part had to stop by itself; the caller still stops the system.
func (s *System) Failed() <-chan error { return s.failed }

// Left is how many orders had no outcome when the system was stopped: they go on after the next start with the same data.
func (s *System) Left() int { return s.shop.Left() }

// URL is where the shop is reached, without a slash at the end.
func (s *System) URL() string { return s.shop.URL() }

// Mode is the mode of new orders now.
func (s *System) Mode() skald.Mode { return s.shop.Mode() }

// Mailbox is where the receipts arrive.
func (s *System) Mailbox() *mailbox.Mailbox { return s.mailbox }

// Stop ends everything: softly, so that calls and requests under way are answered, then hard when ctx ends. The error does not say that something was cut
// off, which loses nothing; it says what failed.
func (s *System) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		var faults []error
		if s.shop != nil {
			faults = append(faults, s.shop.Drain(ctx)) // takes events in until the services are gone
		}
		close(s.closing)
		s.stopParts(ctx)
		switch {
		case s.shop != nil:
			faults = append(faults, s.shop.Stop(ctx))
		default:
			_ = s.listener.Close() // of a start that failed; it may be closed already
		}
		if s.mailbox != nil {
			faults = append(faults, s.mailbox.Close())
		}
		if s.gateway != nil {
			faults = append(faults, s.gateway.close())
		}
		s.watching.Wait()
		if s.broker != nil {
			faults = append(faults, s.broker.close())
		}
		s.stopErr = errors.Join(faults...)
	})
	return s.stopErr
}
