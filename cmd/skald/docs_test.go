package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/httpapi"
)

// pageOf reads a page of the documentation.
func pageOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every command of docs/cli.md does what the page shows, and the page has every command.
func TestTheCommandsOfThePageDoWhatItSays(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("the page's commands need jq: install it")
	}
	w, err := openTheatre(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	shell := newShell(t, w)
	page, out := pageOf(t, "cli.md"), ""
	for _, b := range regexp.MustCompile("(?s)```(sh|text)\n(.*?)```\n|<!-- held (.*?) -->").FindAllStringSubmatch(page, -1) {
		switch {
		case b[3] != "":
			w.setAside(t, strings.Fields(b[3]))
		case b[1] == "sh":
			out = shell(b[2])
		default:
			shows(t, b[2], out)
		}
	}
	parser := grammar(t)
	for _, command := range childrenOf(parser.Model.Node) {
		if !strings.Contains(page, "skald "+command) {
			t.Errorf("docs/cli.md does not show skald %s", command)
		}
	}
}

// newShell returns what runs a script of the page in a folder of its own, with this binary as skald.
func newShell(t *testing.T, w *theatre) func(script string) string {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	binary, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(bin, "skald")); err != nil {
		t.Fatal(err)
	}
	return func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", script) //nolint:gosec // the page's own text
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), processVariable+"=skald", "PATH="+bin+":"+os.Getenv("PATH"), "SKALD_ADDRESS="+w.server.URL, "SKALD_BY=ada", "LC_ALL=C.UTF-8", "COLUMNS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", script, err, out)
		}
		return string(out)
	}
}

// shows checks that each line that the page shows was printed; white space does not count, and … stands for anything.
func shows(t *testing.T, want, out string) {
	t.Helper()
	tight := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	var printed []string
	for line := range strings.SplitSeq(out, "\n") {
		printed = append(printed, tight(line))
	}
	for line := range strings.SplitSeq(strings.TrimSpace(want), "\n") {
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(tight(line)), "…", ".*") + "$")
		if !slices.ContainsFunc(printed, pattern.MatchString) {
			t.Errorf("the page shows the line %q, and this was printed:\n%.2000s", line, out)
		}
	}
}

// setAside starts choreographed sagas whose first step is set aside, and mends the theatre then.
func (w *theatre) setAside(t *testing.T, ids []string) {
	t.Helper()
	client, err := httpapi.NewClient(httpapi.ClientConfig{Address: w.server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, id := range ids {
		if _, err := client.Start(ctx, skald.StartRequest{ID: skald.SagaID(id), Definition: "visit", Input: []byte(`{"show":"held"}`), Mode: skald.Choreographed}); err != nil {
			t.Fatal(err)
		}
		for found := 0; found == 0; <-time.After(5 * time.Millisecond) {
			page, err := client.Letters(ctx, broker.LetterFilter{Saga: id})
			if err != nil {
				t.Fatal(err)
			}
			found = len(page.Letters)
		}
	}
}

// The page's table of exit codes is the program's.
func TestThePageHasEveryExitCode(t *testing.T) {
	var table strings.Builder
	table.WriteString("| code | means |\n|---|---|\n")
	for _, x := range exitCodes() {
		fmt.Fprintf(&table, "| %d | %s |\n", x.Code, x.Means)
	}
	if page := pageOf(t, "cli.md"); !strings.Contains(page, table.String()) {
		t.Errorf("docs/cli.md does not have this table:\n%s", table.String())
	}
}

// grammar is how the program reads its arguments.
func grammar(t *testing.T) *kong.Kong {
	t.Helper()
	parser, err := kong.New(&commands{}, options()...)
	if err != nil {
		t.Fatal(err)
	}
	return parser
}
