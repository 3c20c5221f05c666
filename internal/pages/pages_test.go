package pages

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBlocksAreReadInOrder(t *testing.T) {
	got, err := Blocks("# A page\n\n<!-- start visit-1 -->\n\n```sh\nskald list\n\n```\n1. one\n\n   ```go\n   if x {\n   \ty()\n   }\n   ```\n<!-- not run:\n  a drawing -->\n```\n+--+\n```\n")
	want := []Block{
		{Text: "start visit-1", Line: 3, Comment: true},
		{Kind: "sh", Text: "skald list\n", Line: 5},
		{Kind: "go", Text: "if x {\n\ty()\n}", Line: 11},
		{Text: "not run:\n  a drawing", Line: 16, Comment: true},
		{Text: "+--+", Line: 18},
	}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
}

func TestWhatIsNeverClosedIsSaid(t *testing.T) {
	for _, page := range []string{"```sh\nls\n", "text\n<!-- start\n"} {
		if got, err := Blocks(page); err == nil {
			t.Errorf("%q is read as %v", page, got)
		}
	}
}

func TestContains(t *testing.T) {
	text := "func f() {\n\tone()\n\ttwo()\n\tthree()\n}\n"
	for excerpt, want := range map[string]bool{
		"one()\ntwo()":   true,
		"one()\n…\n}":    true,
		"one()\nthree()": false,
		"two()\n…\none":  false,
	} {
		if got := Contains(text, excerpt); got != want {
			t.Errorf("%q: %t", excerpt, got)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, x := range []struct {
		want, got string
		is        bool
	}{
		{"a b", " a   b\n", true},
		{"a b", "a b c", false},
		{"a … c", "a b b c", true},
		{"a … c", "a b", false},
		{"… c", "b", false},
		{"ab…", "a", false},
		{"a…a", "a", false},
		{"…", "", true},
	} {
		if got := Matches(x.want, x.got); got != x.is {
			t.Errorf("%q, %q: %t", x.want, x.got, got)
		}
	}
	if diff := cmp.Diff([]string{"two"}, NotShown("one\n\ntwo\n", "three\none\n")); diff != "" {
		t.Error(diff)
	}
}
