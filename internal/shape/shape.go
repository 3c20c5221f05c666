// Package shape reads the shapes of payloads that definitions have (docs/design.md): what is known of a payload without its Go type or its JSON Schema.
package shape

import "strings"

// Shape is a payload's, read from its text (docs/design.md).
type Shape struct {
	Kind   string // any, int, number, string, bool, time, bytes, object, list, map, and others
	Fields []Field
	Of     *Shape // of a list or a map
}

// Field is a member of an object.
type Field struct {
	Name     string
	Shape    Shape
	Optional bool
}

// Read reads a shape. What it does not understand is any.
func Read(text string) Shape {
	s, rest := parse(text)
	if strings.TrimLeft(rest, "?") != "" {
		return Shape{Kind: "any"}
	}
	return s
}

func parse(text string) (s Shape, rest string) {
	switch {
	case strings.HasPrefix(text, "{"):
		return parseObject(text[1:])
	case strings.HasPrefix(text, "["), strings.HasPrefix(text, "map["):
		_, inner, _ := strings.Cut(text, "[")
		of, rest := parse(inner)
		rest = strings.TrimPrefix(strings.TrimLeft(rest, "?"), "]")
		if strings.HasPrefix(text, "[") {
			return Shape{Kind: "list", Of: &of}, rest
		}
		return Shape{Kind: "map", Of: &of}, rest
	}
	end := strings.IndexAny(text, ",}]?")
	if end < 0 {
		end = len(text)
	}
	switch kind := text[:end]; kind {
	case "list", "map", "object": // of what, it does not say
		return Shape{Kind: "any"}, text[end:]
	default:
		return Shape{Kind: kind}, text[end:]
	}
}

func parseObject(text string) (s Shape, rest string) {
	s.Kind = "object"
	seen := map[string]bool{}
	for !strings.HasPrefix(text, "}") {
		name, value, ok := strings.Cut(text, ":")
		if !ok || seen[name] {
			return Shape{Kind: "any"}, ""
		}
		seen[name] = true
		f := Field{Name: name}
		f.Shape, text = parse(value)
		for strings.HasPrefix(text, "?") {
			f.Optional, text = true, text[1:]
		}
		s.Fields = append(s.Fields, f)
		text = strings.TrimPrefix(text, ",")
	}
	return s, text[1:]
}

// Field returns a field by its name.
func (s *Shape) Field(name string) *Field {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return &s.Fields[i]
		}
	}
	return nil
}

// At follows a path. known is false where nothing is said of what is there; missing is the first name that is not there.
func (s Shape) At(path []string) (found Shape, optional, known bool, missing string) {
	for _, name := range path {
		switch s.Kind {
		case "object":
			f := s.Field(name)
			if f == nil {
				return s, optional, true, name
			}
			s, optional = f.Shape, optional || f.Optional
		case "map":
			s, optional = *s.Of, true
		case "any", "recursive":
			return s, optional, false, ""
		default:
			return s, optional, true, name
		}
	}
	return s, optional, s.Kind != "any" && s.Kind != "recursive", ""
}

// Fits says whether a value of a shape can be what another one asks for.
func (s Shape) Fits(want Shape) bool {
	switch {
	case s.Kind == "any" || want.Kind == "any" || s.Kind == "recursive" || want.Kind == "recursive":
		return true
	case s.Kind == want.Kind:
		if s.Of != nil && want.Of != nil {
			return s.Of.Fits(*want.Of)
		}
		for _, w := range want.Fields {
			f := s.Field(w.Name)
			if f == nil && !w.Optional || f != nil && !f.Shape.Fits(w.Shape) {
				return false
			}
		}
		return true
	case want.Kind == "number":
		return s.Kind == "int"
	case want.Kind == "string":
		return s.Kind == "time" || s.Kind == "bytes"
	}
	return false
}
