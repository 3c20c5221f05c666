// Package part runs one service of an example system: its SQLite database with the barrier and the outbox, its HTTP server with the
// operations, the metrics and the failure switches, the relay that sends its events, the forgetting of what is old and, with a broker, its side in choreographed sagas. A service brings its tables, its
// handlers and its own pages (see Service); the programs, one per service or all in one, start parts and stop them.
//
// A part listens on loopback only and neither authenticates nor encrypts. It does not watch over the saga: that is the
// coordinator's.
package part

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/examples/switches"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Config says where a part runs.
type Config struct {
	// Name is the service's name, the source of its events and the name of its database file. Default: the service's own.
	Name string
	// Listen is the loopback address of the HTTP server. Default: "127.0.0.1:0", a free port.
	Listen string
	// Data is the folder of the database <Data>/<Name>.db. Both are made if they are missing. Required.
	Data string
	// Events is the URL that takes the service's events, as CloudEvents. Empty: they stay in the outbox, unless there is a Publisher.
	Events string
	// Publisher takes the service's events instead of the URL. The part does not close it. May be nil.
	Publisher participant.Publisher
	// Broker carries choreographed sagas. With it the part takes part in those of Service.Sagas beside answering calls over HTTP. The part does not close it, and stops before
	// it. Nil: calls are answered over HTTP only.
	Broker broker.Broker
	// BrokerURL is where Main finds the Broker, such as "nats://127.0.0.1:4222"; several, of one cluster, are separated by commas. Start does not read it.
	BrokerURL string
	// Logger takes what an operator should know. Default: slog.Default().
	Logger *slog.Logger
}

// Service is what makes a part the service that it is.
type Service struct {
	// Handlers carry the operations out.
	Handlers []participant.Handler
	// Sagas are the definitions that the operations stand in, the same as the program has that starts them. With Config.Broker there must be one; without it they are
	// not used.
	Sagas []skald.Registered
	// Reason is the reason code of refusals that a failure switch makes.
	Reason string
	// Routes adds the service's own pages. Paths of operations, switches, metrics and livez are taken. May be nil.
	Routes func(mux *http.ServeMux)
	// Background is work beside the calls, until its context ends. It returns soon after. May be nil.
	Background func(ctx context.Context)
	// Close is called last, when nothing uses the service any more. May be nil.
	Close func()
}

// Build makes the service on its migrated database. The database stays the part's.
type Build func(db *sql.DB, log *slog.Logger) (Service, error)

// Part is a running service. Its methods may be used concurrently.
type Part struct {
	name    string
	address string
	log     *slog.Logger
	db      *sql.DB
	service Service
	server  *http.Server
	egress  *httpparticipant.Egress
	broker  broker.Broker

	choreography choreography

	ctx     context.Context    // of requests, work over the broker, relay and background work
	abort   context.CancelFunc // ends it
	working sync.WaitGroup     // all goroutines but those of requests
	serving sync.RWMutex       // held for reading by requests
	closed  bool               // whether the database is gone; guarded by serving
	failed  chan error
	stop    sync.Once
	stopped error
}

// Start opens the database, brings its tables up to date with the *.sql files of migrations, builds the service, and serves it when it
// returns. ctx bounds starting only; Stop ends the part. Started again with the same folder it goes on where it was, in whatever way it ended.
func Start(ctx context.Context, c Config, migrations fs.FS, build Build) (*Part, error) {
	c.Listen = cmp.Or(c.Listen, local.AnyPort)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Logger = slog.New(sparing{c.Logger.Handler()})
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("service %s cannot start: %w", c.Name, err)
	}
	p := &Part{name: c.Name, log: c.Logger.With("service", c.Name), broker: c.Broker, failed: make(chan error, 1)}
	p.ctx, p.abort = context.WithCancel(context.WithoutCancel(ctx))
	if err := p.start(ctx, c, migrations, build); err != nil {
		p.release()
		return nil, fmt.Errorf("service %s cannot start: %w", c.Name, err)
	}
	return p, nil
}

func (c Config) check() error {
	var faults []error
	if why := participant.CheckName(c.Name); why != "" {
		faults = append(faults, fmt.Errorf("its name cannot be used: %s", why))
	}
	if c.Data == "" {
		faults = append(faults, errors.New("no folder for its data: give one"))
	}
	return errors.Join(append(faults, local.Check(c.Listen))...)
}

// start does what can fail. What it opened before a failure is release's to close.
func (p *Part) start(ctx context.Context, c Config, migrations fs.FS, build Build) error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	var err error
	if p.db, err = sqlparticipant.OpenSQLite(filepath.Join(c.Data, c.Name+".db")); err != nil {
		return err
	}
	if err := migrate(ctx, p.db, migrations); err != nil {
		return err
	}
	if p.service, err = build(p.db, p.log); err != nil {
		return err
	}
	panel := switches.New(c.Name, p.service.Reason, p.service.Handlers...)
	m := newMetrics()
	barrier, err := sqlparticipant.New(sqlparticipant.Config{DB: p.db, Dialect: sqlparticipant.SQLite, Name: c.Name, Log: c.Logger}, m.observe(panel.Handlers())...)
	if err != nil {
		return err
	}
	m.watch(barrier.Backlog)
	to, err := p.publisher(c)
	if err != nil {
		return err
	}
	listener, err := local.Listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	p.address = listener.Addr().String()
	if err := p.joinIn(ctx, c, barrier, panel, m); err != nil {
		return errors.Join(err, listener.Close())
	}
	p.run(listener, p.routes(panel, m, barrier))
	p.working.Go(func() { _ = barrier.Tidy(p.ctx) }) // both return when the context ends, and say so
	if to != nil {
		p.working.Go(func() { _ = barrier.Relay(p.ctx, to) })
	}
	return nil
}

// publisher is where the events go; nil if they stay.
func (p *Part) publisher(c Config) (participant.Publisher, error) {
	if c.Publisher != nil || c.Events == "" {
		return c.Publisher, nil
	}
	p.egress = httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	return httpparticipant.NewPublisher(httpparticipant.PublisherConfig{URL: c.Events, Egress: p.egress})
}

// fail says that the part no longer does what it should. The first failure is the one to tell.
func (p *Part) fail(err error) {
	select {
	case p.failed <- err:
	default:
	}
}

// run starts the goroutines.
func (p *Part) run(listener net.Listener, routes http.Handler) {
	p.server = &http.Server{
		Handler:           p.counted(routes),
		BaseContext:       func(net.Listener) context.Context { return p.ctx },
		ReadHeaderTimeout: 10 * time.Second,
		// No ReadTimeout: it would also end the context of a call that takes longer to answer.
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	p.working.Go(func() {
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			p.fail(fmt.Errorf("service %s stopped serving: %w", p.name, err))
		}
	})
	p.working.Go(func() {
		select {
		case <-sqlparticipant.Failed(p.db):
			p.fail(fmt.Errorf("service %s had to stop: the disk did not sync its database; start it again, it goes on from what is durable", p.name))
		case <-p.ctx.Done():
		}
	})
	if p.service.Background != nil {
		p.working.Go(func() { p.service.Background(p.ctx) })
	}
}

// counted lets Stop wait for requests, also for those whose connection it cut.
func (p *Part) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serving.RLock()
		defer p.serving.RUnlock()
		if p.closed {
			problem.New(http.StatusServiceUnavailable, "the service is stopping").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Name is the service's name.
func (p *Part) Name() string { return p.name }

// Addr is the host:port on which the part really listens.
func (p *Part) Addr() string { return p.address }

// URL is where the part is reached, such as "http://127.0.0.1:7003".
func (p *Part) URL() string { return "http://" + p.address }

// Failed receives an error if the server, or the taking part over the broker, stops by itself, or the disk does not sync the database. It is never closed.
func (p *Part) Failed() <-chan error { return p.failed }

// Stop ends the part: it takes no more requests and nothing more from the broker, and lets what is under way end; when ctx ends it cuts that off. It returns when no
// goroutine is left and the database is closed; the error is not nil if something was cut off. Later calls wait for the first and return the same.
func (p *Part) Stop(ctx context.Context) error {
	p.stop.Do(func() {
		inTime := context.AfterFunc(ctx, p.abort)
		left := make(chan error, 1)
		go func() { left <- p.choreography.leave(ctx) }()
		err := errors.Join(p.server.Shutdown(ctx), <-left)
		if !inTime() && err == nil {
			err = context.Cause(ctx) // what was cut off may have ended before anybody looked
		}
		if err != nil {
			p.stopped = fmt.Errorf("service %s: work was cut off while stopping, and is done again: %w", p.name, err)
		}
		p.release()
	})
	return p.stopped
}

// release ends whatever was started and closes whatever was opened.
func (p *Part) release() {
	p.abort()
	if p.server != nil {
		_ = p.server.Close() // its listener and connections; nobody is left to tell
		p.serving.Lock()
		p.closed = true
		p.serving.Unlock()
	}
	_ = p.choreography.leave(context.Background()) // soon: the work under way was ended
	p.working.Wait()
	if p.service.Close != nil {
		p.service.Close()
	}
	if p.egress != nil {
		p.egress.Close()
	}
	if p.db != nil {
		if err := p.db.Close(); err != nil {
			p.log.Error("closing the database", "error", err)
		}
	}
}
