package skald

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skaldhq/skald/internal/plan"
	"github.com/skaldhq/skald/participant"
)

// Redacted stands where something was that is not kept.
const Redacted = plan.Redacted

type (
	// Redaction names what of a definition's payloads is not kept. A place is a JSON pointer such as /card/cvv: its names are found in whatever case, a star stands for any member or element, and a list in the place of an object for
	// all objects in it.
	Redaction = plan.Redaction
	// StepRedaction names what of a step's payloads is not kept.
	StepRedaction = plan.StepRedaction
)

// Redactions are what is not kept of payloads, by definition. What is named becomes Redacted where it enters: in the input of a start, in a result, in what an operator gives, in the words of refusals and errors. So nobody behind that sees
// it, the saga runs without it, and journals never had it. What a later step or a compensation needs cannot be named: that is a fault of the configuration, and the error says it.
//
// It goes for what comes in from then on, and for all versions of a definition.
type Redactions map[string]Redaction

// ReadRedactions reads what programs take as text, a line for each place:
//
//	visit:/card/cvv                   in the input of visit's sagas
//	visit:card.charge:input:/card     in the input that an operator gives its step card.charge anew
//	visit:card.charge:result:/pan     in the result of its step card.charge
//	visit:card.charge:words           the words of that step's refusals and errors
//
// The error lists every line that is none of them.
func ReadRedactions(lines ...string) (Redactions, error) {
	all := Redactions{}
	var wrong []string
	for _, line := range lines {
		if !all.read(line) {
			wrong = append(wrong, line)
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s: write visit:/card/cvv for a place in the input of visit, visit:card.charge:result:/pan for one in the result of its step card.charge, visit:card.charge:input:/card for one in an operator's new input, "+
			"and visit:card.charge:words for the words of its refusals and errors", strings.Join(wrong, ", "))
	}
	return all, nil
}

// read takes a line in; false if it is none.
func (r Redactions) read(line string) bool {
	definition, rest, _ := strings.Cut(line, ":")
	if participant.CheckName(definition) != "" {
		return false
	}
	x := r[definition]
	if strings.HasPrefix(rest, "/") {
		x.Input = append(x.Input, rest)
		r[definition] = x
		return true
	}
	step, rest, _ := strings.Cut(rest, ":")
	of, place, _ := strings.Cut(rest, ":")
	s := x.Steps[step]
	switch {
	case step == "":
		return false
	case of == "words" && place == "":
		s.Words = true
	case of == "input" && strings.HasPrefix(place, "/"):
		s.Input = append(s.Input, place)
	case of == "result" && strings.HasPrefix(place, "/"):
		s.Result = append(s.Result, place)
	default:
		return false
	}
	if x.Steps == nil {
		x.Steps = map[string]StepRedaction{}
	}
	x.Steps[step] = s
	r[definition] = x
	return true
}

// all are the compiled definitions with which a program begins: a step that no version of its definition has is a typing mistake, by which what should not be kept would be.
func (r Redactions) all(sagas []Registered) ([]*plan.Plan, error) {
	plans, err := r.of(sagas)
	if err != nil {
		return nil, err
	}
	for _, definition := range slices.Sorted(maps.Keys(r)) {
		known := func(has func(*plan.Plan) bool) bool {
			return slices.ContainsFunc(plans, func(p *plan.Plan) bool { return p.Name == definition && has(p) })
		}
		if !known(func(*plan.Plan) bool { return true }) {
			continue // it may be registered later
		}
		var faults []plan.Fault
		for _, step := range slices.Sorted(maps.Keys(r[definition].Steps)) {
			if !known(func(p *plan.Plan) bool { _, ok := p.Index(step); return ok }) {
				faults = append(faults, plan.Fault{Step: step, Problem: "some of its payloads is not to be kept, and no version of the definition has such a step", Mend: "name one of its steps"})
			}
		}
		if len(faults) > 0 {
			return nil, &Faults{Definition: definition, List: faults}
		}
	}
	return plans, nil
}

// of are compiled definitions that know what is not kept.
func (r Redactions) of(sagas []Registered) ([]*plan.Plan, error) {
	plans := make([]*plan.Plan, len(sagas))
	for i, s := range sagas {
		plans[i] = s.compiledPlan()
		x, ok := r[s.Name()]
		if !ok {
			continue
		}
		var faults []plan.Fault
		if plans[i], faults = plans[i].Redacted(x); len(faults) > 0 {
			return nil, &Faults{Definition: s.Name() + " " + s.Version(), List: faults}
		}
	}
	return plans, nil
}
