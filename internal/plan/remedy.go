package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/skaldhq/skald/participant"
)

// Remedy says what becomes of a step that ends with a reason code.
type Remedy struct {
	Reason  string
	Meaning string // words for a person
	Does    Does
	Budget  int           // of Replay: how often
	Pause   time.Duration // of Replay: before each
}

// Does is what a remedy does.
type Does uint8

// What remedies do.
const (
	// Compensate lets the saga turn back, as without a remedy.
	Compensate Does = iota + 1
	// Replay begins the step's attempts anew, Budget times, each time after Pause, and then compensates.
	Replay
	// GoOn ends a retriable step that was refused, without its effect, and the saga goes on: beyond the pivot there is only forward.
	GoOn
)

// String is the word in definitions, on pages and in dead letters.
func (d Does) String() string {
	switch d {
	case Compensate:
		return "compensate"
	case Replay:
		return "replay"
	case GoOn:
		return "go on"
	}
	return fmt.Sprintf("does(%d)", uint8(d))
}

// MaxBudget bounds how often a step may be begun anew by itself.
const MaxBudget = 1000

// Remedy returns what the definition says of a reason code, or nil.
func (p *Plan) Remedy(reason string) *Remedy {
	for i := range p.Remedies {
		if p.Remedies[i].Reason == reason {
			return &p.Remedies[i]
		}
	}
	return nil
}

// Given by Skald itself when a step's attempts or time are used up: no operation declares them.
var givenBySkald = []string{"skald.retries_exhausted", "skald.deadline"}

// remedies finds remedies that nothing asks for, and those that do not fit the steps that do.
func (c *checker) remedies() {
	seen := make(map[string]bool)
	for i, r := range c.draft.Remedies {
		member := fmt.Sprintf("on_reason/%d", i)
		name := fmt.Sprintf("OnReason(%q): ", r.Reason)
		if why := CheckName(r.Reason); why != "" {
			c.add("", member, name+"the reason code cannot be used: "+why, "use a short code such as \"Drone.NoneFree\"")
		}
		if seen[r.Reason] {
			c.add("", member, name+"it is said twice", "say once what becomes of a reason code")
		}
		seen[r.Reason] = true
		if r.Does == Replay && (r.Budget < 1 || r.Budget > MaxBudget || r.Pause <= 0 || r.Pause > MaxBackoff) {
			c.add("", member, fmt.Sprintf("%sit replays %d times with pauses of %s", name, r.Budget, r.Pause),
				fmt.Sprintf("replay 1 to %d times, with pauses of up to %s", MaxBudget, MaxBackoff))
		}
		declared := slices.Contains(givenBySkald, r.Reason)
		for _, s := range c.draft.Steps {
			if slices.Contains(s.Reasons, r.Reason) {
				declared = true
				c.fits(r, s)
			}
		}
		if !declared {
			c.add("", member, name+"no operation of this definition gives that code", "declare it with Reasons at the operation that does, or take this out")
		}
	}
}

// fits finds a remedy that a step cannot have.
func (c *checker) fits(r Remedy, s DraftStep) {
	turnsBack := s.Kind == participant.Compensatable || s.Kind == participant.ReadOnly
	switch {
	case r.Does == Replay && !turnsBack:
		c.add(s.Name, "kind", fmt.Sprintf("reason %s is to be replayed, but a %s step is asked again without end", r.Reason, s.Kind), "leave the remedy out")
	case r.Does == Compensate && s.Kind == participant.Retriable:
		c.add(s.Name, "kind", fmt.Sprintf("reason %s is to be compensated, but nothing turns back from a retriable step", r.Reason), "use GoOn, or leave the remedy out: an incident then asks an operator")
	case r.Does == GoOn && s.Kind != participant.Retriable:
		c.add(s.Name, "kind", fmt.Sprintf("reason %s is to be gone on from, but the step is %s: its refusal turns the saga back", r.Reason, s.Kind), "use GoOn for retriable steps only")
	case r.Does == GoOn && slices.ContainsFunc(c.draft.Steps, func(x DraftStep) bool { return slices.Contains(x.ReadsOf, s.Name) }):
		c.add(s.Name, "kind", fmt.Sprintf("reason %s is to be gone on from, but another step reads its result", r.Reason), "leave the remedy out: an incident then asks an operator for the result")
	}
}
