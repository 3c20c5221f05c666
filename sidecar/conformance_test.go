package sidecar_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/participanttest"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/sidecar"
)

// In front of a service that keeps to the contract, a sidecar is not to be told from the service.
func TestConformanceInFrontOfAService(t *testing.T) {
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "service.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: sqlparticipant.SQLite, Name: "stock", Log: quiet()}, handlers...)
		if err != nil {
			t.Fatal(err)
		}
		service := httptest.NewServer(httpparticipant.Handler(p, httpparticipant.HandlerConfig{}))
		t.Cleanup(service.Close)
		s, err := sidecar.OpenFor(t.Context(), sidecar.Config{Name: "stock", Service: service.URL, Data: t.TempDir(), Log: quiet()}, handlers...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, s) })
		return participanttest.Subject{Invoker: client(t, "http://"+s.Address()), DB: db, Relay: p.Relay}
	})
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// stop stops a sidecar as far as it gets: a test that failed may have left a call waiting.
func stop(t *testing.T, s *sidecar.Sidecar) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func client(t *testing.T, url string) *httpparticipant.Client {
	t.Helper()
	out := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	t.Cleanup(out.Close)
	c, err := httpparticipant.New(httpparticipant.Config{BaseURL: url, Level: participant.L1, Egress: out})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
