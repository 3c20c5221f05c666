package skald

import (
	"context"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Client starts sagas, asks about them and acts on them. An Engine is one. Its methods may be called concurrently and never retry by
// themselves; an id that is not known is ErrNotFound.
type Client interface {
	// Start begins a saga and returns once it is durable. See Saga.Start, which is how to call it with types.
	Start(ctx context.Context, q StartRequest) (Started, error)
	// Status reads what is durable of a saga.
	Status(ctx context.Context, id SagaID) (Status, error)
	// Wait returns the status when the saga has its outcome, or ctx's error. The saga goes on either way.
	Wait(ctx context.Context, id SagaID) (Status, error)
	// Watch hands the saga's events to yield as they become durable, from after a sequence number (0 for all), until the outcome, ctx's end or an
	// error of yield, which it returns. A slow receiver holds nobody up.
	Watch(ctx context.Context, id SagaID, after uint64, yield func(Event) error) error
	// Events reads the journal from after a sequence number (0 for all).
	Events(ctx context.Context, id SagaID, after uint64) ([]Event, error)
	// List lists sagas, a page at a time.
	List(ctx context.Context, f Filter) (Page, error)
	// Cancel turns a saga back and returns when that is durable; ErrPassed after its point of no return.
	Cancel(ctx context.Context, id SagaID, by, reason string) error
	// Resolve carries out an operator's decision and returns when it is durable; ErrVerb if it does not fit.
	Resolve(ctx context.Context, id SagaID, r Resolution) error
}

// StartRequest asks for a saga without its types.
type StartRequest struct {
	ID         SagaID // empty: one is made
	Definition string
	Version    string // empty: the latest registered
	Input      []byte // JSON, at most 1 MiB and 64 levels deep
	Key        string // business key
	Trace      string // W3C traceparent
	Mode       Mode   // who drives it; empty: as the engine is configured. ErrMode if the engine does not run it
}

// Started is the answer to a start.
type Started struct {
	ID      SagaID
	Existed bool // it had been started before, with the same input
}

// Filter selects sagas. A zero field selects everything.
type Filter = store.Filter

// Page is one page of a list.
type Page = store.Page

// Resolution is an operator's decision about a step, or about the saga as a whole when Step is empty.
type Resolution struct {
	Step    string
	Verb    Verb
	By      string // who decides; kept in the journal
	Reason  string // why; kept in the journal, required except to retry
	Payload []byte // JSON: the new input of VerbReplace, the result of VerbDone
}

// Verb is what an operator does about an incident.
type Verb = journal.Verb

// The verbs.
const (
	// VerbRetry asks again at once.
	VerbRetry = journal.VerbRetry
	// VerbReplace asks again at once, with another input.
	VerbReplace = journal.VerbReplace
	// VerbSkip gives up a retriable step whose result nobody reads, or a compensation: what exists then stays.
	VerbSkip = journal.VerbSkip
	// VerbDone states that the work was done by hand.
	VerbDone = journal.VerbDone
	// VerbSeen states that somebody looked at a contradiction (ReasonContradiction) and put right what was wrong. It asks nothing, and fits a saga that has ended, too.
	VerbSeen = journal.VerbSeen
)
