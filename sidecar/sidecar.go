package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/filelock"
	skaldmetrics "github.com/skaldhq/skald/metrics"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Sidecar stands beside a service until it is stopped. Its methods may be called concurrently.
type Sidecar struct {
	cfg     Config
	inbox   *inbox
	service target
	lock    *filelock.Lock
	served  *skald.Service // nil without a broker
	http    *http.Server
	address string

	background context.CancelFunc
	working    sync.WaitGroup
	once       sync.Once
	failed     chan struct{}
	err        error // set before failed is closed
}

// Open starts a sidecar. It does not need the service to be there: what cannot be passed on is tried again. The context bounds the opening only. The error lists everything that is
// wrong with the configuration.
func Open(ctx context.Context, cfg Config) (*Sidecar, error) {
	s := &Sidecar{failed: make(chan struct{})}
	faults := cfg.defaults()
	service, err := newTarget(&cfg)
	operations, wrong := handlers(cfg.Name, cfg.Sagas, cfg.Events != nil)
	if err := errors.Join(faults, err, wrong); err != nil {
		return nil, fmt.Errorf("sidecar: %w:\n%w", ErrUsage, err)
	}
	s.cfg, s.service = cfg, service
	if err := s.open(ctx, operations); err != nil {
		return nil, errors.Join(fmt.Errorf("sidecar: %w", err), s.close())
	}
	return s, nil
}

func (s *Sidecar) open(ctx context.Context, operations []participant.Handler) error {
	if err := s.openInbox(ctx, operations); err != nil {
		return err
	}
	listener, err := s.cfg.listening().Listen(ctx)
	if err != nil {
		return err
	}
	s.address = listener.Addr().String()
	if s.cfg.Broker != nil {
		s.served, err = skald.Serve(ctx, skald.ServiceConfig{Broker: s.cfg.Broker, Name: s.cfg.Name, Desk: s.inbox, Sagas: s.cfg.Sagas, Redact: s.cfg.Redact, Logger: s.cfg.Log})
		if err == nil {
			err = skaldmetrics.RegisterService(s.inbox.watch.registry, s.cfg.Name, s.served)
		}
		if err != nil {
			_ = listener.Close()
			return err
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.background = stop
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, TLSConfig: s.cfg.TLS, ErrorLog: slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn)}
	serve := s.http.Serve
	if s.cfg.TLS != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	s.working.Go(func() {
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serving calls: %w", err))
		}
	})
	s.working.Go(func() { s.inbox.prune(background) })
	s.working.Go(func() { _ = s.inbox.Tidy(background) }) // it ends with its context only
	if s.served != nil {
		s.working.Go(func() {
			select {
			case <-s.served.Failed():
				s.fail(s.served.Err())
			case <-background.Done():
			}
		})
	}
	if events := s.cfg.Events; events != nil {
		if s.cfg.Tracer != nil {
			events = s.cfg.Tracer.Publisher(events)
		}
		s.working.Go(func() { _ = s.inbox.Relay(background, events) }) // it ends with its context only
	}
	return nil
}

// openInbox opens the database and what stands on it.
func (s *Sidecar) openInbox(ctx context.Context, operations []participant.Handler) (err error) {
	if err := os.MkdirAll(s.cfg.Data, 0o700); err != nil {
		return fmt.Errorf("the folder of the data: %w; name one that can be written to", err)
	}
	if s.lock, err = filelock.Acquire(filepath.Join(s.cfg.Data, "lock"), s.cfg.Data); err != nil {
		return err
	}
	db, err := sqlparticipant.OpenSQLite(filepath.Join(s.cfg.Data, "sidecar.db"))
	if err != nil {
		return err
	}
	var service participant.Invoker = s.service.client
	if s.cfg.Sealed != nil {
		service = s.cfg.Sealed.Invoker(service)
	}
	if s.cfg.Tracer != nil {
		service = s.cfg.Tracer.Invoker(service)
	}
	s.inbox = &inbox{db: db, service: service, tracer: s.cfg.Tracer, sagas: s.cfg.Sagas, kinds: make(map[string]participant.Handler), watch: newMetrics(), log: s.cfg.Log, now: s.cfg.Now}
	s.inbox.Participant, err = sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: s.cfg.Name, Retention: retention, Log: s.cfg.Log, Now: s.cfg.Now}, operations...)
	if err != nil {
		return err
	}
	for _, h := range operations {
		s.inbox.kinds[h.Action] = h
		if h.Compensation != "" {
			s.inbox.kinds[h.Compensation] = h
		}
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return fmt.Errorf("making the tables: %w", err)
	}
	if err := s.inbox.left.read(ctx, s.inbox, s.cfg.Name); err != nil {
		return err
	}
	s.inbox.watch.gauges(db, s.cfg.Name, func() bool {
		_, ready := s.look(context.Background())
		return ready
	})
	return nil
}

// fail says that the sidecar ended by itself. The first error stands.
func (s *Sidecar) fail(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.failed)
	})
}

// Address is the host and port that calls, health and metrics are served on.
func (s *Sidecar) Address() string { return s.address }

// Failed is closed when the sidecar ended by itself; Err says why. What is durable goes on after the next start.
func (s *Sidecar) Failed() <-chan struct{} { return s.failed }

// Err is why the sidecar ended by itself, or nil.
func (s *Sidecar) Err() error {
	select {
	case <-s.failed:
		return s.err
	default:
		return nil
	}
}

// Stop takes nothing new in, waits for calls under way until ctx ends, and closes everything but the broker. What is not answered then is asked again after the next start.
func (s *Sidecar) Stop(ctx context.Context) error {
	var faults []error
	if s.served != nil {
		if err := s.served.Stop(ctx); err != nil && s.Err() == nil {
			faults = append(faults, err)
		}
	}
	if err := s.http.Shutdown(ctx); err != nil {
		faults = append(faults, err, s.http.Close())
	}
	s.background()
	s.working.Wait()
	return errors.Join(append(faults, s.close())...)
}

// close closes what was opened.
func (s *Sidecar) close() error {
	var faults []error
	if s.background != nil {
		s.background()
	}
	if s.inbox != nil {
		faults = append(faults, s.inbox.db.Close())
	}
	if s.lock != nil {
		faults = append(faults, s.lock.Release())
	}
	s.service.egress.Close()
	return errors.Join(faults...)
}
