package skald

import (
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Reason codes that Skald itself gives; all others are those that operations declare with Reasons. All begin with "skald.", which is reserved.
const (
	// ReasonExhausted ends a step whose attempts all had an unknown result.
	ReasonExhausted = machine.ReasonExhausted
	// ReasonDeadline ends a step or turns a saga back because its deadline passed, or opens an incident where it is too late to turn back.
	ReasonDeadline = machine.ReasonDeadline
	// ReasonAbandoned ends the asking of a step because the saga turns back for another cause.
	ReasonAbandoned = machine.ReasonAbandoned
	// ReasonCancelled turns a saga back because somebody asked for it.
	ReasonCancelled = machine.ReasonCancelled
	// ReasonUnknownResult ends, or holds for an operator, a step whose participant cannot safely be asked again (level L0).
	ReasonUnknownResult = machine.ReasonUnknown
	// ReasonNotAsked stands at an attempt of which nothing was sent: there was no connection, or the participant is left alone for a while. It ends no step.
	ReasonNotAsked = machine.ReasonNotAsked
	// ReasonNoProgress opens an incident for a step or compensation that must succeed and has not for a while.
	ReasonNoProgress = machine.ReasonSlow
	// ReasonMapping refuses a step whose input could not be made.
	ReasonMapping = machine.ReasonMapping
	// ReasonDefinition opens an incident for a saga whose definition no program has registered.
	ReasonDefinition = orchestrator.ReasonDefinition
	// ReasonCompensated refuses an action whose compensation came before it.
	ReasonCompensated = participant.ReasonCompensated
	// ReasonConflict is an incident: a call's key was used with another input.
	ReasonConflict = participant.ReasonConflict
	// ReasonContradiction is an incident about what is decided already: a participant answered a step one way, and later another way. Nothing waits for it, and it may open after the
	// saga's outcome, which stands. VerbSeen closes it.
	ReasonContradiction = journal.ReasonContradiction
	// ReasonForgotten is an incident: a participant no longer knows an action that it is asked to compensate.
	ReasonForgotten = participant.ReasonForgotten
	// ReasonSealed is of a step whose participant cannot open its input: a key of package sealed is missing there.
	ReasonSealed = participant.ReasonSealed
)

// ReasonCodes lists the reason codes that Skald itself gives, in alphabetical order. The caller owns it.
func ReasonCodes() []string {
	return []string{
		ReasonAbandoned, ReasonCancelled, ReasonCompensated, ReasonConflict, ReasonContradiction, ReasonDeadline, ReasonDefinition, ReasonForgotten, ReasonMalformed,
		ReasonMapping, ReasonNoProgress, ReasonExhausted, ReasonSealed, ReasonUnknownResult,
	}
}
