package skald

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// shapeOf describes what a type looks like in JSON, such as {sku:string,quantity:int}. Shapes are part of a definition's
// version, so that a field renamed on one side is another version, and tell apart what two uses of one event carry.
func shapeOf(t reflect.Type) string {
	return shape(t, nil)
}

func shape(t reflect.Type, above []reflect.Type) string {
	for _, a := range above {
		if a == t {
			return "recursive"
		}
	}
	above = append(above, t)
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case implements[json.Marshaler](t):
		return "any"
	case implements[encoding.TextMarshaler](t):
		return "string"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shape(t.Elem(), above) + "?"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[" + shape(t.Elem(), above) + "]"
	case reflect.Map:
		return "map[" + shape(t.Elem(), above) + "]"
	case reflect.Struct:
		return "{" + strings.Join(fields(t, above), ",") + "}"
	case reflect.Interface:
		return "any"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Bool:
		return "bool"
	default:
		return t.Kind().String()
	}
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

// fields lists a struct's fields under their JSON names, those of embedded structs among them.
func fields(t reflect.Type, above []reflect.Type) []string {
	var list []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
			continue
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			list = append(list, fields(f.Type, above)...)
			continue
		case !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		s := name + ":" + shape(f.Type, above)
		if strings.Contains(rest, "omitempty") || strings.Contains(rest, "omitzero") {
			s += "?"
		}
		list = append(list, s)
	}
	return list
}
