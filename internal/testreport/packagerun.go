package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// packageRun is one package's tests while they run.
//
// Tests are counted where the statement is made: a test with subtests adds only what its subtests do not already say,
// so a table of ten cases counts ten, and one failing case is one failure, not two.
type packageRun struct {
	name    string
	open    map[string]bool     // tests that have started and not ended; true for those that wait for their turn among parallel ones
	output  map[string][]string // by test; under "" what the package itself printed
	order   []string            // everything printed, in order
	results map[string]string   // pass, fail or skip, by test that has ended
	passed  int
	failed  []string
	skipped []skip
}

func newPackageRun(name string) *packageRun {
	return &packageRun{
		name:    name,
		open:    make(map[string]bool),
		output:  make(map[string][]string),
		results: make(map[string]string),
	}
}

func (p *packageRun) start(test string) { p.open[test] = false }

// pause notes that a test waits for its turn, or that it goes on.
func (p *packageRun) pause(test string, waits bool) { p.open[test] = waits }

func (p *packageRun) print(test, text string) {
	p.output[test] = append(p.output[test], text)
	p.order = append(p.order, text)
}

// end notes a test's result and adds it to the package's sum.
func (p *packageRun) end(test, result string) {
	delete(p.open, test)
	p.results[test] = result
	subtests := p.subtests(test)
	switch {
	case result == "skip":
		p.skipped = append(p.skipped, skip{name: p.name + " " + test, reason: p.reason(test)})
	case result == "fail" && !slices.Contains(subtests, "fail"):
		p.failed = append(p.failed, test)
	case result == "pass" && len(subtests) == 0:
		p.passed++
	}
}

// subtests returns the results of everything below a test.
func (p *packageRun) subtests(test string) []string {
	var results []string
	for name, result := range p.results {
		if strings.HasPrefix(name, test+"/") {
			results = append(results, result)
		}
	}
	return results
}

// running returns the tests that have started and not ended, without those that only wait for their subtests.
func (p *packageRun) running() []string {
	names := slices.Sorted(maps.Keys(p.open))
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
}

// busy names some of the tests that run: a package may have a hundred parallel ones, of which most wait for their turn.
func (p *packageRun) busy() string {
	const most = 3
	names := slices.DeleteFunc(p.running(), func(name string) bool { return p.open[name] })
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// framing matches the lines that the testing package prints around a test, and go test around a package: they say
// nothing that the report does not say itself.
var framing = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME|ATTR)\b|--- (PASS|FAIL|SKIP):|(PASS|FAIL|ok)\s|exit status \d+$|coverage: )`)

// printed returns what a test printed, or under "" the package itself, without the framing.
func (p *packageRun) printed(test string) string { return withoutFraming(p.output[test]) }

// everything returns what the package and its tests printed, in order.
func (p *packageRun) everything() string { return withoutFraming(p.order) }

func withoutFraming(output []string) string {
	var kept strings.Builder
	for line := range strings.Lines(strings.Join(output, "")) {
		if !framing.MatchString(line) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// reason is what the test said when it skipped.
func (p *packageRun) reason(test string) string {
	said := strings.Join(strings.Fields(p.printed(test)), " ")
	if said == "" {
		return "no reason given"
	}
	return said
}

// line is the package's line in the report.
func (p *packageRun) line(e event) string {
	if e.Action == "skip" {
		return fmt.Sprintf("-     %s: no test files", p.name)
	}
	word := "ok"
	if e.Action == "fail" {
		word = "FAIL"
	}
	line := fmt.Sprintf("%-5s %s  %d passed", word, p.name, p.passed)
	if len(p.failed) > 0 {
		line += fmt.Sprintf(", %d failed", len(p.failed))
	}
	if len(p.skipped) > 0 {
		line += fmt.Sprintf(", %d skipped", len(p.skipped))
	}
	return line + fmt.Sprintf("  %.1fs", e.Elapsed)
}
