// Package remediation is the service that handles dead letters: by what the saga's definition says of their reason codes, and by hand over HTTP. It has no database: what was done with a
// letter, by whom and why is written into the letter, which the broker keeps.
//
// It sits in nobody's path. While it is stopped, letters wait, and the deliveries behind them show it.
package remediation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/web"
	"github.com/skaldhq/skald/examples/local"
)

// Name is the service's name, with which it signs what it does.
const Name = "remediation"

// Config says what the service works with.
type Config struct {
	Listen string           // loopback address; default "127.0.0.1:0", a free port
	Broker broker.Broker    // keeps the letters (broker.DeadLetters); stays the caller's. Required
	Saga   skald.Registered // whose remedies are applied. Required
	Logger *slog.Logger     // default: none
}

// Remediation is the running service. Its methods may be called concurrently.
type Remediation struct {
	log    *slog.Logger
	work   *skald.Remediation
	server *web.Server

	watching sync.WaitGroup
	end      context.CancelFunc
	failed   chan error
	stop     sync.Once
	stopErr  error
}

// Start begins to handle dead letters and serves. ctx bounds the start only. The caller stops what was started.
func Start(ctx context.Context, c Config) (*Remediation, error) {
	if c.Broker == nil || c.Saga == nil {
		return nil, errors.New("service remediation cannot start: it needs a Broker and the Saga")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	x := &Remediation{log: c.Logger.With("service", Name), failed: make(chan error, 1)}
	listener, err := local.Listen(ctx, cmp.Or(c.Listen, local.AnyPort))
	if err != nil {
		return nil, fmt.Errorf("service remediation cannot start: %w", err)
	}
	x.work, err = skald.Remediate(ctx, skald.RemediationConfig{Broker: c.Broker, Name: Name, Sagas: []skald.Registered{c.Saga}, Logger: x.log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("service remediation cannot start: %w", err), listener.Close())
	}
	x.server = web.Serve(listener, x.routes(), x.log)
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	x.end = end
	x.watching.Go(func() { x.watch(running) })
	return x, nil
}

func (x *Remediation) watch(ctx context.Context) {
	select {
	case <-x.work.Failed():
		x.failed <- fmt.Errorf("service remediation handles no letters any more: %w", x.work.Err())
	case err := <-x.server.Failed():
		x.failed <- err
	case <-ctx.Done():
	}
}

// URL is where the service is reached, without a slash at the end.
func (x *Remediation) URL() string { return x.server.URL() }

// Failed receives an error if the service stops by itself. The caller still stops it.
func (x *Remediation) Failed() <-chan error { return x.failed }

// Stop ends the service. What it was doing is done again by the next one, which is harmless.
func (x *Remediation) Stop(ctx context.Context) error {
	x.stop.Do(func() {
		err := x.server.Stop(ctx)
		x.end()
		x.watching.Wait()
		x.stopErr = errors.Join(err, x.work.Stop(ctx))
	})
	return x.stopErr
}

func (x *Remediation) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/deadletters", x.list)
	mux.HandleFunc("POST /api/deadletters/{id}/replay", x.settle(x.work.Replay))
	mux.HandleFunc("POST /api/deadletters/{id}/discard", x.settle(x.work.Discard))
	mux.HandleFunc("POST /api/deadletters/{id}/compensate", x.settle(x.work.Compensate))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}
