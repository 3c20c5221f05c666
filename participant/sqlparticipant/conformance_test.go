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

func TestOnSQLite(t *testing.T) {
	onDatabase(t, sqlparticipant.SQLite, func(t *testing.T) string { return filepath.Join(t.TempDir(), "service.db") })
}

func TestOnPostgreSQL(t *testing.T) {
	onDatabase(t, sqlparticipant.PostgreSQL, participanttest.StartPostgreSQL(t).Database)
}

// onDatabase runs everything that must hold on every database. empty makes a database and returns its address.
func onDatabase(t *testing.T, d sqlparticipant.Dialect, empty func(*testing.T) string) {
	if !testing.Short() { // the same with two says more about races
		t.Run("conformance", func(t *testing.T) { conformance(t, d, empty, 1) })
	}
	// Two processes of a service share its database, which then is all that makes them wait for each other.
	t.Run("conformance with two processes", func(t *testing.T) { conformance(t, d, empty, 2) })
	t.Run("killed service", func(t *testing.T) { killedService(t, d, empty) })
	for _, test := range []struct {
		name string
		run  func(t *testing.T, d sqlparticipant.Dialect, address string)
	}{
		{"the schema can be the service's own", schemaCanBeTheServicesOwn},
		{"tables of another version are refused", tablesOfAnotherVersionAreRefused},
		{"processes that start together make the tables once", processesThatStartTogetherMakeTheTablesOnce},
		{"handlers publish with their transaction", handlersPublishWithTheirTransaction},
		{"the backlog counts what waits", backlogCountsWhatWaits},
		{"a relay sends its own messages only", relaySendsItsOwn},
		{"messages that are never taken hold up their saga only", messagesThatAreNeverTakenHoldUpTheirSagaOnly},
		{"prune forgets only what is old", pruneForgetsOnlyWhatIsOld},
		{"prune finds what is old everywhere", pruneFindsWhatIsOldEverywhere},
		{"tidy forgets by itself", tidyForgetsByItself},
		{"what is taken is one transaction", whatIsTakenIsOneTransaction},
		{"tokens are kept as they are", tokensAreKeptAsTheyAre},
		{"what fails changes nothing and is planned again", whatFailsChangesNothingAndIsPlannedAgain},
		{"what is refused and not for good leaves nothing", whatIsRefusedAndNotForGoodLeavesNothing},
		{"an expired action never takes effect", anExpiredActionNeverTakesEffect},
		{"joins are not missed", joinsAreNotMissed},
		{"prune keeps tokens that are young or not told", pruneKeepsTokens},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, d, empty(t)) })
	}
}

func conformance(t *testing.T, d sqlparticipant.Dialect, empty func(*testing.T) string, processes int) {
	participanttest.Run(t, func(t *testing.T, handlers ...participant.Handler) participanttest.Subject {
		return subject(t, d, empty(t), processes, handlers)
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
