package choreographer

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/machine"
	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// scores are the definitions that somebody takes part in. They grow while that somebody is at work: add puts another book in the place of the one that there is, so that whoever
// reads needs no lock.
type scores struct {
	adding sync.Mutex
	book   atomic.Pointer[book]
}

// book has definitions by name and version. It never changes.
type book map[string]map[string]*machine.Machine

// add prepares definitions, and adds those that are new. It returns the faults of those that cannot be choreographed, and adds none then.
func (s *scores) add(plans []*plan.Plan) (faults []plan.Fault) {
	s.adding.Lock()
	defer s.adding.Unlock()
	all := make(book)
	for name, versions := range s.all() {
		all[name] = maps.Clone(versions)
	}
	for _, p := range plans {
		if strings.HasPrefix(p.Name, reserved) {
			faults = append(faults, plan.Fault{Problem: "the name of definition " + p.Name + " begins with " + reserved + ", which is reserved", Mend: "name it otherwise"})
		}
		levels := make([]participant.Level, len(p.Steps))
		for i := range p.Steps {
			levels[i] = participant.L2
			if strings.HasPrefix(p.Steps[i].Name, reserved) {
				faults = append(faults, plan.Fault{Step: p.Steps[i].Name, Problem: "its name begins with " + reserved + ", which is reserved", Mend: "give it another with Named"})
			}
		}
		if all[p.Name] == nil {
			all[p.Name] = make(map[string]*machine.Machine)
		}
		if all[p.Name][p.Version] == nil { // a version is the same for ever
			all[p.Name][p.Version] = machine.New(p, levels)
		}
	}
	if len(faults) == 0 {
		s.book.Store(&all)
	}
	return faults
}

// all are the definitions as they are now.
func (s *scores) all() book {
	if b := s.book.Load(); b != nil {
		return *b
	}
	return nil
}

// versions are those of one definition; nil if there is none of that name.
func (s *scores) versions(definition string) map[string]*machine.Machine { return s.all()[definition] }

// reserved begins the names that Skald keeps for itself.
const reserved = "skald."

func (s *scores) of(t *participant.Token) *machine.Machine {
	return s.versions(t.Definition)[t.Version]
}

// filters select the tokens that may concern somebody, by their keys: what first selects, and of each definition the steps and directions that concerned names. Names of steps and definitions never have wildcards.
func (s *scores) filters(first broker.Filter, concerned func(m *machine.Machine, step string, d participant.Direction) bool) []broker.Filter {
	all := map[broker.Filter]bool{first: true}
	for definition, versions := range s.all() {
		for _, m := range versions {
			steps := []string{participant.StepEnd}
			for i := range m.Plan.Steps {
				steps = append(steps, m.Plan.Steps[i].Name)
			}
			for _, step := range steps {
				for _, d := range []participant.Direction{participant.Forward, participant.Backward} {
					if concerned(m, step, d) {
						all[broker.Filter(broker.NewKey(definition, "*", step, string(d)))] = true
					}
				}
			}
		}
	}
	if len(all) > filtersMost {
		return nil
	}
	return slices.Sorted(maps.Keys(all))
}

// What filters begin with. A list that is empty would select everything, so whoever needs no starts begins with a key that no token has.
const (
	allStarts broker.Filter = starts + "/*"
	noStarts  broker.Filter = starts
)

// filtersMost bounds how many filters a subscription gets. One that would need more gets everything.
const filtersMost = 200

// heard is what somebody knows of one saga, joined from its tokens.
type heard struct {
	m       *machine.Machine
	tokens  machine.Tokens
	start   *participant.Token
	results [][]byte
}

// join brings tokens together. Their order does not matter. Those of steps that the definition does not have are left out.
func join(m *machine.Machine, all []participant.Token) *heard {
	h := &heard{m: m, results: make([][]byte, len(m.Plan.Steps))}
	for i := range all {
		h.hear(&all[i])
	}
	return h
}

func (h *heard) hear(t *participant.Token) {
	switch t.Step {
	case participant.StepStart:
		if t.Kind == participant.TokenUndone {
			h.tokens.Compensated = true
		} else {
			h.tokens.Started, h.start = true, t
		}
		return
	case participant.StepEnd:
		h.tokens.End = forward(t.Kind)
		return
	}
	i, ok := h.m.Plan.Index(t.Step)
	if !ok {
		return
	}
	if t.Kind == participant.TokenUndone {
		h.tokens.Undone |= plan.One(i)
		return
	}
	h.tokens.Hear(i, forward(t.Kind))
	if t.Kind == participant.TokenDone {
		h.results[i] = t.Payload
	}
}

func forward(k participant.TokenKind) machine.Forward {
	switch k {
	case participant.TokenDone:
		return machine.ToldDone
	case participant.TokenRefused:
		return machine.ToldRefused
	case participant.TokenFailed:
		return machine.ToldFailed
	case participant.TokenSkipped:
		return machine.ToldSkipped
	case participant.TokenUndone:
	}
	return machine.Untold
}

// turning says whether something was heard that turns the saga back.
func (h *heard) turning() bool { return h.tokens.Refused|h.tokens.Failed|h.tokens.Skipped != 0 }

// input makes a step's input from what was heard.
func (h *heard) input(i int) (input []byte, err error) {
	return h.m.Plan.Input(i, h.start.Payload, func(j int) []byte { return h.results[j] })
}
