package httpparticipant_test

import (
	"database/sql"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/httpparticipant"
	"github.com/skaldhq/skald/participant/participanttest"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

func TestConformanceOverHTTPOnSQLite(t *testing.T) {
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		db, err := sqlparticipant.OpenSQLite(filepath.Join(t.TempDir(), "service.db"))
		if err != nil {
			t.Fatal(err)
		}
		return overHTTP(t, sqlparticipant.SQLite, db, handlers)
	})
}

func TestConformanceOverHTTPOnPostgreSQL(t *testing.T) {
	server := participanttest.StartPostgreSQL(t)
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		db, err := sql.Open("pgx", server.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		return overHTTP(t, sqlparticipant.PostgreSQL, db, handlers)
	})
}

// overHTTP serves a participant on loopback and returns a client of it.
func overHTTP(t *testing.T, d sqlparticipant.Dialect, db *sql.DB, handlers []participant.Handler) participanttest.Subject {
	t.Helper()
	t.Cleanup(func() { _ = db.Close() })
	p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Log: slog.New(slog.DiscardHandler)}, handlers...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpparticipant.Handler(p, httpparticipant.HandlerConfig{}))
	t.Cleanup(server.Close)
	client, err := httpparticipant.New(httpparticipant.Config{BaseURL: server.URL, Egress: egress(t)})
	if err != nil {
		t.Fatal(err)
	}
	return participanttest.Subject{Invoker: client, DB: db, Relay: p.Relay}
}

func egress(t *testing.T) *httpparticipant.Egress {
	e := httpparticipant.NewEgress(httpparticipant.EgressConfig{})
	t.Cleanup(e.Close)
	return e
}
