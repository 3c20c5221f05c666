package broker_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/skaldhq/skald/broker"
)

func TestFiltersSelectKeys(t *testing.T) {
	for _, c := range []struct {
		filter broker.Filter
		key    broker.Key
		want   bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a", false}, {"a", "a/b", false}, {"*/b", "a/b", true}, {"*/b", "a/c", false}, {"*", "a/b", false},
		{"**", "a", true}, {"**", "a/b/c", true}, {"a/**", "a", false}, {"a/**", "a/b", true}, {"a/*/**", "a/b", false}, {"a/*/**", "a/b/c", true},
		{"a.b", "a/b", false}, {"a.b/*", "a.b/c", true},
	} {
		if got := c.filter.Match(c.key); got != c.want {
			t.Errorf("%s selects %s: %t", c.filter, c.key, got)
		}
	}
}

func TestWidenedFiltersSelectWhatEitherDoes(t *testing.T) {
	for _, x := range []struct{ old, more, want []broker.Filter }{
		{[]broker.Filter{"a/*"}, []broker.Filter{"b/*", "a/*"}, []broker.Filter{"a/*", "b/*"}},
		{[]broker.Filter{"**"}, []broker.Filter{"a"}, []broker.Filter{"**"}},
		{[]broker.Filter{"a"}, []broker.Filter{"**"}, []broker.Filter{"**"}},
		{[]broker.Filter{"a/*/c"}, []broker.Filter{"a/b/*"}, []broker.Filter{"**"}},
	} {
		if diff := cmp.Diff(x.want, broker.Widened(x.old, x.more)); diff != "" {
			t.Errorf("%v and %v: %s", x.old, x.more, diff)
		}
	}
}

// TestOverlappingFiltersAreFound compares Overlaps with what it means, over all keys of a small world.
func TestOverlappingFiltersAreFound(t *testing.T) {
	var keys []broker.Key
	for _, a := range []string{"a", "b"} {
		keys = append(keys, broker.Key(a))
		for _, b := range []string{"a", "b"} {
			keys = append(keys, broker.NewKey(a, b))
			for _, c := range []string{"a", "b"} {
				keys = append(keys, broker.NewKey(a, b, c), broker.NewKey(a, b, c, "a"))
			}
		}
	}
	element := rapid.SampledFrom([]string{"a", "b", "*"})
	filter := rapid.Custom(func(t *rapid.T) broker.Filter {
		elements := rapid.SliceOfN(element, 1, 3).Draw(t, "elements")
		if rapid.Bool().Draw(t, "rest") {
			elements[len(elements)-1] = "**"
		}
		return broker.Filter(broker.NewKey(elements...))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := filter.Draw(t, "a"), filter.Draw(t, "b")
		if a.Check() != nil || b.Check() != nil {
			t.Fatalf("%s or %s is not usable", a, b)
		}
		want := false
		for _, k := range keys {
			want = want || a.Match(k) && b.Match(k)
		}
		if got := a.Overlaps(b); got != want || b.Overlaps(a) != want {
			t.Errorf("%s and %s: %t, and the other way %t, want %t", a, b, got, b.Overlaps(a), want)
		}
	})
}
