package declarative

import (
	"cmp"
	_ "embed" // the schema of the form
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/skaldhq/skald"
)

// Definition is a definition that was read from a text, ready for an engine. It is immutable and may be shared by goroutines.
type Definition struct {
	*skald.Declared

	file string
	text []byte
	doc  *node
	cel  *CEL
}

// Reader reads definitions. It may be used concurrently.
type Reader struct {
	cel  *CEL
	form *jsonschema.Schema
}

// NewReader makes ready what all texts share.
func NewReader() (*Reader, error) {
	cel, err := NewCEL()
	if err != nil {
		return nil, err
	}
	form, err := compile("definition.schema.json", formSchema, durations)
	if err != nil {
		return nil, fmt.Errorf("declarative: the schema of the form: %w", err)
	}
	return &Reader{cel, form}, nil
}

// formMend is what is said where nothing better is known, here and by skald.ReadDefinition.
const formMend = "docs/declarative.md has the form"

//go:embed definition.schema.json
var formSchema []byte

// Read reads a definition from YAML, or from JSON if the text begins with a brace. file is what its faults name, and may be empty. The error is *skald.Faults with everything that is
// wrong, in the order of the text.
func (r *Reader) Read(file string, text []byte) (*Definition, error) {
	doc, faults := parse(file, text)
	if len(faults) > 0 {
		return nil, all(doc, faults)
	}
	faults, unknownOnly := r.check(doc)
	if !unknownOnly {
		return nil, all(doc, faults)
	}
	options := []skald.ReadOption{skald.WithExpressions(r.cel)}
	if unusable := payloads(doc); len(unusable) > 0 {
		faults = append(faults, unusable...)
	} else {
		options = append(options, skald.WithSchemas(Schemas{}))
	}
	declared, err := skald.ReadDefinition(doc.json(), options...)
	var more *skald.Faults
	if errors.As(err, &more) {
		for _, f := range more.List {
			f.At = place(doc, f)
			faults = append(faults, f)
		}
	} else if err != nil {
		faults = append(faults, skald.Fault{At: doc.at, Problem: strings.TrimSuffix(err.Error(), "; "+formMend), Mend: formMend})
	}
	if len(faults) > 0 {
		return nil, all(doc, faults)
	}
	return &Definition{Declared: declared, file: file, text: slices.Clone(text), doc: doc, cel: r.cel}, nil
}

// all puts faults in the order of the text.
func all(doc *node, faults []skald.Fault) *skald.Faults {
	slices.SortStableFunc(faults, func(a, b skald.Fault) int {
		return cmp.Or(cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Column, b.At.Column))
	})
	return &skald.Faults{Definition: cmp.Or(doc.member("name").text(), "(without a name)"), List: faults}
}

// place is where a fault of a definition is written.
func place(doc *node, f skald.Fault) skald.Position {
	n := doc
	if f.Step != "" {
		for _, s := range doc.steps() {
			if stepName(s) == f.Step {
				n = s
				if f.Member != "name" { // of two steps of one name, the later one is at fault
					break
				}
			}
		}
	}
	return n.find(tokens(f.Member)).at
}

// steps are the document's steps.
func (n *node) steps() []*node {
	if steps := n.member("steps"); steps != nil && steps.kind == list {
		return steps.nodes
	}
	return nil
}

// stepName is a step's name, which is its action's unless it says another.
func stepName(s *node) string {
	return cmp.Or(s.member("name").text(), s.member("action").text())
}

// Text is the text that the definition was read from. The caller owns it.
func (d *Definition) Text() []byte { return slices.Clone(d.text) }

// At is where something of the definition is written: of the whole definition, or of a step. member may be empty, or a name such as "input" or "retry/cap"; what is not written is where it would belong.
func (d *Definition) At(step, member string) skald.Position {
	return place(d.doc, skald.Fault{Step: step, Member: member})
}

// Accepts is the JSON Schema of the saga's input, or of what a step's action takes; nil if the definition does not say it.
func (d *Definition) Accepts(step string) []byte { return d.schema(step, "accepts") }

// Returns is the JSON Schema of a step's result; nil if the definition does not say it.
func (d *Definition) Returns(step string) []byte { return d.schema(step, "returns") }

func (d *Definition) schema(step, member string) []byte {
	n := d.doc
	if step != "" {
		n = d.step(step)
	}
	if n = n.member(member); n == nil {
		return nil
	}
	return n.json()
}

func (d *Definition) step(name string) *node {
	for _, s := range d.doc.steps() {
		if stepName(s) == name {
			return s
		}
	}
	return nil
}

// Made says how a part of a step's input is made.
type Made struct {
	Field string // of the step's input; empty: the whole
	From  []Use
	Plain bool // it is a copy of its one Use
	Text  string
}

// Input says how a step's input is made, by field.
func (d *Definition) Input(step string) []Made {
	n := d.step(step).member("input")
	if n == nil {
		return nil
	}
	if n.kind == scalar {
		return []Made{d.made("", n.text())}
	}
	var made []Made
	for i, name := range n.names {
		made = append(made, d.made(name, n.nodes[i].text()))
	}
	slices.SortFunc(made, func(a, b Made) int { return strings.Compare(a.Field, b.Field) })
	return made
}

func (d *Definition) made(field, text string) Made {
	m := Made{Field: field, Text: text}
	if expression, ok := strings.CutPrefix(text, "="); ok {
		if checked, issues := d.cel.env.Compile(strings.TrimSpace(expression)); issues.Err() == nil { // it was compiled before
			m.From, _ = usesOf(checked.NativeRep().Expr())
		}
		return m
	}
	path, optional := strings.CutSuffix(text, "?")
	parts := tokens(path)
	u := Use{Optional: optional}
	if parts = parts[1:]; parts[0] == stepsName {
		u.Step, parts = parts[1], parts[1:]
	}
	u.Path, m.Plain = parts[1:], true
	m.From = []Use{u}
	return m
}
