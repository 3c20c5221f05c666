// Package web is what the drone system's HTTP pages have in common: a server on this machine's loopback that stops softly, and answers that say a reason code. It neither authenticates nor
// encrypts, so nothing else is listened on.
package web

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/examples/local"
	"github.com/skaldhq/skald/examples/problem"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Refusal is a problem document (RFC 9457) with a reason code.
type Refusal struct {
	problem.Problem
	Reason string `json:"reason"`
}

// Refuse answers with a problem that has a reason code.
func Refuse(w http.ResponseWriter, status int, reason, detail string) {
	problem.JSON(w, status, "application/problem+json", Refusal{problem.New(status, detail), reason})
}

// Fail answers for an error of a service's own page: a refusal with 422 and its reason, what is not there with 404, and anything else, which is logged, with 500.
func Fail(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	var refusal *participant.Refusal
	switch {
	case errors.As(err, &refusal):
		Refuse(w, http.StatusUnprocessableEntity, refusal.Reason, refusal.Detail)
	case errors.Is(err, sql.ErrNoRows), errors.Is(err, skald.ErrNotFound):
		problem.New(http.StatusNotFound, "there is nothing of this id").Write(w)
	default:
		log.ErrorContext(r.Context(), "a page failed", "path", r.URL.Path, "error", err)
		problem.New(http.StatusInternalServerError, "the service's log says why").Write(w)
	}
}

// Server is a running HTTP server. Its methods may be called concurrently.
type Server struct {
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
	failed   chan error
	abort    context.CancelFunc
	stop     sync.Once
	err      error
}

// Serve serves the pages on a listener until Stop. Pages of other sites may change nothing, and no other name of this machine is answered for.
func Serve(l net.Listener, pages http.Handler, log *slog.Logger) *Server {
	ctx, abort := context.WithCancel(context.Background())
	s := &Server{listener: l, failed: make(chan error, 1), abort: abort}
	s.server = &http.Server{
		Handler: local.Only(http.NewCrossOriginProtection().Handler(pages)), BaseContext: func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	s.serving.Go(func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("serving on %s ended: %w", l.Addr(), err)
		}
	})
	return s
}

// URL is where the server is reached, without a slash at the end.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// Failed receives an error if the server stops by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// OnStop runs f when the server begins to stop, to end what would otherwise not: streams. It returns soon.
func (s *Server) OnStop(f func()) { s.server.RegisterOnShutdown(f) }

// Stop takes no more requests and lets those being served end; when ctx ends it cuts them off, which the error says.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		if s.err = s.server.Shutdown(ctx); s.err != nil {
			s.err = fmt.Errorf("requests were cut off while stopping: %w", s.err)
		}
		s.abort()
		_ = s.server.Close() // nobody is left to tell
		s.serving.Wait()
	})
	return s.err
}

// Time reads a time as clients write it: RFC 3339, or nothing for the zero time. Its year in UTC has four digits, so that it can be written again.
func Time(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("a time is written as %s, and %.40q is not", time.RFC3339, text)
	}
	if !journal.Writable(t) {
		return time.Time{}, fmt.Errorf("a time has a year of four digits, and %.40q has none in UTC", text)
	}
	return t.UTC().Truncate(time.Microsecond), nil
}
