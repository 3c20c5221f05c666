package declarative_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/skaldhq/skald/declarative"
)

// The table of expressions says what they make.
func TestTheTableOfExpressionsIsTrue(t *testing.T) {
	page, err := os.ReadFile("../docs/declarative.md")
	if err != nil {
		t.Fatal(err)
	}
	x, err := declarative.NewCEL()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(page)) {
		text, ok := strings.CutPrefix(line, "| `= ")
		if !ok {
			continue
		}
		seen++
		text, want, _ := strings.Cut(text, "` | ")
		want = strings.Trim(strings.TrimSuffix(want, " |\n"), "`")
		e, err := x.Compile(text)
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", text, err))
		}
		got, err := e.Evaluate([]byte(`{"sku":"A1","quantity":3,"tags":["x","y"]}`), nil)
		if got == nil {
			got = []byte("nothing: the field is left out")
		}
		if err != nil || string(got) != want {
			t.Errorf("%s makes %s, %v; the page says %s", text, got, err, want)
		}
	}
	if seen < 5 {
		t.Errorf("only %d expressions were found", seen)
	}
}
