package skald

import (
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/skaldhq/skald/internal/plan"
)

// Schemas reads the JSON Schemas of definitions that were written as data, so that payloads are held against them. Package declarative has one. It may be used concurrently.
type Schemas interface {
	// Compile reads a schema. What it returns is pure, may be used concurrently, and returns nil or a *Misfit. The error says what is wrong with the schema.
	Compile(schema []byte) (func(payload []byte) error, error)
}

type (
	// Misfit says where a payload does not fit its schema. It never says what stands there.
	Misfit = plan.Misfit
	// Misplaced is one place of a payload that does not fit.
	Misplaced = plan.Misplaced
)

// WithSchemas holds payloads against the schemas of a definition: a start whose input does not fit is refused (ErrMisfit), a step whose input does not fit is refused as one whose mapping fails, and a result that does not fit is none: its call is made again.
func WithSchemas(x Schemas) ReadOption {
	return readOption(func(r *reading) { r.schemas = x })
}

// checks compiles schemas, and keeps the first fault of each.
func (d *declared) checks(draft *plan.Draft, x Schemas) {
	compile := func(s payloadSchema, step, member string) plan.Check {
		if len(s) == 0 || x == nil {
			return nil
		}
		check, err := x.Compile(s)
		if err != nil {
			draft.Faults = append(draft.Faults, plan.Fault{Step: step, Member: member, Problem: "it is no JSON Schema: " + err.Error(), Mend: "mend it; docs/declarative.md has one"})
		}
		return check
	}
	draft.Accepts = compile(d.Accepts, "", "accepts")
	for i := range d.Steps {
		s := &draft.Steps[i]
		s.Accepts, s.Returns = compile(d.Steps[i].Accepts, s.Name, "accepts"), compile(d.Steps[i].Returns, s.Name, "returns")
	}
}

// payloadSchema is a JSON Schema of a payload, or nothing. Only its shape is read here.
type payloadSchema json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (s *payloadSchema) UnmarshalJSON(text []byte) error {
	*s = slices.Clone(text)
	return nil
}

// into adds the schema to what a version is made of, so that a definition that says more of its payloads is another version.
func (s payloadSchema) into(h hash.Hash, member string) {
	if len(s) > 0 {
		_, _ = fmt.Fprintf(h, "%s %s\n", member, sorted(json.RawMessage(s)))
	}
}

// sorted writes JSON again with the members of its objects in order, so that it is the same however it was written.
func sorted(text json.RawMessage) json.RawMessage {
	var object map[string]json.RawMessage
	var list []json.RawMessage
	var again []byte
	switch {
	case json.Unmarshal(text, &object) == nil && object != nil:
		for name, value := range object {
			object[name] = sorted(value)
		}
		again, _ = json.Marshal(object) // it was just read
	case json.Unmarshal(text, &list) == nil && list != nil:
		for i := range list {
			list[i] = sorted(list[i])
		}
		again, _ = json.Marshal(list)
	default:
		again = text
	}
	return again
}

// shape is the schema's in the words of shapeOf: what differs there cannot fit.
func (s payloadSchema) shape() string {
	var x struct {
		Type       json.RawMessage          `json:"type"`
		Format     string                   `json:"format"`
		Properties map[string]payloadSchema `json:"properties"`
		Required   []string                 `json:"required"`
		Items      payloadSchema            `json:"items"`
		Values     payloadSchema            `json:"additionalProperties"`
	}
	if len(s) == 0 || json.Unmarshal(s, &x) != nil {
		return "any"
	}
	var kind string
	_ = json.Unmarshal(x.Type, &kind) // several types are any
	switch kind {
	case "integer":
		return "int"
	case "number":
		return "number"
	case "boolean":
		return "bool"
	case "string":
		if x.Format == "date-time" {
			return "time"
		}
		return "string"
	case "array":
		return "[" + x.Items.shape() + "]"
	case "object":
		if x.Properties == nil && strings.HasPrefix(string(x.Values), "{") {
			return "map[" + x.Values.shape() + "]"
		}
		if x.Properties == nil {
			return "any"
		}
		list := make([]string, 0, len(x.Properties))
		for _, name := range slices.Sorted(maps.Keys(x.Properties)) {
			text := name + ":" + x.Properties[name].shape()
			if !slices.Contains(x.Required, name) {
				text += "?"
			}
			list = append(list, text)
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	return "any"
}
