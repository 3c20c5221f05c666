// Package system puts the parts of the drone system together in one process, on a broker that it is given: Package (in Go, or in JavaScript as a process of its own), the drone scheduler, Delivery, Remediation, the outsiders' service with a demo outsider, and
// Ingestion with the page. Each keeps its own database and its own port, and they speak to each other over the broker only, as they would in processes of their own.
//
// It promises nothing beyond what its parts do, and listens on loopback only.
package system

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/area"
	"github.com/skaldhq/skald/examples/drone/deliver"
	"github.com/skaldhq/skald/examples/drone/flight"
	"github.com/skaldhq/skald/examples/drone/page"
	"github.com/skaldhq/skald/examples/drone/service/ingestion"
)

// Config says where the system runs.
type Config struct {
	Listen string        // loopback address of the front door; default "127.0.0.1:0", a free port
	Data   string        // folder of all databases; made if it is missing. Required
	Broker broker.Broker // carries everything; stays the caller's, who closes it after Stop. Required
	// DeadLetters are the broker's. Default: Broker itself, which must keep them.
	DeadLetters broker.DeadLetters
	TimeFactor  float64       // how much faster than on the clock time runs in the air; flight.DefaultFactor
	Deadline    time.Duration // of a delivery; deliver.DefaultDeadline
	Fleet       []area.Drone  // that joins; area.Fleet
	Package     Language      // of the Package service; Go
	Pages       http.Handler  // served at "/"; page.Handler()
	Logger      *slog.Logger  // default: none
}

// System is the running system. Its methods may be called concurrently.
type System struct {
	config Config
	log    *slog.Logger
	saga   *skald.Saga[deliver.Request]
	parcel choice
	front  *ingestion.Ingestion

	mu    sync.Mutex
	parts map[string]running // by name

	watching sync.WaitGroup
	closing  chan struct{}
	failed   chan error
	stop     sync.Once
	stopErr  error
}

// running is a part that was started.
type running interface {
	URL() string
	Stop(ctx context.Context) error
}

// Start starts everything and returns when deliveries are taken. ctx bounds the start only. The caller stops the system.
func Start(ctx context.Context, c Config) (*System, error) {
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.TimeFactor = cmp.Or(c.TimeFactor, flight.DefaultFactor)
	c.Package = cmp.Or(c.Package, Go)
	if c.Data == "" || c.Broker == nil {
		return nil, errors.New("the drone system cannot start: give it Data, a folder, and a Broker")
	}
	if c.DeadLetters == nil {
		c.DeadLetters, _ = c.Broker.(broker.DeadLetters)
	}
	if c.DeadLetters == nil {
		return nil, errors.New("the drone system cannot start: its broker keeps no dead letters; use natsbroker")
	}
	if c.Pages == nil {
		c.Pages = page.Handler()
	}
	saga, err := deliver.Definition(c.Deadline)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(ctx, c.Package, c.Data)
	if err != nil {
		return nil, fmt.Errorf("the drone system cannot start: %w", err)
	}
	s := &System{config: c, parcel: chosen, log: c.Logger, saga: saga, parts: make(map[string]running), closing: make(chan struct{}), failed: make(chan error, 1)}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("the drone system cannot start: %w", err), s.Stop(ctx))
	}
	return s, nil
}

func (s *System) start(ctx context.Context) (err error) {
	for _, name := range Services() {
		if err := s.StartService(ctx, name); err != nil {
			return err
		}
	}
	s.front, err = ingestion.Start(ctx, ingestion.Config{
		Listen: s.config.Listen, Data: s.config.Data, Broker: s.config.Broker, Saga: s.saga, Services: s.services(), Pages: s.config.Pages,
		Factor: s.config.TimeFactor, Sidecars: s.sidecars(), Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.watch(s.front.Failed())
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

// Package says in a line which program the Package service is, and why.
func (s *System) Package() string { return s.parcel.String() }

// URL is where the front door and the page are reached, without a slash at the end.
func (s *System) URL() string { return s.front.URL() }

// Failed has an error once a part had to stop by itself; the caller still stops the system.
func (s *System) Failed() <-chan error { return s.failed }

// Stop ends everything: softly, so that requests and work under way end, then hard when ctx ends. Deliveries under way go on after the next start. The broker stays open.
func (s *System) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		close(s.closing)
		var faults []error
		if s.front != nil {
			faults = append(faults, s.front.Stop(ctx))
		}
		s.stopErr = errors.Join(append(faults, s.stopParts(ctx))...)
		s.watching.Wait()
	})
	return s.stopErr
}

// stopParts stops all parts, each in its own time, and waits for them.
func (s *System) stopParts(ctx context.Context) error {
	s.mu.Lock()
	parts := s.parts
	s.parts = make(map[string]running)
	s.mu.Unlock()
	failed := make(chan error, len(parts))
	for _, p := range parts {
		go func() { failed <- p.Stop(ctx) }()
	}
	var faults []error
	for range parts {
		faults = append(faults, <-failed)
	}
	return errors.Join(faults...)
}

// letterBroker is a broker with its dead letters.
type letterBroker struct {
	broker.Broker
	broker.DeadLetters
}
