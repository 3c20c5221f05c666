package soak

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/internal/freeport"
)

// trouble is what is wrong with a service for a while.
type trouble int32

const (
	fine    trouble = iota
	failing         // calls are answered with an error, without effect
	silent          // calls take effect, and the connection breaks before the answer
	slow            // answers come after the caller's time
	doubled         // each call arrives twice at once
)

func (what trouble) String() string {
	return [...]string{"fine", "calls that failed", "calls without an answer", "calls that were slow", "calls that came twice"}[what]
}

// outlet is a service's address: an HTTP server that can break in several ways, and go away and come back.
type outlet struct {
	t       *testing.T
	inner   http.Handler
	address string
	now     atomic.Int32
	struck  [doubled + 1]atomic.Int64 // calls that met each trouble

	mu     sync.Mutex
	server *http.Server
	served chan error
}

// listen serves a handler at an address of its own until the test ends.
func listen(t *testing.T, inner http.Handler) *outlet {
	t.Helper()
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x := &outlet{t: t, inner: inner, address: address}
	x.comesBack()
	t.Cleanup(x.goesAway)
	return x
}

func (x *outlet) url() string { return "http://" + x.address }

// comesBack serves again, where it did before.
func (x *outlet) comesBack() {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", x.address)
	if err != nil {
		x.t.Errorf("listening again: %v", err)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.server, x.served = &http.Server{Handler: x, ReadHeaderTimeout: 10 * time.Second}, make(chan error, 1)
	go func(s *http.Server, served chan<- error) { served <- s.Serve(l) }(x.server, x.served)
}

// goesAway breaks every connection and serves no more. Calls that have arrived are carried out.
func (x *outlet) goesAway() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.server == nil { // it could not come back
		return
	}
	_ = x.server.Close()
	if err := <-x.served; !errors.Is(err, http.ErrServerClosed) {
		x.t.Errorf("serving: %v", err)
	}
	x.server = nil
}

// suffers has a trouble for a while.
func (x *outlet) suffers(ctx context.Context, what trouble, d time.Duration) {
	x.now.Store(int32(what))
	pause(ctx, d)
	x.now.Store(int32(fine))
}

// ServeHTTP implements http.Handler.
func (x *outlet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := trouble(x.now.Load())
	x.struck[what].Add(1)
	switch what {
	case fine:
		x.inner.ServeHTTP(w, r)
	case failing:
		http.Error(w, "the service fails", http.StatusInternalServerError)
	case silent:
		x.inner.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		panic(http.ErrAbortHandler)
	case slow:
		pause(r.Context(), callLimit+lasting)
		x.inner.ServeHTTP(w, r)
	case doubled:
		x.twice(w, r)
	}
}

// twice carries a call out two times at once, and gives one of the answers, which must not differ where they are certain.
func (x *outlet) twice(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	var answers [2]*httptest.ResponseRecorder
	var both sync.WaitGroup
	for i := range answers {
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body, answers[i] = io.NopCloser(bytes.NewReader(body)), httptest.NewRecorder()
		both.Go(func() { x.inner.ServeHTTP(answers[i], again) })
	}
	both.Wait()
	a, b := answers[0], answers[1]
	if a.Code < 500 && b.Code < 500 && a.Code != http.StatusTooEarly && b.Code != http.StatusTooEarly && (a.Code != b.Code || a.Body.String() != b.Body.String()) {
		x.t.Errorf("a call that came twice was answered with %d %s and with %d %s", a.Code, a.Body, b.Code, b.Body)
	}
	for name, values := range a.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(a.Code)
	_, _ = w.Write(a.Body.Bytes()) // the caller may have gone
}

// pause waits, but not longer than until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
