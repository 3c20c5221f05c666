package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// report gathers the events of a run. It is used by one goroutine.
type report struct {
	out      io.Writer
	started  time.Time
	packages map[string]*packageRun // those that have not ended
	builds   map[string][]string    // output of the build of an import path
	ended    int                    // packages that have ended
	passed   int
	failed   []string // names, in the order in which they failed
	skipped  []skip
	tried    []string // what tests of many cases said of them
}

// skip is a test that did not run, and why.
type skip struct{ name, reason string }

func newReport(out io.Writer) *report {
	return &report{
		out:      out,
		started:  time.Now(),
		packages: make(map[string]*packageRun),
		builds:   make(map[string][]string),
	}
}

// add takes one event and says whether it printed something.
func (r *report) add(e event) bool {
	switch {
	case e.Action == "build-output":
		r.builds[e.ImportPath] = append(r.builds[e.ImportPath], e.Output)
		return false
	case e.Package == "" && e.Output != "":
		fmt.Fprint(r.out, e.Output)
		return true
	case e.Package == "":
		return false
	}
	p := r.packages[e.Package]
	if p == nil {
		p = newPackageRun(e.Package)
		r.packages[e.Package] = p
	}
	if e.Test != "" {
		return r.addTest(p, e)
	}
	return r.addPackage(p, e)
}

func (r *report) addTest(p *packageRun, e event) bool {
	switch e.Action {
	case "run":
		p.start(e.Test)
	case "pause", "cont":
		p.pause(e.Test, e.Action == "pause")
	case "output":
		p.print(e.Test, e.Output)
	case "attr":
		if e.Key == "tried" {
			r.tried = append(r.tried, p.name+" "+e.Test+"\n      "+e.Value)
		}
	case "pass", "skip":
		p.end(e.Test, e.Action)
	case "fail":
		p.end(e.Test, e.Action)
		fmt.Fprintf(r.out, "\n--- FAIL: %s %s\n%s", p.name, e.Test, p.printed(e.Test))
		return true
	}
	return false
}

func (r *report) addPackage(p *packageRun, e event) bool {
	switch e.Action {
	case "output":
		p.print("", e.Output)
		return false
	case "pass", "fail", "skip":
		r.endPackage(p, e)
		return true
	}
	return false
}

// endPackage adds the package's tests to the sum and prints its line.
func (r *report) endPackage(p *packageRun, e event) {
	r.ended++
	r.tally(p)
	if e.Action == "fail" {
		r.explainFailure(p, e)
	}
	fmt.Fprintln(r.out, p.line(e))
}

// tally moves the package's tests into the sum.
func (r *report) tally(p *packageRun) {
	delete(r.packages, p.name)
	r.passed += p.passed
	r.skipped = append(r.skipped, p.skipped...)
	for _, test := range p.failed {
		r.failed = append(r.failed, p.name+" "+test)
	}
}

// explainFailure covers what no failing test has said yet about a package that failed.
func (r *report) explainFailure(p *packageRun, e event) {
	unfinished := strings.Join(p.running(), ", ")
	switch {
	case e.FailedBuild != "":
		r.fail("build of "+p.name, strings.Join(r.builds[e.FailedBuild], ""))
	case unfinished != "":
		r.fail(p.name+" "+unfinished+" (did not end)", p.everything())
	case len(p.failed) == 0:
		// The tests are fine and the package is not: TestMain, an os.Exit, a race found after the last test.
		r.fail(p.name, p.everything())
	default:
		fmt.Fprint(r.out, p.printed(""))
	}
}

func (r *report) fail(name, output string) {
	r.failed = append(r.failed, name)
	fmt.Fprintf(r.out, "\n--- FAIL: %s\n%s\n", name, output)
}

// stillRunning says what the run is busy with.
func (r *report) stillRunning() {
	var running []string
	for _, name := range slices.Sorted(maps.Keys(r.packages)) {
		if tests := r.packages[name].busy(); tests != "" {
			running = append(running, name+" "+tests)
		}
	}
	what := "building"
	if len(running) > 0 {
		what = "running " + strings.Join(running, "; ")
	}
	fmt.Fprintf(r.out, "...   %4.0fs, %d packages done, %s\n", time.Since(r.started).Seconds(), r.ended, what)
}

// finish prints the end of the report and says whether the run is good. In a strict run a skipped test is not.
func (r *report) finish(strict bool) bool {
	for _, name := range slices.Sorted(maps.Keys(r.packages)) {
		p := r.packages[name]
		r.tally(p)
		r.fail(name+" (the stream of events ended before the package did)", p.everything())
	}
	if len(r.tried) > 0 {
		slices.Sort(r.tried)
		fmt.Fprintf(r.out, "\nTried:\n  %s\n", strings.Join(r.tried, "\n  "))
	}
	r.listSkipped(strict)
	if len(r.failed) > 0 {
		fmt.Fprintf(r.out, "\nFailed:\n  %s\n", strings.Join(r.failed, "\n  "))
	}
	none := r.passed+len(r.failed) == 0
	if none {
		fmt.Fprint(r.out, "\nNo test ran. That proves nothing, so it counts as a failure.\n")
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped))
	return len(r.failed) == 0 && !none && (!strict || len(r.skipped) == 0)
}

func (r *report) listSkipped(strict bool) {
	if len(r.skipped) == 0 {
		return
	}
	verdict := ""
	if strict {
		verdict = " (CI is set: this fails the run; install or start what is missing)"
	}
	fmt.Fprintf(r.out, "\nSkipped%s:\n", verdict)
	for _, s := range r.skipped {
		fmt.Fprintf(r.out, "  %s\n      %s\n", s.name, s.reason)
	}
}
