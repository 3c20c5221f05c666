// Package asyncapi writes a definition as an AsyncAPI 3.0 document: the tokens that its choreographed sagas are made of, who tells and who hears them, and the events that participants publish, with the schemas of all payloads.
//
// It describes one version of a definition. Where tokens lie is the broker's driver's; docs/wire-format.md has the bytes.
package asyncapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/shape"
	"github.com/skaldhq/skald/participant"
)

// Exported is a definition that says its canonical form, which all of packages skald and declarative do. One that also has Accepts and Returns, as declarative's have, says its payloads by JSON Schema.
type Exported interface {
	skald.Registered
	Canonical() []byte
}

// schemas is what definitions that were written as data know more.
type schemas interface {
	Accepts(step string) []byte // of the saga's input if step is empty
	Returns(step string) []byte
}

// object is a part of the document.
type object = map[string]json.RawMessage

// canonical is the part of the canonical form that is needed (docs/design.md).
type canonical struct {
	Input string `json:"input"`
	Steps []struct {
		Name   string   `json:"name"`
		Action string   `json:"action"`
		After  []string `json:"after"`
		Reads  []string `json:"reads"`
		Output string   `json:"output"`
	} `json:"steps"`
}

// Document writes a definition. The same definition gives the same bytes.
func Document(x Exported) ([]byte, error) {
	var c canonical
	if err := json.Unmarshal(x.Canonical(), &c); err != nil {
		return nil, fmt.Errorf("asyncapi: definition %s has another canonical form than docs/design.md: %w", x.Name(), err)
	}
	w := &writer{x: x, messages: object{}, operations: object{}, schemas: object{}, tokens: object{}, events: object{}}
	w.schemas["refusal"] = schemaOf(shape.Read("{reason:string,detail:string}"))
	w.schemas["start"] = w.payload("", false, c.Input)
	w.token(participant.StepStart, participant.TokenDone, "start")
	w.token(participant.StepStart, participant.TokenUndone, "")
	for _, kind := range []participant.TokenKind{participant.TokenDone, participant.TokenSkipped} {
		w.token(participant.StepEnd, kind, "")
	}
	for i, s := range x.Steps() {
		result := s.Name + ".result"
		w.schemas[result] = w.payload(s.Name, true, c.Steps[i].Output)
		w.token(s.Name, participant.TokenDone, result)
		for _, kind := range []participant.TokenKind{participant.TokenRefused, participant.TokenFailed, participant.TokenSkipped, participant.TokenUndone} {
			w.token(s.Name, kind, "")
		}
		w.event(&s, result)
		w.operation(&s, "tells", "send", []string{s.Name})
		heard := slices.Concat([]string{participant.StepStart}, c.Steps[i].After, c.Steps[i].Reads)
		for _, y := range c.Steps { // a step is undone once those that follow it are clear
			if slices.Contains(y.After, s.Name) {
				heard = append(heard, y.Name)
			}
		}
		slices.Sort(heard)
		w.operation(&s, "hears", "receive", slices.Compact(heard))
	}
	return w.document()
}

// writer collects the document's parts.
type writer struct {
	x                 Exported
	messages, schemas object
	operations        object
	tokens, events    object // messages of the channels
	told              []string
}

// payload is the JSON Schema of a saga's input or of a step's result.
func (w *writer) payload(step string, result bool, text string) json.RawMessage {
	if s, ok := w.x.(schemas); ok {
		if own := s.Accepts(step); !result && own != nil {
			return own
		}
		if own := s.Returns(step); result && own != nil {
			return own
		}
	}
	return schemaOf(shape.Read(text))
}

// token adds a message that a saga's token is. schema is that of its payload; without one it has none.
func (w *writer) token(step string, kind participant.TokenKind, schema string) {
	name := step + "." + string(kind)
	m := object{
		"name": raw("skald.token." + string(kind)), "title": raw(step + " is " + string(kind)), "contentType": raw("application/json"),
		"headers": raw(object{
			"type": raw("object"), "required": raw([]string{"ce-type", "ce-skalddefinition", "ce-skaldversion"}),
			"properties": raw(object{
				"ce-type":            raw(object{"const": raw("skald.token." + string(kind))}),
				"ce-skalddefinition": raw(object{"const": raw(w.x.Name())}),
				"ce-skaldversion":    raw(object{"const": raw(w.x.Version())}),
				"ce-skaldreason":     raw(object{"type": raw("string"), "description": raw("The reason code of what was refused or failed, percent-encoded.")}),
			}),
		}),
	}
	if schema != "" {
		m["payload"] = ref("schemas", schema)
	}
	w.messages[name] = raw(m)
	w.tokens[name] = ref("messages", name)
	w.told = append(w.told, name)
}

// event adds the messages that a participant publishes about a step.
func (w *writer) event(s *skald.StepInfo, result string) {
	for _, e := range []struct{ name, schema, what string }{{s.Success, result, "is done"}, {s.Failure, "refusal", "is refused"}, {s.Undone, "refusal", "is undone"}} {
		if e.name == "" || w.events[e.name] != nil {
			continue
		}
		name := "event." + e.name
		w.messages[name] = raw(object{"name": raw(e.name), "title": raw(e.name), "summary": raw(s.Action + " " + e.what + ", published by " + s.Participant()), "contentType": raw("application/json"), "payload": ref("schemas", e.schema)})
		w.events[e.name] = ref("messages", name)
		w.operations[s.Participant()+".publishes."+e.name] = raw(object{"action": raw("send"), "channel": raw(object{"$ref": raw("#/channels/events")}),
			"messages": raw([]json.RawMessage{raw(object{"$ref": raw("#/channels/events/messages/" + e.name)})})})
	}
}

// operation says which tokens a participant tells or hears about a step.
func (w *writer) operation(s *skald.StepInfo, verb, action string, steps []string) {
	var messages []json.RawMessage
	for _, name := range w.told {
		step := name[:strings.LastIndexByte(name, '.')]
		if slices.Contains(steps, step) && name != participant.StepStart+"."+string(participant.TokenUndone) { // which says that the saga has ended
			messages = append(messages, raw(object{"$ref": raw("#/channels/tokens/messages/" + name)}))
		}
	}
	w.operations[s.Participant()+"."+verb+"."+s.Name] = raw(object{
		"action": raw(action), "title": raw(s.Participant() + " " + verb + " what becomes of " + strings.Join(steps, ", ")), "channel": raw(object{"$ref": raw("#/channels/tokens")}), "messages": raw(messages),
	})
}

func (w *writer) document() ([]byte, error) {
	channels := object{"tokens": raw(object{
		"address": raw("tokens"), "title": raw("Tokens"), "messages": raw(w.tokens),
		"description": raw("Each token lies under a key of its own, such as " + w.x.Name() + "/{saga}/{step}/{forward or backward}; the first one under a key decides."),
	})}
	if len(w.events) > 0 {
		channels["events"] = raw(object{"address": json.RawMessage("null"), "title": raw("Events"), "messages": raw(w.events), "description": raw("Where a participant's outbox publishes is its own.")})
	}
	all := raw(object{
		"asyncapi":           raw("3.0.0"),
		"info":               raw(object{"title": raw(w.x.Name()), "version": raw(w.x.Version()), "description": raw("Tokens and events of the sagas of one version of a definition, when they are choreographed. Messages are CloudEvents 1.0 in binary mode.")}),
		"defaultContentType": raw("application/json"),
		"channels":           raw(channels), "operations": raw(w.operations),
		"components": raw(object{"messages": raw(w.messages), "schemas": raw(w.schemas)}),
	})
	var b bytes.Buffer
	err := json.Indent(&b, all, "", "  ")
	b.WriteByte('\n')
	return b.Bytes(), err
}

func ref(kind, name string) json.RawMessage {
	return raw(object{"$ref": raw("#/components/" + kind + "/" + name)})
}

// raw is a part of the document as JSON; members come in the order of their names.
func raw[T string | []string | []json.RawMessage | object](x T) json.RawMessage {
	text, _ := json.Marshal(x) // texts and what was written before: cannot fail
	return text
}

// schemaOf writes a shape as JSON Schema.
func schemaOf(s shape.Shape) json.RawMessage {
	switch s.Kind {
	case "int":
		return raw(object{"type": raw("integer")})
	case "number", "string":
		return raw(object{"type": raw(s.Kind)})
	case "bool":
		return raw(object{"type": raw("boolean")})
	case "time":
		return raw(object{"type": raw("string"), "format": raw("date-time")})
	case "bytes":
		return raw(object{"type": raw("string"), "contentEncoding": raw("base64")})
	case "list":
		return raw(object{"type": raw("array"), "items": schemaOf(*s.Of)})
	case "map":
		return raw(object{"type": raw("object"), "additionalProperties": schemaOf(*s.Of)})
	case "object":
		properties, required := object{}, []string{}
		for _, f := range s.Fields {
			properties[f.Name] = schemaOf(f.Shape)
			if !f.Optional {
				required = append(required, f.Name)
			}
		}
		return raw(object{"type": raw("object"), "properties": raw(properties), "required": raw(required)})
	}
	return raw(object{})
}
