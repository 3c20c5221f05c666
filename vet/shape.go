package vet

import "strings"

// shape is a payload's, read from its text (docs/design.md).
type shape struct {
	kind   string // any, int, number, string, bool, time, bytes, object, list, map, and others
	fields []field
	of     *shape // of a list or a map
}

type field struct {
	name     string
	shape    shape
	optional bool
}

// readShape reads a shape. What it does not understand is any.
func readShape(text string) shape {
	s, rest := parseShape(text)
	if strings.TrimLeft(rest, "?") != "" {
		return shape{kind: "any"}
	}
	return s
}

func parseShape(text string) (s shape, rest string) {
	switch {
	case strings.HasPrefix(text, "{"):
		return parseObject(text[1:])
	case strings.HasPrefix(text, "["), strings.HasPrefix(text, "map["):
		_, inner, _ := strings.Cut(text, "[")
		of, rest := parseShape(inner)
		rest = strings.TrimPrefix(strings.TrimLeft(rest, "?"), "]")
		if strings.HasPrefix(text, "[") {
			return shape{kind: "list", of: &of}, rest
		}
		return shape{kind: "map", of: &of}, rest
	}
	end := strings.IndexAny(text, ",}]?")
	if end < 0 {
		end = len(text)
	}
	return shape{kind: text[:end]}, text[end:]
}

func parseObject(text string) (s shape, rest string) {
	s.kind = "object"
	for !strings.HasPrefix(text, "}") {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return shape{kind: "any"}, ""
		}
		f := field{name: name}
		f.shape, text = parseShape(value)
		for strings.HasPrefix(text, "?") {
			f.optional, text = true, text[1:]
		}
		s.fields = append(s.fields, f)
		text = strings.TrimPrefix(text, ",")
	}
	return s, text[1:]
}

// field returns a field by its name.
func (s *shape) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

// at follows a path. known is false where nothing is said of what is there; missing is the first name that is not there.
func (s shape) at(path []string) (found shape, optional, known bool, missing string) {
	for _, name := range path {
		switch s.kind {
		case "object":
			f := s.field(name)
			if f == nil {
				return s, optional, true, name
			}
			s, optional = f.shape, optional || f.optional
		case "map":
			s, optional = *s.of, true
		case "any", "recursive":
			return s, optional, false, ""
		default:
			return s, optional, true, name
		}
	}
	return s, optional, s.kind != "any" && s.kind != "recursive", ""
}

// fits says whether a value of a shape can be what another one asks for.
func (s shape) fits(want shape) bool {
	switch {
	case s.kind == "any" || want.kind == "any" || s.kind == "recursive" || want.kind == "recursive":
		return true
	case s.kind == want.kind:
		if s.of != nil && want.of != nil {
			return s.of.fits(*want.of)
		}
		for _, w := range want.fields {
			f := s.field(w.name)
			if f == nil && !w.optional || f != nil && !f.shape.fits(w.shape) {
				return false
			}
		}
		return true
	case want.kind == "number":
		return s.kind == "int"
	case want.kind == "string":
		return s.kind == "time" || s.kind == "bytes"
	}
	return false
}
