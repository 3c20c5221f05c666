// Package loopback runs a small program's server: a SQLite file with its tables, an HTTP server on a loopback address, and work in the
// background, started and stopped together. It is for programs that are no participant of any saga; services that are use examples/part.
//
// It neither authenticates nor encrypts, which is why it listens where only this machine can reach it.
package loopback

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// Config says where a program's server runs.
type Config struct {
	// Name is the program's name, also of its database file. Required.
	Name string
	// Listen is the loopback address of the HTTP server. Default: "127.0.0.1:0", a free port.
	Listen string
	// Data is the folder of the database <Data>/<Name>.db. Both are made if they are missing. Required.
	Data string
	// Schema makes the tables that are missing; it runs at every start.
	Schema string
	// Logger takes what an operator should know. Default: slog.Default().
	Logger *slog.Logger
}

// Program is what the server does.
type Program struct {
	// Routes answers requests. Those that change something are refused if a browser makes them for a page of another origin.
	Routes http.Handler
	// Open are patterns, as of http.ServeMux, of requests that may come from any origin: what they change is protected otherwise.
	Open []string
	// Background works until its context ends, and returns soon after. It gets the server's URL. May be nil.
	Background func(ctx context.Context, url string)
}

// Server is a running program. Its methods may be used concurrently.
type Server struct {
	name    string
	address string
	db      *sql.DB
	server  *http.Server
	abort   context.CancelFunc
	working sync.WaitGroup // all goroutines but those of requests
	serving sync.RWMutex   // held for reading by requests
	closed  bool           // whether the database is gone; guarded by serving
	failed  chan error
	stop    sync.Once
	stopped error
}

// Start opens the database, builds the program on it, and serves it when it returns. ctx bounds starting only; Stop ends the server. It does not retry.
func Start(ctx context.Context, c Config, build func(ctx context.Context, db *sql.DB, log *slog.Logger) (Program, error)) (*Server, error) {
	log := cmp.Or(c.Logger, slog.Default()).With("service", c.Name)
	s, err := start(ctx, c, log, build)
	if err != nil {
		return nil, fmt.Errorf("%s cannot start: %w", c.Name, err)
	}
	return s, nil
}

func start(ctx context.Context, c Config, log *slog.Logger, build func(ctx context.Context, db *sql.DB, log *slog.Logger) (Program, error)) (*Server, error) {
	if c.Name == "" || c.Data == "" {
		return nil, errors.New("it has no name, or no folder for its data: give both")
	}
	listener, err := local.Listen(ctx, cmp.Or(c.Listen, local.AnyPort))
	if err != nil {
		return nil, err
	}
	db, err := open(ctx, c)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	program, err := build(ctx, db, log)
	if err != nil {
		return nil, errors.Join(err, listener.Close(), db.Close())
	}
	s := &Server{name: c.Name, address: listener.Addr().String(), db: db, failed: make(chan error, 1)}
	s.run(listener, program, log)
	return s, nil
}

func open(ctx context.Context, c Config) (*sql.DB, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, err
	}
	db, err := sqlparticipant.OpenSQLite(filepath.Join(c.Data, c.Name+".db"))
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, c.Schema); err != nil {
		return nil, errors.Join(fmt.Errorf("making its tables: %w", err), db.Close())
	}
	return db, nil
}

func (s *Server) run(listener net.Listener, program Program, log *slog.Logger) {
	ctx, abort := context.WithCancel(context.Background())
	s.abort = abort
	origins := http.NewCrossOriginProtection()
	for _, pattern := range program.Open {
		origins.AddInsecureBypassPattern(pattern)
	}
	s.server = &http.Server{
		Handler:           s.counted(local.Only(origins.Handler(program.Routes))),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.working.Go(func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s stopped serving: %w", s.name, err)
		}
	})
	if program.Background != nil {
		s.working.Go(func() { program.Background(ctx, s.URL()) })
	}
}

// counted lets Stop wait for requests, also for those whose connection it cut: the database is closed after the last.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serving.RLock()
		defer s.serving.RUnlock()
		if s.closed {
			problem.New(http.StatusServiceUnavailable, "the server is stopping").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Name is the program's name.
func (s *Server) Name() string { return s.name }

// URL is where the server is reached, such as "http://127.0.0.1:7013".
func (s *Server) URL() string { return "http://" + s.address }

// Failed receives an error if the server stops by itself. It is never closed.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop takes no more requests, lets those being served end, and cuts them off when ctx ends. It returns when no goroutine is left and the database is
// closed; the error is not nil if requests were cut off or the database could not be closed. Later calls wait for the first and return the same.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		if err := s.server.Shutdown(ctx); err != nil {
			s.stopped = fmt.Errorf("%s: requests were cut off while stopping: %w", s.name, err)
		}
		s.abort()
		_ = s.server.Close() // its listener and connections; nobody is left to tell
		s.serving.Lock()
		s.closed = true
		s.serving.Unlock()
		s.working.Wait()
		s.stopped = errors.Join(s.stopped, s.db.Close())
	})
	return s.stopped
}
