package architecture

import (
	"path/filepath"
	"slices"
	"testing"
)

// checkout is the root of the repository, seen from this package's folder, where its tests run.
const checkout = "../.."

func load(t *testing.T) []Package {
	t.Helper()
	dir, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func report(t *testing.T, found []Violation) {
	t.Helper()
	for _, v := range found {
		t.Error(v)
	}
}

func TestImportsPointDown(t *testing.T) { report(t, CheckImports(load(t))) }

func TestHouseRulesHold(t *testing.T) { report(t, CheckHouse(load(t))) }

func TestMachineIsPure(t *testing.T) {
	found, err := CheckPurity(t.Context(), checkout, root+"/internal/machine")
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}

// TestCodeIsRead guards the tests above: rules that are held against nothing always hold.
func TestCodeIsRead(t *testing.T) {
	var seen []string
	for _, p := range load(t) {
		if len(p.Files) > 0 && len(p.Imports) > 0 {
			seen = append(seen, p.ImportPath)
		}
	}
	for _, path := range []string{root + "/journal", root + "/store", root + "/internal/architecture"} {
		if !slices.Contains(seen, path) {
			t.Errorf("%s was not read; seen: %v", path, seen)
		}
	}
	if !slices.ContainsFunc(seen, func(path string) bool { _, other := otherModule(path); return other }) {
		t.Errorf("no package of the other modules was read; seen: %v", seen)
	}
}

// TestTableIsConsistent finds rows that name rooms that do not exist, rooms that stand twice, and rows that would let
// imports go in a circle or up.
func TestTableIsConsistent(t *testing.T) {
	position := make(map[string]int)
	for i, r := range rooms {
		if _, twice := position[r.path]; twice {
			t.Errorf("%s has two rows", r.path)
		}
		position[r.path] = i
	}
	for _, r := range rooms {
		for _, below := range r.mayImport {
			if at, known := position[below]; !known {
				t.Errorf("%s may import %s, which has no row", r.path, below)
			} else if at >= position[r.path] {
				t.Errorf("%s may import %s, which stands above it: rows go from bottom to top", r.path, below)
			}
		}
	}
}
