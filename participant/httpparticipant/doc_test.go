package httpparticipant_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The examples of docs/wire-format.md are vectors, to the letter.
func TestExamplesOfThePageAreVectors(t *testing.T) {
	page, err := os.ReadFile("../../docs/wire-format.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	learn := func(message string) { known[strings.TrimRight(strings.ReplaceAll(message, "\r\n", "\n"), "\n")] = true }
	v := readVectors(t)
	for _, c := range v.Calls {
		learn(c.Request)
		learn(c.Response)
	}
	for _, e := range v.Events {
		learn(e.Request)
		learn(e.Response)
	}
	examples := regexp.MustCompile("(?s)```http\n(.*?)\n```").FindAllStringSubmatch(string(page), -1)
	if len(examples) < 8 {
		t.Fatalf("the page has %d examples", len(examples))
	}
	for _, e := range examples {
		if !known[e[1]] {
			t.Errorf("this example is no vector:\n%s", e[1])
		}
	}
}
