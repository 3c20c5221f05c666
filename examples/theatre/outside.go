package theatre

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/webhook"
	"github.com/skaldhq/skald/webhook/sqlitewebhook"
)

// Who is told how visits ended, by the names of their endpoints.
const (
	Newspaper = "newspaper" // takes every message
	Agency    = "agency"    // is closed until Mend(Closed)
)

// maxMessage bounds what an outsider reads.
const maxMessage = 64 << 10

// outsiders are programs beside the theatre that are told how visits ended. Here they are paths of its own address.
type outsiders struct {
	closed func() bool

	mu      sync.Mutex
	secrets map[string]webhook.Secret
}

// tellOutsiders opens what tells them, and registers them.
func (t *Theatre) tellOutsiders(ctx context.Context) (*sqlitewebhook.Sender, error) {
	way := httpparticipant.NewEgress(httpparticipant.EgressConfig{NoPrivate: true, Idle: 4})
	t.closers = append(t.closers, func() error { way.Close(); return nil })
	sender, err := sqlitewebhook.Open(ctx, sqlitewebhook.Config{
		Path: filepath.Join(t.config.Data, "webhooks.db"), Source: t.engine, HTTP: way.Client(10 * time.Second), Poll: 100 * time.Millisecond, Logger: t.config.Logger,
	})
	if err != nil {
		return nil, err
	}
	t.stoppers = append(t.stoppers, func(context.Context) error { return sender.Stop() })
	for _, name := range []string{Newspaper, Agency} {
		e := webhook.Endpoint{Name: name, URL: t.URL() + "/outside/" + name, Definitions: []string{t.saga.Name()}, CreatedBy: "the theatre"}
		secret, existed, err := sender.Enter(ctx, e)
		if err == nil && existed { // what it was is kept nowhere else
			secret, err = sender.Rotate(ctx, name, 0)
		}
		if err != nil {
			return nil, err
		}
		t.outside.knows(name, secret)
	}
	return sender, nil
}

func (o *outsiders) knows(name string, secret webhook.Secret) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.secrets[name] = secret
}

// ServeHTTP implements http.Handler: it takes messages that are signed.
func (o *outsiders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	o.mu.Lock()
	secret, known := o.secrets[name]
	o.mu.Unlock()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	switch {
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case name == Agency && o.closed():
		w.WriteHeader(http.StatusServiceUnavailable)
	case err != nil || webhook.Verify(r.Header, body, time.Now(), secret) != nil:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
