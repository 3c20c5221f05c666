package skaldtest

import (
	"context"
	"database/sql"
	"errors"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Participants says who carries a saga's operations out, by the owner in their names: "seats" of "seats.reserve". Every run makes
// new ones, so that runs share nothing. An owner that is not named is modelled: it has the barrier, answers every call with a value that fits the
// operation's type, and otherwise refuses and fails as the run wants.
type Participants map[string]func() Participant

// Participant is one participant in one run. Calls reach it one at a time.
type Participant struct {
	// Invoker answers the calls, with whatever barrier it has: a sqlparticipant, say, or code of your own. A run may lose,
	// delay and repeat calls on their way to it.
	Invoker participant.Invoker
	// Handlers answer the calls instead, behind the explorer's barrier. They get a Tx without a database, so they keep
	// what they change in memory; handlers that need SQL belong into a sqlparticipant (Invoker).
	Handlers []participant.Handler
	// Level is what it promises; L2 unless said.
	Level participant.Level
	// Effects tells how many effects of the step's action there are for the saga now: 1 after it was done, 0 after it was undone. Without it
	// the effects of an Invoker are not checked. Handlers and models need none: their effects are counted where they are made.
	Effects func(saga journal.SagaID, step string) int
	// Close ends it after the run; it may be nil.
	Close func()
}

// handler is the user's handler of an action, or nil.
func (x *part) handler(action string) *participant.Handler {
	for i := range x.user.Handlers {
		if x.user.Handlers[i].Action == action {
			return &x.user.Handlers[i]
		}
	}
	return nil
}

// ask passes a call on to the user's participant, and sees what became of its effects.
func (x *part) ask(c participant.Call, r *row, s *plan.Step) participant.Answer {
	a := x.user.Invoker.Invoke(context.Background(), c)
	if a.Class == participant.Refused && a.Reason == participant.ReasonConflict {
		x.w.violate("saga %s, step %s was asked with another input than at first: its mapping is not pure, or reads what may change", c.Saga, c.Step)
	}
	if x.user.Effects == nil || s.Kind == participant.ReadOnly {
		return a
	}
	before, now := r.effects, x.user.Effects(c.Saga, c.Step)
	for ; r.effects < now; x.takeEffect(c, r, s) {
		if now > 1 && x.level != participant.L0 {
			x.w.violate("saga %s: step %s took effect %d times: a repeated call must get the stored answer", c.Saga, c.Step, now)
		}
	}
	if now < before {
		r.effects = now + 1
		x.undoEffect(c, r, s)
	}
	return a
}

// answerOf is what a handler's return means.
func answerOf(result []byte, err error) participant.Answer {
	var refusal *participant.Refusal
	switch {
	case errors.As(err, &refusal):
		return participant.Answer{Class: participant.Refused, Reason: refusal.Reason, Detail: refusal.Detail}
	case err != nil:
		return participant.Answer{Detail: err.Error()}
	}
	return participant.Answer{Class: participant.Done, Result: result}
}

func orNull(data []byte) []byte {
	if len(data) == 0 {
		return []byte("null")
	}
	return data
}

// noDatabase is the transaction that handlers get here.
type noDatabase struct{}

var errNoDatabase = errors.New("skaldtest: there is no database behind this transaction: give a sqlparticipant as Participant.Invoker")

// ExecContext implements participant.Tx.
func (noDatabase) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errNoDatabase
}

// PrepareContext implements participant.Tx.
func (noDatabase) PrepareContext(context.Context, string) (*sql.Stmt, error) {
	return nil, errNoDatabase
}

// QueryContext implements participant.Tx.
func (noDatabase) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errNoDatabase
}

// QueryRowContext implements participant.Tx. There is no way to make a row without a database, so it panics with the mend.
func (noDatabase) QueryRowContext(context.Context, string, ...any) *sql.Row {
	panic(errNoDatabase)
}
