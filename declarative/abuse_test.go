//go:build unix

package declarative_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"b%d":1`, i)
	}
	return b.String()
}

// staircase is a text in which each line is one level deeper.
func staircase(line string) string {
	var b strings.Builder
	for i := 0; b.Len() < 250_000; i++ {
		b.WriteString(strings.Repeat(" ", i) + line)
	}
	return b.String()[:250_000]
}

// A text that was made to hurt is refused, and soon.
func TestTextsThatWereMadeToHurtAreRefusedSoon(t *testing.T) {
	r := reader(t)
	for name, text := range map[string]string{
		"lists in lists":  strings.Repeat("- ", 120_000),
		"keys in keys":    strings.Repeat("? ", 120_000),
		"brackets":        strings.Repeat("[", 100_000),
		"braces":          strings.Repeat(`{"a":`, 50_000),
		"aliases":         "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n",
		"many documents":  strings.Repeat("---\na: b\n", 20_000),
		"tags":            strings.Repeat("!!a ", 60_000),
		"colons":          strings.Repeat("a: ", 80_000),
		"quotes":          strings.Repeat("'", 250_000),
		"one long scalar": strings.Repeat("x", 250_000),
		"too much":        strings.Repeat("x", 300_000),
		"binary":          "\x00\x01\xff",
		"question marks":  strings.Repeat("?\n", 100_000),
		"dashes":          strings.Repeat("-\n", 100_000),
		"many keys":       strings.Repeat("a: b\n", 40_000),
		"keys without":    strings.Repeat("a:\n", 60_000),
		"deeper":          staircase("a:\n"),
		"deeper lists":    staircase("-\n"),
		"words":           strings.Repeat("&a ", 60_000),
		"stars":           strings.Repeat("*a ", 60_000),
		"bangs":           strings.Repeat("!a ", 60_000),
		"commas":          "[" + strings.Repeat(",", 200_000),
		"scalars":         "[" + strings.Repeat("a,", 120_000) + "]",
		"hashes":          strings.Repeat("# \n", 60_000),
		"percents":        strings.Repeat("%a\n", 60_000),
		"json members":    `{"a0":1` + members(20_000) + "}",
		"yaml members":    strings.Repeat("a:\n", 3_999),
		"yaml commas":     "[" + strings.Repeat(",", 7_900),
		"yaml words":      strings.Repeat("&a ", 7_900),
		"yaml colons":     strings.Repeat("a: ", 7_900),
		"yaml questions":  strings.Repeat("? ", 7_900),
		"yaml lists":      strings.Repeat("- ", 7_900),
		"yaml scalars":    strings.Repeat("a ", 30_000),
		"yaml brackets":   strings.Repeat("[a],", 2_600),
		"a tab":           "skald: 1\n\tname: x\n",
		"a null":          "~\n",
		"a list":          "[]\n",
		"a scalar":        "{}",
	} {
		began := processorTime(t)
		_, err := r.Read("", []byte(text))
		took := processorTime(t) - began
		if err == nil || took > 5*time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
		t.Logf("%s: %s %.80v", name, took, err)
	}
}

// processorTime is how long this process has kept a processor busy, which is no longer on a machine that does much else. No other test runs beside one that is not parallel.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
