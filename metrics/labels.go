package metrics

import (
	"slices"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// Label values with a meaning of their own.
const (
	// Other stands for every definition, step or reason code that the registered definitions do not name.
	Other = "other"
	// WholeSaga is the step of a saga that no step turned back: it was cancelled, or its own deadline passed.
	WholeSaga = "saga"
)

// result says what became of a step's action.
type result int

const (
	asked result = iota
	done
	refused
	failed
	skipped
	results
)

func (r result) String() string {
	return [results]string{"asked", "done", "refused", "failed", "skipped"}[r]
}

func resultOf(k journal.Kind) (result, bool) {
	switch k {
	case journal.StepAsked:
		return asked, true
	case journal.StepDone:
		return done, true
	case journal.StepRefused:
		return refused, true
	case journal.StepFailed:
		return failed, true
	case journal.StepSkipped:
		return skipped, true
	default:
		return 0, false
	}
}

// undoing says how far a compensation is. The last two are operators' decisions: done by hand, or given up with what exists left as it is.
type undoing int

const (
	undoAsked undoing = iota
	undoDone
	undoByHand
	undoSkipped
	undoings
)

func (u undoing) String() string {
	return [undoings]string{"asked", "done", "by_hand", "skipped"}[u]
}

// undoingOf is of a CompensationDone.
func undoingOf(e *journal.Event) undoing {
	switch e.Verb {
	case journal.VerbSkip:
		return undoSkipped
	case journal.VerbDone:
		return undoByHand
	default:
		return undoDone
	}
}

const (
	outcomeCompleted = iota
	outcomeCompensated
	outcomes
)

func outcome(i int) string {
	return string([outcomes]store.State{store.Completed, store.Compensated}[i])
}

const modes = 2

func mode(i int) journal.Mode {
	return [modes]journal.Mode{journal.Orchestrated, journal.Choreographed}[i]
}

// modeOf is -1 for what is no mode.
func modeOf(m journal.Mode) int {
	for i := range modes {
		if mode(i) == m {
			return i
		}
	}
	return -1
}

// endings are Skald's own reason codes that may end a step and turn a saga back with it; wholeEndings are those of a saga as a whole.
func endings() []string {
	return []string{
		skald.ReasonCompensated, skald.ReasonConflict, skald.ReasonDeadline, skald.ReasonExhausted, skald.ReasonMalformed, skald.ReasonMapping,
		skald.ReasonUnknownResult,
	}
}

func wholeEndings() []string { return []string{skald.ReasonCancelled, skald.ReasonDeadline} }

// alarms are Skald's own reason codes that open incidents.
func alarms() []string {
	return []string{
		skald.ReasonConflict, skald.ReasonContradiction, skald.ReasonDeadline, skald.ReasonDefinition, skald.ReasonForgotten, skald.ReasonMalformed, skald.ReasonMapping,
		skald.ReasonNoProgress, skald.ReasonUnknownResult,
	}
}

// participants lists the owners of the definitions' operations.
func participants(sagas []skald.Registered) []string {
	var all []string
	for _, s := range sagas {
		for _, step := range s.Steps() {
			all = append(all, step.Participant())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
