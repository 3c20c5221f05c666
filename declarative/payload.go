package declarative

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/skaldhq/skald"
)

// Schemas reads JSON Schemas of payloads, draft 2020-12 unless they say otherwise. It implements skald.Schemas.
//
// What cannot be seen fits: values that package sealed has sealed, and those that were redacted. Formats are notes, as the specification has it.
type Schemas struct{}

// Compile implements skald.Schemas.
func (Schemas) Compile(text []byte) (func(payload []byte) error, error) {
	schema, err := compile("urn:skald:payload", text)
	if err != nil {
		return nil, err
	}
	return func(payload []byte) error {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
		if err != nil {
			return &skald.Misfit{Places: []skald.Misplaced{{Problem: "it is not JSON"}}}
		}
		var invalid *jsonschema.ValidationError
		if err := schema.Validate(value); !errors.As(err, &invalid) {
			return nil
		}
		m := &misfits{of: value}
		if places := m.in(invalid); len(places) > 0 {
			return &skald.Misfit{Places: places[:min(len(places), mostPlaces)]}
		}
		return nil
	}, nil
}

// mostPlaces bounds what is said of one payload.
const mostPlaces = 10

// misfits finds out where a payload does not fit.
type misfits struct{ of any }

// in lists the places of an error. Of alternatives none must be left open by what is hidden, and then it is one place: which of them was meant, nobody knows.
func (m *misfits) in(e *jsonschema.ValidationError) (places []skald.Misplaced) {
	at, problem := m.at(e.InstanceLocation), wrong(e)
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		for _, cause := range e.Causes {
			if len(m.in(cause)) == 0 {
				return nil
			}
		}
	case *kind.Required, *kind.AdditionalProperties, *kind.MinProperties, *kind.MaxProperties, *kind.MinItems, *kind.MaxItems, *kind.Type: // what is hidden inside changes nothing
	default:
		for _, cause := range e.Causes {
			places = append(places, m.in(cause)...)
		}
		if len(e.Causes) > 0 || hides(at) {
			return places
		}
	}
	if hidden(at) {
		return nil
	}
	return []skald.Misplaced{{At: pointer(e.InstanceLocation), Problem: problem}}
}

// at is what stands at a place of the payload.
func (m *misfits) at(place []string) any {
	value := m.of
	for _, part := range place {
		switch x := value.(type) {
		case map[string]any:
			value = x[part]
		case []any:
			i := 0
			if _, err := fmt.Sscanf(part, "%d", &i); err != nil || i < 0 || i >= len(x) {
				return nil
			}
			value = x[i]
		}
	}
	return value
}

// hidden says whether a value was sealed, or redacted.
func hidden(value any) bool {
	switch x := value.(type) {
	case string:
		return x == "[redacted]"
	case map[string]any:
		return len(x) == 1 && x["skald.sealed"] != nil
	}
	return false
}

// hides says whether anything in a value is hidden.
func hides(value any) bool {
	if hidden(value) {
		return true
	}
	switch x := value.(type) {
	case map[string]any:
		for _, v := range x {
			if hides(v) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(x, hides)
	}
	return false
}

// pointer writes a place as a JSON pointer.
func pointer(place []string) string {
	var b strings.Builder
	for _, part := range place {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}

// wrong says what is wrong at a place, in the words of the schema: what stands there goes into logs and journals otherwise.
func wrong(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return "is " + a(k.Got) + " and must be " + either(k.Want)
	case *kind.Required:
		return "has no " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return fmt.Sprintf("has %d members that the schema does not know", len(k.Properties))
	case *kind.AnyOf, *kind.OneOf:
		return "fits none, or more than one, of the alternatives"
	}
	if path := e.ErrorKind.KeywordPath(); len(path) > 0 {
		return fmt.Sprintf("does not keep %q of the schema", path[0])
	}
	return "does not fit"
}
