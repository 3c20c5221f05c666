// Package participant is the contract between whoever drives a saga and the services that take part in it: a Call goes
// in, an Answer comes out. sqlparticipant answers calls with exactly one effect in a service's own database;
// httpparticipant carries calls and answers over HTTP (docs/wire-format.md). Both implement Invoker and show it with the suite of
// package participanttest.
//
// It decides nothing about a saga: retries, time limits and compensation are the driver's.
package participant

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/skaldhq/skald/journal"
)

// Phase says which of a step's two operations a call is for.
type Phase string

// The phases.
const (
	Action       Phase = "action"
	Compensation Phase = "compensation"
)

// Kind says what a step's operation promises. See the glossary in docs/overview.md.
type Kind uint8

// The kinds.
const (
	Compensatable Kind = iota + 1 // has a compensation
	Pivot                         // the point of no return; may refuse
	Retriable                     // cannot refuse for good; asked until it is done
	ReadOnly                      // changes nothing
)

// String is the kind's name in definitions and on pages.
func (k Kind) String() string {
	switch k {
	case Compensatable:
		return "compensatable"
	case Pivot:
		return "pivot"
	case Retriable:
		return "retriable"
	case ReadOnly:
		return "readonly"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Level says what a participant promises when the same call reaches it more than once.
type Level uint8

// The levels. They are stated for every participant, because the driver waits for more of its own records where less is promised.
const (
	// L0 promises nothing: a call that arrives twice may take effect twice. It is never made again when its result is unknown.
	L0 Level = iota + 1
	// L1 is a sidecar with an inbox beside the service: a call is passed on once, unless the sidecar dies between the service's answer and its own record.
	L1
	// L2 is the barrier in the participant's own transaction: exactly one effect, and the stored answer for every repetition.
	L2
)

// String is "L0", "L1" or "L2".
func (l Level) String() string {
	if l < L0 || l > L2 {
		return fmt.Sprintf("level(%d)", uint8(l))
	}
	return [...]string{"L0", "L1", "L2"}[l-L0]
}

// Call asks a participant for an action or a compensation. (Saga, Step, Phase) is its key: every repetition of a call has the same
// key, whatever its attempt.
type Call struct {
	Saga      journal.SagaID
	Step      string
	Phase     Phase
	Operation string    // durable name, such as "inventaire.reserve" or, compensating, "inventaire.release"
	Attempt   uint32    // from 1; for logs only
	Epoch     uint64    // the coordinator's tenure
	Deadline  time.Time // when the caller stops waiting; zero if it does not
	Input     []byte    // JSON, empty means null; of a compensation, the action's input for a participant that stores none (L0, L1), or an operator's replacement
	Result    []byte    // JSON; of a compensation, the action's result as the caller knows it, nil if it does not
	Trace     string    // W3C traceparent, or empty
}

// Key is the call's identity on the wire: saga, step and phase, joined by slashes.
func (c Call) Key() string { return string(c.Saga) + "/" + c.Step + "/" + string(c.Phase) }

// Class says what an answer means. There are exactly three.
type Class uint8

// The classes of answers.
const (
	// Unknown: it may or may not have taken effect. A time-out is Unknown.
	Unknown Class = iota
	// Done: it took effect (or changes nothing and has an answer).
	Done
	// Refused: it took no effect. The refusal of a compensatable step, a pivot or a stored answer is stored, so that no
	// repetition under this key ever takes effect. The refusal of a retriable step, of a compensation or of a readonly step without stored
	// answers is not: asked again, it may be done.
	Refused
)

// String is the class's name in logs and metrics.
func (c Class) String() string {
	switch c {
	case Done:
		return "done"
	case Refused:
		return "refused"
	case Unknown:
		return "unknown"
	}
	return "invalid"
}

// Answer is what came of a call.
type Answer struct {
	Class      Class
	Result     []byte        // JSON, of Done
	Reason     string        // reason code, of Refused; of Unknown if the participant says what is in the way
	Detail     string        // words for a person
	RetryAfter time.Duration // of Unknown: ask again no earlier than this; 0 leaves it to the caller
	Working    bool          // of Unknown: the participant is still at it, which is no failure: only a deadline ends the asking
	NotAsked   bool          // of Unknown: it is certain that nothing of this call left for the participant, so it took no effect and comes to none later
}

// Reason codes that Skald itself gives. All begin with "skald.", which is reserved.
const (
	// ReasonCompensated refuses an action whose compensation came before it.
	ReasonCompensated = "skald.compensated"
	// ReasonConflict refuses a call whose key was used with another input. It is an incident, not a business refusal.
	ReasonConflict = "skald.conflict"
	// ReasonForgotten refuses a compensation whose caller knows the action's result while the participant knows nothing of the
	// action: its record was pruned too early, or its database was restored from an older backup. Whether there is
	// something to undo is for a person to find out. Nothing was undone and nothing was recorded.
	ReasonForgotten = "skald.forgotten"
	// ReasonSealed is of a call whose input cannot be opened: its key is missing here, or it was changed on the way (package sealed).
	ReasonSealed = "skald.sealed"
)

// Invoker makes calls. It may be used concurrently. It returns when there is an answer or the context ends, which is Unknown; it never
// retries and never panics. It keeps no slice of the call, and the caller owns the answer.
type Invoker interface {
	Invoke(ctx context.Context, c Call) Answer
}

// Refusal is the error with which a handler refuses for a business reason: no effect, never retried.
type Refusal struct {
	Reason string // reason code
	Detail string // words for a person
}

// Error returns the reason code and the detail.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Reason
	}
	return r.Reason + ": " + r.Detail
}

// Postponement is the error with which a handler says that it cannot answer yet: everything is rolled back, and the call comes again.
type Postponement struct {
	Reason  string        // reason code of what is in the way; may be empty if Working
	Detail  string        // words for a person
	After   time.Duration // ask again no earlier than this; 0 leaves it to the caller
	Working bool          // still at it, which is no failed attempt
}

// Error returns the reason code and the detail.
func (p *Postponement) Error() string {
	switch {
	case p.Reason == "":
		return p.Detail
	case p.Detail == "":
		return p.Reason
	}
	return p.Reason + ": " + p.Detail
}

// Answer is what the caller gets.
func (p *Postponement) Answer() Answer {
	return Answer{Class: Unknown, Reason: p.Reason, Detail: p.Detail, RetryAfter: p.After, Working: p.Working}
}

// Tx is the transaction in which a handler makes its change, together with the barrier's row. The participant commits it after the
// handler returned without an error and rolls it back otherwise; the handler does neither. It may come to nothing although the handler succeeded (the commit fails, the process dies): then the call comes again, or what it
// followed from is lost, or loses against another decision, and it never does. Rows and statements are closed with the transaction. It is the interface that query generators expect.
type Tx interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Handler is one operation with the functions that carry it out; payloads are JSON. Handle in the root package makes one
// from typed functions. A handler returns *Refusal (possibly wrapped) to refuse; any other error leaves the
// result unknown to the caller, after everything was rolled back, and the call comes again; *Postponement says when, and why.
type Handler struct {
	Action       string // durable name of the action
	Compensation string // durable name of the compensation, for kind Compensatable
	Kind         Kind
	Stored       bool // of kind ReadOnly: store the answer, so that a repetition gets the same one

	// Events published through the outbox; empty names publish nothing. The data is the result (Success), or {"reason","detail"}: of the refusal
	// (Failure), or ReasonCompensated (Undone), so that both may have one name.
	Success string
	Failure string
	Undone  string

	// Prepare, if set, runs before the action's transaction begins. It is the place for calls to systems outside the database, which
	// would otherwise keep the transaction open, and on SQLite keep every other call waiting, for as long as they take. Do then runs with
	// the context that Prepare returned, which derives from the one it got. Its errors count like those of Do: a refusal is stored where a
	// refusal of Do would be, and Do does not run.
	//
	// It does not run when the call's answer is stored already. Otherwise it may run several times for one call, also at the same time, and also if Do never runs after it.
	// So what it asks for outside needs a key (CallOf gives the call's), and must do no harm if the action is refused or never comes.
	Prepare func(ctx context.Context, input []byte) (context.Context, error)

	Do   func(ctx context.Context, tx Tx, input []byte) (result []byte, err error)
	Undo func(ctx context.Context, tx Tx, input, result []byte) error
}

// Message is an event on its way out of a participant's outbox.
type Message struct {
	ID     string // unique and stable: a repetition has the same one
	Type   string // event name, such as "InventaireReserve"
	Source string // the participant's name
	Saga   journal.SagaID
	Step   string
	Time   time.Time
	Data   []byte // JSON
	Trace  string
}

// Publisher takes messages from an outbox. It returns nil only when all of them are durable where they go; after an error
// the outbox's relay sends them again, so a receiver must expect repetitions (same ID).
type Publisher interface {
	Publish(ctx context.Context, messages []Message) error
}
