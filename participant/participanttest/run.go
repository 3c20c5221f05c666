// Package participanttest is the conformance suite of participants: what an Invoker must answer, and what must be left in the
// participant's database, whatever the order, number and concurrency of calls, and however many of them are cut off. It runs the same tests against a participant called
// directly and over HTTP, on every database.
//
// The names of its tests carry the ids of the faults that they inject. It does not kill processes: that needs a program, and each driver's own tests do it.
package participanttest

import (
	"context"
	"database/sql"
	"testing"

	"github.com/skaldhq/skald/participant"
)

// Subject is a participant under test.
type Subject struct {
	participant.Invoker
	// DB is the participant's database, in which the suite makes a table of its own. It speaks SQLite's or PostgreSQL's SQL.
	DB *sql.DB
	// Relay sends the participant's outbox until the context ends, and then returns the context's cause.
	Relay func(ctx context.Context, to participant.Publisher) error
}

// Open starts a participant that serves these handlers on an empty database. It releases everything with t.Cleanup.
type Open func(t *testing.T, handlers ...participant.Handler) Subject

// Run runs the suite. Its tests are independent of one another.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, group := range [][]test{actions(), payloadsAndNames(), refusals(), compensations(), compensationsThatUndoNothing(), overtakings(),
		failures(), timeouts(), readings(), events(), deliveries()} {
		for _, test := range group {
			t.Run(test.name, func(t *testing.T) { test.run(t, open) })
		}
	}
}

type test struct {
	name string
	run  func(t *testing.T, open Open)
}
