package sqlparticipant_test

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/participanttest"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

func TestConformanceOnSQLite(t *testing.T) {
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		return subject(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "service.db"), 1, handlers)
	})
}

// Two processes of a service share its file: what makes them wait for each other is then the database alone.
func TestConformanceOnSQLiteWithTwoProcesses(t *testing.T) {
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		return subject(t, sqlparticipant.SQLite, filepath.Join(t.TempDir(), "service.db"), 2, handlers)
	})
}

func TestConformanceOnPostgreSQL(t *testing.T) {
	server := participanttest.StartPostgreSQL(t)
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		return subject(t, sqlparticipant.PostgreSQL, server.Database(t), 1, handlers)
	})
}

func TestConformanceOnPostgreSQLWithTwoProcesses(t *testing.T) {
	server := participanttest.StartPostgreSQL(t)
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		return subject(t, sqlparticipant.PostgreSQL, server.Database(t), 2, handlers)
	})
}

// inTurn hands calls to several participants of the same database, one after the other.
type inTurn struct {
	all  []*sqlparticipant.Participant
	next *atomic.Int64
}

func (i inTurn) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	return i.all[int(i.next.Add(1))%len(i.all)].Invoke(ctx, c)
}

func subject(t *testing.T, d sqlparticipant.Dialect, address string, processes int, handlers []participant.Handler) participanttest.Subject {
	t.Helper()
	turns := inTurn{next: new(atomic.Int64)}
	var db *sql.DB
	for range processes {
		db = open(t, d, address)
		p, err := sqlparticipant.New(sqlparticipant.Config{DB: db, Dialect: d, Name: "stock", Poll: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}, handlers...)
		if err != nil {
			t.Fatal(err)
		}
		turns.all = append(turns.all, p)
	}
	return participanttest.Subject{Invoker: turns, DB: db, Relay: turns.all[0].Relay}
}

func open(t *testing.T, d sqlparticipant.Dialect, address string) *sql.DB {
	t.Helper()
	var db *sql.DB
	var err error
	if d == sqlparticipant.SQLite {
		db, err = sqlparticipant.OpenSQLite(address)
	} else {
		db, err = sql.Open("pgx", address)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
