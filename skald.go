// Package skald runs sagas: business transactions that span several services and either complete or are compensated.
//
// A participant's contract says what it can do and how that is undone (Compensatable, Pivot, Retriable, ReadOnly). A definition is then only
// the way forward (Define, Step, Build), and the way back follows from it. An Engine runs sagas from a store of journals; what it acknowledged survives a
// crash at any instant. Participants carry operations out with exactly one effect through package participant/sqlparticipant.
//
// Payloads are JSON. A definition may have up to 64 steps, a payload up to 1 MiB and 64 levels, an orchestrated saga up to 4 MiB of input and results, any saga up to 10,000 events.
// What is promised, and what is not, is in docs/guarantees.md.
package skald

import (
	"github.com/skaldhq/skald/internal/choreographer"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// SagaID names one saga: 1 to 128 letters, digits, dots, underscores, colons and hyphens, chosen by the caller, or a UUID (version 7) made by
// the engine.
type SagaID = journal.SagaID

// Event is one entry of a saga's journal.
type Event = journal.Event

// Errors of the engine; compare with errors.Is.
var (
	// ErrNotFound says that there is no saga with this id: it never existed, or ended longer ago than the retention.
	ErrNotFound = store.ErrNotFound
	// ErrConflict says that the saga's id was used before, for another definition or input.
	ErrConflict = orchestrator.ErrConflict
	// ErrDefinition says that no definition of that name and version is registered.
	ErrDefinition = orchestrator.ErrDefinition
	// ErrInput says that an input is not JSON.
	ErrInput = orchestrator.ErrInput
	// ErrMisfit says that an input, or what an operator gives, does not fit its schema. The error is a *Misfit, too.
	ErrMisfit = plan.ErrMisfit
	// ErrTooLarge says that an input has more than 1 MiB, or is nested deeper than 64 levels.
	ErrTooLarge = orchestrator.ErrTooLarge
	// ErrText says that a business key, a traceparent or a name is longer than 256 bytes or no text.
	ErrText = orchestrator.ErrText
	// ErrID says that a saga's id has characters or a length that cannot be used.
	ErrID = journal.ErrID
	// ErrStopped says that the engine is stopping or had to stop. What is durable goes on after the next start.
	ErrStopped = orchestrator.ErrStopped
	// ErrEnded says that the saga has its outcome already.
	ErrEnded = machine.ErrEnded
	// ErrPassed says that a cancel came after the saga's point of no return.
	ErrPassed = machine.ErrPassed
	// ErrStale says that the saga of a dead letter has ended: nothing would follow from a replay. Discard the letter.
	ErrStale = choreographer.ErrStale
	// ErrVerb says that an operator's verb does not fit the step.
	ErrVerb = machine.ErrVerb
)

// OverloadError refuses a start because too much is under way or the store has no room; it says when to try again.
type OverloadError = orchestrator.OverloadError

// Faults is the error of a definition that cannot be built: everything that is wrong, each with its mend.
type Faults = plan.Faults

// Fault is one thing that is wrong with a definition.
type Fault = plan.Fault

// Position is a place in a text that a definition was read from.
type Position = plan.Position
