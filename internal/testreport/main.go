// Command testreport reads what `go test -json` prints on its standard input and tells people about it: a line for each
// package as soon as it ends, everything a failing test printed, every skipped test with its reason, and as the last
// line the plain sum "N passed, N failed, N skipped".
//
// It exits with 1 when a test, a package or a build failed, when the stream ends in the middle of a package, and when
// no test ran at all. With CI=true a skipped test fails the run too: a machine that checks for everybody has no excuse.
// It does not see the exit status of go test itself, so run it with the shell's pipefail.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// quiet is how long nothing may be printed before the reader is told what is still going on.
const quiet = 20 * time.Second

func main() {
	// An absent or odd value of CI counts as "a person is watching".
	strict, _ := strconv.ParseBool(os.Getenv("CI"))
	report := newReport(os.Stdout)
	if err := follow(os.Stdin, report, quiet); err != nil {
		fmt.Fprintln(os.Stderr, "testreport: reading the test stream:", err)
		os.Exit(1)
	}
	if !report.finish(strict) {
		os.Exit(1)
	}
}
