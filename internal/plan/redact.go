package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// Redacted stands where something was that is not kept.
const Redacted = "[redacted]"

// Redaction names what of a definition's payloads is not kept. A place is a JSON pointer such as /card/cvv: its names are found in whatever case, a star stands for any member or element, and a list in the place of an object
// for all objects in it, as decoders of Go would find them.
type Redaction struct {
	Input []string                 // places in the saga's input
	Steps map[string]StepRedaction // by step
}

// StepRedaction names what of a step's payloads is not kept.
type StepRedaction struct {
	Input  []string // places in the input that an operator gives it anew
	Result []string // places in its result
	Words  bool     // the words of its refusals and errors; reason codes are kept, since they decide what happens
}

// hidden are places, ready to be looked for.
type hidden []([]string)

// hiddenIn reads places.
func hiddenIn(places []string) (all hidden, wrong []string) {
	for _, place := range places {
		rest, ok := strings.CutPrefix(place, "/")
		if !ok {
			wrong = append(wrong, place)
			continue
		}
		path := strings.Split(rest, "/")
		for i := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
		}
		all = append(all, path)
	}
	return all, wrong
}

// Redacted is the plan of a definition of which some is not kept. It is the same version: what is left out is the operator's to say, not the definition's. The faults are places that are none, and
// places in results that a later step reads: it would act on what is not there.
func (p *Plan) Redacted(r Redaction) (*Plan, []Fault) {
	q := *p
	q.Steps = slices.Clone(p.Steps)
	var faults []Fault
	read := func(step, of string, places []string) hidden {
		all, wrong := hiddenIn(places)
		for _, place := range wrong {
			faults = append(faults, Fault{Step: step, Problem: fmt.Sprintf("the place %q in its %s, which is not to be kept, is none", place, of), Mend: "begin it with a slash, such as /card/cvv"})
		}
		return all
	}
	q.hidden = read("", "input", r.Input)
	for _, name := range slices.Sorted(maps.Keys(r.Steps)) {
		i, ok := q.index[name]
		if !ok {
			continue // of another version
		}
		s, x := &q.Steps[i], r.Steps[name]
		s.hiddenInput, s.hiddenResult, s.hidesWords = read(name, "input", x.Input), read(name, "result", x.Result), x.Words
		faults = append(faults, q.needed(i)...)
	}
	return &q, faults
}

// needed finds places in a step's result that are not to be kept although another step reads them.
func (p *Plan) needed(i int) (faults []Fault) {
	for j := range p.Steps {
		reader := &p.Steps[j]
		k := slices.Index(reader.Reads, i)
		if k < 0 {
			continue
		}
		picks := [][]string{nil} // all of it
		if reader.Picks != nil {
			picks = reader.Picks[k]
		}
		for _, place := range p.Steps[i].hiddenResult {
			if slices.ContainsFunc(picks, func(pick []string) bool { return overlap(place, pick) }) {
				faults = append(faults, Fault{Step: p.Steps[i].Name, Problem: fmt.Sprintf("/%s of its result is not to be kept, and step %s is made of it", strings.Join(place, "/"), reader.Name),
					Mend: "let that step select only what it needs, let the participant leave it out, or seal it (package sealed)"})
			}
		}
	}
	return faults
}

// overlap says whether a place lies in what is picked, or what is picked in the place.
func overlap(place, pick []string) bool {
	for i := range min(len(place), len(pick)) {
		if place[i] != "*" && !strings.EqualFold(place[i], pick[i]) {
			return false
		}
	}
	return true
}

// KeptInput is what is kept of a saga's input. The same input gives the same text.
func (p *Plan) KeptInput(input []byte) []byte { return p.hidden.outOf(input) }

// HidesResult says whether some of the step's result is not kept, so that whoever compensates it has to know it by themselves.
func (s *Step) HidesResult() bool { return len(s.hiddenResult) > 0 }

// KeptResult is what is kept of the step's result.
func (s *Step) KeptResult(result []byte) []byte { return s.hiddenResult.outOf(result) }

// HidesWords says whether the words of the step's refusals and errors are not kept.
func (s *Step) HidesWords() bool { return s.hidesWords }

// KeptWords is what is kept of the words of a refusal or an error.
func (s *Step) KeptWords(words string) string {
	if s.hidesWords && words != "" {
		return Redacted
	}
	return words
}

// KeptDecision is what is kept of what an operator gives with a decision about a step; nothing, where the verb takes nothing.
func (p *Plan) KeptDecision(step string, verb journal.Verb, payload []byte) []byte {
	i, ok := p.Index(step)
	switch {
	case ok && verb == journal.VerbReplace:
		return p.Steps[i].hiddenInput.outOf(payload)
	case ok && verb == journal.VerbDone:
		return p.Steps[i].KeptResult(payload)
	}
	return nil
}

// Taken is what a driver takes in of an answer of the step's action or compensation: what is not kept is left out of it, and what cannot be used, or does not fit the step's schema, is a result that is not known.
func (s *Step) Taken(phase participant.Phase, a participant.Answer) participant.Answer {
	a.Detail = s.KeptWords(a.Detail)
	if a.Class != participant.Done || phase == participant.Compensation && s.HidesResult() { // a compensation may say again what its action said, and nobody reads it
		a.Result = nil
	}
	why := unusable(&a)
	if why == "" && a.Class == participant.Done && phase == participant.Action {
		a.Result = s.KeptResult(a.Result)
		if err := s.GivesResult(a.Result); err != nil {
			why = "the result: " + err.Error()
		}
	}
	if why != "" {
		return participant.Answer{Detail: why}
	}
	return a
}

// unusable says why an answer cannot be used.
func unusable(a *participant.Answer) string {
	switch {
	case a.Class == participant.Done && len(a.Result) > journal.MaxPayload:
		return fmt.Sprintf("the result has %d bytes; %d are allowed", len(a.Result), journal.MaxPayload)
	case a.Class == participant.Done && len(a.Result) > 0 && !json.Valid(a.Result):
		return "the result is not JSON"
	case a.Class == participant.Done && journal.TooDeep(a.Result):
		return fmt.Sprintf("the result is nested deeper than the %d levels that are allowed", journal.MaxDepth)
	case a.Class == participant.Refused && a.Reason == "":
		return "refused without a reason code"
	}
	return ""
}

// outOf takes what is at the places out of a payload. Of one into which nobody can look, or that grew too large by it, nothing is left.
func (h hidden) outOf(payload []byte) []byte {
	if len(h) == 0 || len(payload) == 0 {
		return payload
	}
	nothing := []byte(`"` + Redacted + `"`)
	if !json.Valid(payload) || journal.TooDeep(payload) {
		return nothing
	}
	for _, path := range h {
		payload = without(bytes.TrimSpace(payload), path)
	}
	if len(payload) > journal.MaxPayload {
		return nothing
	}
	return payload
}

// without takes what is at a path out of a value, which is JSON.
func without(value json.RawMessage, path []string) json.RawMessage {
	if len(path) == 0 {
		return json.RawMessage(`"` + Redacted + `"`)
	}
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case value[0] == '{' && json.Unmarshal(value, &object) == nil:
		for name := range object {
			if path[0] == "*" || strings.EqualFold(path[0], name) {
				object[name] = without(object[name], path[1:])
			}
		}
		return written(object)
	case value[0] == '[' && json.Unmarshal(value, &list) == nil:
		rest := path // a member's name is looked for in every element
		if path[0] == "*" {
			rest = path[1:]
		}
		for i := range list {
			list[i] = without(list[i], rest)
		}
		return written(list)
	}
	return value
}

// written writes parts of valid JSON together again, with their characters as they were.
func written[T any](parts T) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(parts); err != nil {
		panic("plan: what was just read cannot be written: " + err.Error()) // cannot happen
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
