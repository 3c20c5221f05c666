package skald

import (
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
)

// payloadSchema is a JSON Schema of a payload, or nothing. Only its shape is read here; whether it is one is checked by whoever reads definitions with package declarative.
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
