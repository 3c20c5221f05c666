package skald

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// selection says where a step's input comes from: one place, or a place for each field.
type selection struct {
	whole  string
	fields map[string]string
}

// UnmarshalJSON implements json.Unmarshaler.
func (x *selection) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &x.whole) == nil {
		return nil
	}
	if err := json.Unmarshal(data, &x.fields); err != nil {
		return errors.New(`an input is neither a place such as "/input/order" nor an object of fields and places such as {"sku": "/input/sku", "price": "/steps/produit.check/price"}`)
	}
	return nil
}

// places are all places, sorted by field.
func (x *selection) places() []string {
	if x.fields == nil {
		return []string{x.whole}
	}
	places := make([]string, 0, len(x.fields))
	for _, field := range slices.Sorted(maps.Keys(x.fields)) {
		places = append(places, x.fields[field])
	}
	return places
}

// canonical is the selection as text, the same for all ways of writing the same.
func (x *selection) canonical() []byte {
	var v any = x.whole
	if x.fields != nil {
		v = x.fields
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic("skald: strings do not encode: " + err.Error()) // cannot happen
	}
	return text
}

// place is where a value is: in the saga's input, or in a step's result.
type place struct {
	step     string // empty: the saga's input
	path     []string
	optional bool // the value may be missing
}

// readPlace reads a place such as /input/order/sku, /steps/produit.check/price or, where the value may be missing, /input/note?
func readPlace(text string) (place, bool) {
	rest, optional := strings.CutSuffix(text, "?")
	parts := strings.Split(rest, "/")
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for i := range parts {
		parts[i] = unescape.Replace(parts[i])
	}
	switch {
	case len(parts) >= 2 && parts[0] == "" && parts[1] == "input":
		return place{path: parts[2:], optional: optional}, true
	case len(parts) >= 3 && parts[0] == "" && parts[1] == "steps" && parts[2] != "":
		return place{step: parts[2], path: parts[3:], optional: optional}, true
	}
	return place{}, false
}

// source makes one value of a step's input.
type source struct {
	field string // empty: the whole input
	text  string
	reads []string // steps whose results it reads
	path  []string // of what it reads there; empty for the whole, as expressions do
	make  func(input []byte, results map[string][]byte) (json.RawMessage, error)
}

// selectionFault is one thing that is wrong with a selection.
type selectionFault struct{ member, problem, mend string }

// mapper makes a step's input from the sources of a selection.
type mapper struct {
	whole   bool
	sources []source              // by field
	reads   []string              // steps whose results are read, each once
	picks   map[string][][]string // by such a step, the paths of what is read of its result
	faults  []selectionFault
}

// mapper reads what the places and expressions say.
func (x *selection) mapper(expressions Expressions) *mapper {
	m := &mapper{whole: x.fields == nil, picks: make(map[string][][]string)}
	if m.whole && x.whole == "" {
		m.faults = append(m.faults, selectionFault{"input", "nothing says what its input is", `give "input" a place such as "/input", or an object of fields and places`})
		return m
	}
	for i, text := range x.places() {
		member, field := "input", ""
		if !m.whole {
			field = slices.Sorted(maps.Keys(x.fields))[i]
			member += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(field)
		}
		s, why := readSource(text, expressions)
		if why != nil {
			why.member = member
			m.faults = append(m.faults, *why)
			continue
		}
		if p, ok := readPlace(text); ok && p.optional && m.whole {
			m.faults = append(m.faults, selectionFault{member, fmt.Sprintf("its whole input is %q, which may be missing", text), "leave the question mark out, or select fields"})
		}
		s.field, s.text = field, text
		m.sources = append(m.sources, s)
		for _, step := range s.reads {
			m.picks[step] = append(m.picks[step], s.path)
			if !slices.Contains(m.reads, step) {
				m.reads = append(m.reads, step)
			}
		}
	}
	return m
}

// readSource reads a place, or an expression, which begins with an equals sign.
func readSource(text string, expressions Expressions) (source, *selectionFault) {
	if expression, ok := strings.CutPrefix(text, "="); ok {
		return readExpression(expression, expressions)
	}
	p, ok := readPlace(text)
	if !ok {
		return source{}, &selectionFault{problem: fmt.Sprintf("its input names the place %q, which is none", text),
			mend: "begin it with /input or with /steps/ and a step's name, and go on with the names of fields, such as /input/order/sku; to calculate, begin it with ="}
	}
	s := source{make: func(input []byte, results map[string][]byte) (json.RawMessage, error) {
		if p.step != "" {
			input = results[p.step]
		}
		value, found := pick(input, p.path)
		if !found && !p.optional {
			return nil, fmt.Errorf("there is nothing at %s", text)
		}
		return value, nil
	}}
	if p.step != "" {
		s.reads, s.path = []string{p.step}, p.path
	}
	return s, nil
}

// apply is the step's mapping. Places copy values as they are: no number is read and written again.
func (m *mapper) apply(input []byte, read [][]byte) ([]byte, error) {
	results := make(map[string][]byte, len(read))
	for i, step := range m.reads {
		results[step] = read[i]
	}
	object := make(map[string]json.RawMessage, len(m.sources))
	var faults []error
	for _, s := range m.sources {
		value, err := s.make(input, results)
		switch {
		case err != nil:
			faults = append(faults, err)
		case m.whole && value == nil:
			return nil, fmt.Errorf("%s gives no value", s.text)
		case m.whole:
			return value, nil
		case value != nil:
			object[s.field] = value
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return json.Marshal(object)
}

// pick follows a path of field names through objects.
func pick(data []byte, path []string) (json.RawMessage, bool) {
	if len(data) == 0 {
		data = []byte("null")
	}
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(data, &object) != nil {
			return nil, false
		}
		value, ok := object[name]
		if !ok {
			return nil, false
		}
		data = value
	}
	return data, true
}
