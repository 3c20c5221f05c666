package httpapi

import (
	"encoding/json"
	"strings"
)

// redacted stands where something was.
const redacted = `"[redacted]"`

// redact takes what is at the places out of a payload, whatever the case of its names, and also where there is a list of such objects in the place of one. The same payload gives the same text.
func redact(payload []byte, places []string) []byte {
	for _, place := range places {
		path := strings.Split(strings.TrimPrefix(place, "/"), "/")
		for i := range path {
			path[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(path[i])
		}
		payload = redactAt(payload, path)
	}
	return payload
}

func redactAt(value json.RawMessage, path []string) json.RawMessage {
	if len(path) == 0 {
		return json.RawMessage(redacted)
	}
	var object map[string]json.RawMessage
	var list []json.RawMessage
	switch {
	case value[0] == '{' && json.Unmarshal(value, &object) == nil:
		for name := range object {
			if path[0] == "*" || strings.EqualFold(path[0], name) { // as decoders of Go find members
				object[name] = redactAt(object[name], path[1:])
			}
		}
		return encoded(object, value)
	case value[0] == '[' && json.Unmarshal(value, &list) == nil:
		rest := path // a member's name is looked for in every element
		if path[0] == "*" {
			rest = path[1:]
		}
		for i := range list {
			list[i] = redactAt(list[i], rest)
		}
		return encoded(list, value)
	}
	return value
}

// encoded writes parts of valid JSON together again, or as they were.
func encoded[T any](parts T, before json.RawMessage) json.RawMessage {
	text, err := encode(parts)
	if err != nil {
		return before
	}
	return text[:len(text)-1] // without the line's end
}
