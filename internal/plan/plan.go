// Package plan holds definitions without their Go types: a draft is checked, all faults at once, and becomes a Plan, which is what the
// machine, both drivers and every export read. A plan is data, but for the functions that map results to inputs.
//
// A plan is immutable once built and may be shared by goroutines.
package plan

import (
	"time"

	"github.com/skaldhq/skald/participant"
)

// Plan is a definition, checked and compiled.
type Plan struct {
	Name          string
	Version       string // hash of the canonical form
	Canonical     []byte // JSON, see docs/design.md
	Deadline      time.Duration
	Accepts       Check         // of the saga's input; nil takes everything
	IncidentAfter time.Duration // negative: never
	Durability    Durability
	Remedies      []Remedy // in the order of their definition
	Steps         []Step   // in the order of their definition, which is a topological order
	Pivot         int      // index of the pivot, -1 without one

	Preds, Succs []Set // direct neighbours, transitively reduced
	Anc, Desc    []Set // all that come before and after
	index        map[string]int
	hidden       hidden // of the input
}

// Step is one action and how it is undone.
type Step struct {
	Name         string
	Kind         participant.Kind
	Action       string // durable name of the operation
	Compensation string
	Input        string // shape of the payload, see docs/design.md
	Output       string
	Stored       bool // of kind readonly: the participant stores its answers
	Strict       bool // its intent and its result are waited for
	Reads        []int
	Picks        [][][]string // of each result that it reads, the paths of what it reads; nil if it reads results as a whole
	Map          Mapping      // what it makes fits Accepts
	Accepts      Check        // of the action's input; nil takes everything
	Returns      Check        // of its result; nil takes everything
	Retry        Retry
	Undo         Retry // of the compensation; its attempts are never limited
	Timeout      time.Duration
	Deadline     time.Duration
	Events       Events
	Reasons      []string
	After        []int // as stated or implied; reduced in Plan.Preds

	hiddenInput, hiddenResult hidden
	hidesWords                bool
}

// Mapping makes a step's input from the saga's input and the results that the step reads, in the order of Step.Reads. It is
// pure: it is called again after a restart and must give the same bytes.
type Mapping func(input []byte, results [][]byte) ([]byte, error)

// Events are the names a step's participant publishes under; an empty one is not published.
type Events struct {
	Success string `json:"success,omitempty"`
	Failure string `json:"failure,omitempty"`
	Undone  string `json:"undone,omitempty"`
}

// Durability says for which records a coordinator waits.
type Durability uint8

// The policies.
const (
	// Lazy waits where correctness needs it: docs/design.md has the table.
	Lazy Durability = iota
	// Strict waits for every record before the next call.
	Strict
)

// String is the policy's name in the canonical form.
func (d Durability) String() string {
	if d == Strict {
		return "strict"
	}
	return "lazy"
}

// Retry says when a call with an unknown result is made again: after Initial, then Factor times as long each time up to Cap, each spread by
// Jitter (0.2 is 20% either way), at most Attempts calls in all; 0 Attempts is no limit.
type Retry struct {
	Initial  time.Duration
	Factor   float64
	Jitter   float64
	Cap      time.Duration
	Attempts int
}

// MaxBackoff is the longest pause between two attempts.
const MaxBackoff = 5 * time.Minute

// Delay is the pause after the given attempt (from 1), before jitter.
func (r Retry) Delay(attempt uint32) time.Duration {
	d := float64(r.Initial)
	for range min(attempt, 64) - 1 {
		if d *= r.Factor; d >= float64(r.Cap) {
			return r.Cap
		}
	}
	return min(time.Duration(d), r.Cap)
}

// Exhausted says whether no attempt is left after the given one.
func (r Retry) Exhausted(attempt uint32) bool {
	return r.Attempts > 0 && int64(attempt) >= int64(r.Attempts)
}

// Index returns a step's index by its name.
func (p *Plan) Index(step string) (int, bool) {
	i, ok := p.index[step]
	return i, ok
}

// All is the set of all steps.
func (p *Plan) All() Set {
	if len(p.Steps) == MaxSteps {
		return ^Set(0)
	}
	return 1<<len(p.Steps) - 1
}

// Of is the set of the steps of one kind.
func (p *Plan) Of(kind participant.Kind) Set {
	var s Set
	for i := range p.Steps {
		if p.Steps[i].Kind == kind {
			s |= One(i)
		}
	}
	return s
}

// Reasons lists the reason codes that any step declares.
func (p *Plan) Reasons() []string {
	var all []string
	for i := range p.Steps {
		all = append(all, p.Steps[i].Reasons...)
	}
	return all
}
