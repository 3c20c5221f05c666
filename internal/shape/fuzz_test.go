package shape_test

import (
	"testing"

	"github.com/skaldhq/skald/internal/shape"
)

// FuzzRead reads texts as shapes: each is read as one that fits itself and anything, has of what it says it has, and is followed along all its members.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{"{order:string,lines:[{sku:string,n:int?}],notes?:map[string]}", "[[int?]]", "map[map[{a:any}]]?", "{a:int??,b:}", "{a:{", "[", "map[", "}", "recursive", "map", "{a:list}", "{:,:0}", "object", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := shape.Read(text)
		if whatever := (shape.Shape{Kind: "any"}); !s.Fits(s) || !s.Fits(whatever) || !whatever.Fits(s) {
			t.Errorf("%q is %+v, which does not fit itself or anything", text, s)
		}
		followed(t, text, s)
	})
}

// followed looks at a shape and all that is in it.
func followed(t *testing.T, text string, s shape.Shape) {
	t.Helper()
	if s.Of == nil && (s.Kind == "list" || s.Kind == "map") {
		t.Fatalf("%q has a %s of nothing", text, s.Kind)
	}
	_, _, _, _ = s.At([]string{"a", "b"}) // wherever that leads
	if s.Of != nil {
		followed(t, text, *s.Of)
	}
	for _, x := range s.Fields {
		if found, _, _, missing := s.At([]string{x.Name}); missing != "" {
			t.Fatalf("%q has no member %q, and %+v is there", text, x.Name, found)
		}
		followed(t, text, x.Shape)
	}
}
