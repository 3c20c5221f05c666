package architecture

import (
	"fmt"
	"slices"
	"strings"
)

// CheckImports holds packages against the table of rooms.
func CheckImports(packages []Package) []Violation {
	var found []Violation
	for _, p := range packages {
		if p.Module == root {
			found = append(found, checkRoom(p)...)
			found = append(found, checkRootTests(p)...)
		} else {
			found = append(found, checkOtherModule(p)...)
		}
	}
	return found
}

// checkRoom holds a package of the root module against its row.
func checkRoom(p Package) []Violation {
	if len(p.Files) == 0 {
		return nil // test files only: nobody can import it
	}
	r, known := roomOf(p.ImportPath)
	if !known {
		return []Violation{{p.ImportPath, "has no room", "put it where it belongs, or give it a row in internal/architecture/rooms.go with what it may import, and say why in an ADR"}}
	}
	var found []Violation
	for _, imported := range p.Imports {
		if v, bad := checkImport(p, r, imported); bad {
			found = append(found, v)
		}
	}
	return found
}

func checkImport(p Package, r room, imported string) (Violation, bool) {
	v := Violation{Where: p.ImportPath, What: "imports " + imported}
	switch {
	case imported == "testing" && !r.onlyTests:
		v.Mend = "keep test code in _test.go files or in a suite"
	case imported == "reflect" && !r.reflects && !r.onlyTests:
		v.Mend = "user types stop at the root package; below it payloads are bytes, and there is nothing to reflect on"
	case isStandard(imported):
		if len(r.standard) == 0 || slices.Contains(r.standard, imported) {
			return v, false
		}
		v.Mend = fmt.Sprintf("%s is pure: let its caller do this and pass the result in; it may use %s", r.path, strings.Join(r.standard, ", "))
	case !inRoot(imported):
		if r.allowsModule(imported) {
			return v, false
		}
		v.Mend = r.path + " does not depend on that module; put what needs it into a driver"
	default:
		return checkNeighbour(p, r, imported)
	}
	return v, true
}

// allowsModule says whether a room may import a package of another module.
func (r room) allowsModule(importPath string) bool {
	return slices.ContainsFunc(r.modules, func(module string) bool {
		return module == "*" || importPath == module || strings.HasPrefix(importPath, module+"/")
	})
}

// checkNeighbour judges an import of one package of the root module by another.
func checkNeighbour(p Package, r room, imported string) (Violation, bool) {
	v := Violation{Where: p.ImportPath, What: "imports " + imported}
	if other, bad := otherModule(imported); bad {
		v.Mend = "the library never depends on " + other + "; move what is shared into the library"
		return v, true
	}
	to, known := roomOf(imported)
	switch {
	case !known:
		v.Mend = "that package has no room in internal/architecture/rooms.go; give it one first"
	case to.onlyTests:
		v.Mend = to.path + " is for tests; import it from _test.go files only"
	case slices.Contains(r.mayImport, to.path):
		return v, false
	case len(r.mayImport) == 0:
		v.Mend = r.path + " may import no other package of this module; turn the dependency round, or let the caller pass in what is needed"
	default:
		v.Mend = fmt.Sprintf("%s may import only %s; turn the dependency round, or let a main put the parts together", r.path, strings.Join(r.mayImport, ", "))
	}
	return v, true
}

// checkRootTests keeps the tests of the library free of the modules that depend on it: go.work would let them in.
func checkRootTests(p Package) []Violation {
	var found []Violation
	for _, imported := range p.TestImports {
		if other, bad := otherModule(imported); bad {
			found = append(found, Violation{p.ImportPath, "a test imports " + imported, "test it in " + other + ", or bring what the test needs into the library's tests"})
		}
	}
	return found
}

// checkOtherModule lets examples and benchmarks use the library as its users do. The compiler would let them into
// internal/, because their paths lie below the root's.
func checkOtherModule(p Package) []Violation {
	var found []Violation
	for _, imported := range slices.Concat(p.Imports, p.TestImports) {
		if strings.HasPrefix(imported, root+"/internal/") {
			found = append(found, Violation{p.ImportPath, "imports " + imported, "a user cannot; use the public packages, or make public what is missing"})
		}
	}
	for _, imported := range p.Imports {
		r, known := roomOf(imported)
		if known && r.onlyTests && !strings.HasSuffix(p.Name, "test") {
			found = append(found, Violation{p.ImportPath, "imports " + imported, r.path + " is for tests; import it from _test.go files only"})
		}
	}
	return found
}

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func inRoot(importPath string) bool {
	return importPath == root || strings.HasPrefix(importPath, root+"/")
}

// otherModule names the module beside the root module that a package belongs to, if it does.
func otherModule(importPath string) (string, bool) {
	for _, module := range []string{"examples", "bench"} {
		if importPath == root+"/"+module || strings.HasPrefix(importPath, root+"/"+module+"/") {
			return module, true
		}
	}
	return "", false
}
