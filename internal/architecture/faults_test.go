package architecture

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// faults is the number of faults that docs/faults.md lists, F01 and so on.
const faults = 35

var namedTest = regexp.MustCompile("`([a-z0-9./]+) (Test[A-Za-z0-9_]+)`")

// TestEveryFaultHasItsTests holds docs/faults.md against the code: each fault is there once, each mode has tests or says why it has none, every test exists, and what is said to be explored is counted.
func TestEveryFaultHasItsTests(t *testing.T) {
	page := read(t, "docs/faults.md")
	counted := counters(t)
	rows := make(map[string]int)
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		id := strings.TrimSpace(cells[0])
		if len(cells) != 4 || !strings.HasPrefix(id, "F") {
			continue
		}
		rows[id]++
		for _, cell := range cells[2:] {
			cell = strings.TrimSpace(cell)
			tests := namedTest.FindAllStringSubmatch(cell, -1)
			explored := strings.HasPrefix(cell, "*explored*")
			if len(tests) == 0 && !explored && !strings.HasPrefix(cell, "–") {
				t.Errorf("%s: %q names no test and no reason; begin it with a dash if there is nothing to test", id, cell)
			}
			if explored && !counted[id] {
				t.Errorf("%s is said to be explored, and skaldtest does not insist on it: add it to the ids that must have happened", id)
			}
			for _, test := range tests {
				if !exists(t, test[1], test[2]) {
					t.Errorf("%s: there is no %s in %s; the page has to follow the code", id, test[2], test[1])
				}
			}
		}
	}
	for n := range faults {
		if id := fmt.Sprintf("F%02d", n+1); rows[id] != 1 {
			t.Errorf("docs/faults.md has %d rows for %s", rows[id], id)
		}
	}
}

// counters are the faults that the explorer insists on having seen.
func counters(t *testing.T) map[string]bool {
	t.Helper()
	_, list, found := strings.Cut(read(t, "skaldtest/random_test.go"), `strings.Fields("`)
	list, _, closed := strings.Cut(list, `"`)
	if !found || !closed {
		t.Fatal("skaldtest/random_test.go has no list of ids any more: let this test read it where it is now")
	}
	all := make(map[string]bool)
	for id := range strings.FieldsSeq(list) {
		all[id[:3]] = true
	}
	return all
}

func exists(t *testing.T, folder, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(checkout, folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "\nfunc "+test+"(t *testing.T)") {
			return true
		}
	}
	return false
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(checkout, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
