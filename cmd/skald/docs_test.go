package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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

// The page has every command; that each does what it shows is for TestWhoeverFollowsAPageGetsWhatItShows.
func TestThePageHasEveryCommand(t *testing.T) {
	page := pageOf(t, "cli.md")
	for _, command := range childrenOf(grammar(t).Model.Node) {
		if !strings.Contains(page, "skald "+command) {
			t.Errorf("docs/cli.md does not show skald %s", command)
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
