package architecture

import (
	"fmt"
	"slices"
)

// The sizes at which a reader loses the thread. They are where to stop, not where to aim: functions aim at 40 lines,
// files at 300.
const (
	maxFunc = 80
	maxFile = 700
	maxMain = 30
)

// empty are package names that say nothing about what is inside, so that everything ends up there.
var empty = []string{"util", "utils", "common", "helper", "helpers", "types", "core", "misc", "base", "shared"}

// CheckHouse holds packages of all modules against the house rules.
func CheckHouse(packages []Package) []Violation {
	var found []Violation
	for _, p := range packages {
		if slices.Contains(empty, p.Name) {
			found = append(found, Violation{p.ImportPath, "is named " + p.Name, "name it after what it holds"})
		}
		if len(p.Files) > 0 && !p.Documented {
			found = append(found, Violation{p.ImportPath, "has no package comment", "say in a few sentences what it is for and what it does not promise"})
		}
		for _, f := range p.Files {
			if !f.Generated {
				found = append(found, checkFile(p, f)...)
			}
		}
		if where := starts(p); where != "" && len(p.TestFiles) > 0 && !slices.ContainsFunc(p.TestFiles, func(f File) bool { return f.Leaks }) {
			found = append(found, Violation{where, "starts a goroutine, and its package's tests do not look for those that are left behind", "call goleak.VerifyTestMain in TestMain"})
		}
		for _, f := range p.TestFiles {
			for _, line := range f.Sleeps {
				found = append(found, Violation{fmt.Sprintf("%s:%d", f.Path, line), "a test sleeps", "wait for what it needs, with a deadline, or use testing/synctest"})
			}
		}
	}
	return found
}

// starts is where a package's code starts its first goroutine, or empty.
func starts(p Package) string {
	for _, f := range p.Files {
		if len(f.Starts) > 0 {
			return fmt.Sprintf("%s:%d", f.Path, f.Starts[0])
		}
	}
	return ""
}

// suite says whether a package is a conformance suite. Its functions are lists of small tests, each read by itself, as in test files, whose functions may be
// long too.
func suite(p Package) bool {
	r, ok := roomOf(p.ImportPath)
	return ok && r.onlyTests
}

func checkFile(p Package, f File) []Violation {
	var found []Violation
	if f.Lines > maxFile {
		found = append(found, Violation{f.Path, fmt.Sprintf("has %d lines, more than %d", f.Lines, maxFile), "split it by noun"})
	}
	for _, fn := range f.Funcs {
		where := fmt.Sprintf("%s:%d", f.Path, fn.Line)
		switch {
		case fn.Name == "init" && !fn.Method:
			found = append(found, Violation{where, "has an init function", "do it where the value is made, or let main say it"})
		case fn.Name == "main" && !fn.Method && p.Name == "main" && fn.Lines > maxMain:
			found = append(found, Violation{where, fmt.Sprintf("main has %d lines, more than %d", fn.Lines, maxMain), "a main only chooses the parts; move the rest into one of them"})
		case fn.Lines > maxFunc && !suite(p):
			found = append(found, Violation{where, fmt.Sprintf("%s has %d lines, more than %d", fn.Name, fn.Lines, maxFunc), "name its parts and make them functions"})
		}
	}
	for _, v := range f.State {
		found = append(found, Violation{fmt.Sprintf("%s:%d", f.Path, v.Line), "package variable " + v.Name + " is state", "put it into a value that somebody makes and owns"})
	}
	return found
}
