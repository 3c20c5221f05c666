package draw_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/cmd/skald/internal/draw"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

var update = flag.Bool("update", false, "write the golden files")

// now is when the pictures are drawn.
var now = time.Date(2026, 3, 1, 12, 0, 25, 0, time.UTC)

// drawn is what a function draws, without colours.
func drawn(width int, unicode bool, do func(t *terminal.Terminal)) string {
	var out bytes.Buffer
	environment := []string{}
	if unicode {
		environment = append(environment, "LANG=C.UTF-8")
	}
	term := terminal.New(&out, environment)
	term.Width = width
	do(term)
	return out.String()
}

// golden compares a picture with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// read reads a document of the API.
func read[T any](t *testing.T, name string) (x T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// stuck is a saga that turns back and cannot: one compensation is refused, another waits for its next attempt.
func stuck(t *testing.T) *draw.Picture {
	t.Helper()
	type shown struct {
		Saga       httpapi.Saga       `json:"saga"`
		Definition httpapi.Definition `json:"definition"`
		Events     []httpapi.Event    `json:"events"`
		Letters    []httpapi.Letter   `json:"dead_letters"`
	}
	x := read[shown](t, "stuck.json")
	return &draw.Picture{Saga: &x.Saga, Definition: &x.Definition, Events: x.Events, Letters: x.Letters, Flags: " --address=http://127.0.0.1:9000"}
}

func TestASagaIsDrawn(t *testing.T) {
	p := stuck(t)
	for name, x := range map[string]struct {
		width   int
		unicode bool
	}{"stuck-80": {80, true}, "stuck-ascii": {80, false}, "stuck-wide": {0, true}, "stuck-narrow": {48, true}} {
		golden(t, name, drawn(x.width, x.unicode, func(term *terminal.Terminal) { draw.Saga(term, p, now) }))
	}
}

// What is drawn for a terminal is no wider than it, but for commands, which are copied as they are.
func TestNothingIsWiderThanTheTerminal(t *testing.T) {
	p := stuck(t)
	p.Payloads = true
	for _, width := range []int{72, 80, 100, 132} {
		out := drawn(width, true, func(term *terminal.Terminal) {
			draw.Saga(term, p, now)
			draw.Definition(term, p.Definition)
		})
		for line := range strings.SplitSeq(out, "\n") {
			if n := terminal.Columns(line); n > width && !strings.Contains(line, "skald ") {
				t.Errorf("at %d columns this line has %d:\n%s", width, n, line)
			}
		}
	}
}

// A definition that is not registered any more leaves the steps below each other.
func TestASagaWithoutItsDefinitionIsDrawnFromItsJournal(t *testing.T) {
	p := stuck(t)
	p.Definition = nil
	out := drawn(80, true, func(term *terminal.Terminal) { draw.Saga(term, p, now) })
	for _, step := range p.Saga.Steps {
		if !strings.Contains(out, " "+step.Name+" ") {
			t.Errorf("%s is missing in\n%s", step.Name, out)
		}
	}
}

// An attempt that nobody plans, because a person is waited for, has no time.
func TestNoTimeIsSaidOfAnAttemptThatIsNotPlanned(t *testing.T) {
	p := stuck(t)
	retrying := 0
	for i := range p.Saga.Steps {
		step := &p.Saga.Steps[i]
		step.State, step.Next = "retrying", time.Time{}
		retrying++
	}
	out := drawn(0, true, func(term *terminal.Terminal) { draw.Saga(term, p, now) })
	if n := strings.Count(out, "no attempt is planned"); n != retrying || strings.Contains(out, "next attempt") {
		t.Errorf("said %d times, want %d:\n%s", n, retrying, out)
	}
}

// Lanes part, cross and join, and edges that others imply are left out.
func TestGraphsOfEveryShapeAreDrawn(t *testing.T) {
	for name, edges := range map[string]string{
		"line":     "a>b b>c a>c",
		"diamond":  "a>b a>c b>d c>d",
		"roots":    "a>c b>c",
		"leaves":   "a>b a>c a>d",
		"crossing": "a>c b>d a>d b>c",
		"long":     "a>b a>c a>d b>e c>f e>g f>g d>g g>h",
	} {
		d := &httpapi.Definition{}
		steps := map[string]bool{}
		for _, e := range strings.Fields(edges) {
			from, to, _ := strings.Cut(e, ">")
			d.Edges = append(d.Edges, httpapi.Edge{From: from, To: to})
			steps[from], steps[to] = true, true
		}
		for _, s := range "abcdefgh" {
			if steps[string(s)] {
				d.Steps = append(d.Steps, httpapi.DefinitionStep{Name: string(s), Kind: "compensatable", Action: string(s)})
			}
		}
		golden(t, "graph-"+name, drawn(0, true, func(term *terminal.Terminal) { draw.Graph(term, d) }))
	}
}

// Every reason code of Skald's own that docs/operations.md has says here, too, what it means.
func TestEveryReasonOfTheManualHasAdvice(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := regexp.MustCompile("(?m)^\\| `(skald\\.[a-z_]+)`(?:, `(skald\\.[a-z_]+)`)?").FindAllStringSubmatch(string(page), -1)
	if len(reasons) < 5 {
		t.Fatalf("the manual has only %d reasons", len(reasons))
	}
	s := &httpapi.Saga{ID: "s", State: "running", Steps: []httpapi.Step{{Name: "a.b", Action: "a.b", Kind: "retriable", State: "retrying"}}}
	foreign := draw.AdviceOn(s, &httpapi.Incident{Step: "a.b", Reason: "A.Own"}, nil).Means
	for _, r := range reasons {
		for _, reason := range r[1:] {
			if reason == "" {
				continue
			}
			if a := draw.AdviceOn(s, &httpapi.Incident{Step: "a.b", Reason: reason}, nil); a.Means == foreign || len(a.Try) < 2 {
				t.Errorf("%s: %q, %d things to try", reason, a.Means, len(a.Try))
			}
		}
	}
}

// What is offered is what the engine takes.
func TestOnlyVerbsThatFitAreOffered(t *testing.T) {
	d := &httpapi.Definition{Steps: []httpapi.DefinitionStep{{Name: "a.read"}, {Name: "a.next", Reads: []string{"a.read"}}}}
	for name, x := range map[string]struct {
		step httpapi.Step
		want string
	}{
		"a retriable step whose result nobody reads": {httpapi.Step{Name: "a.next", Kind: "retriable", State: "retrying"}, "retry replace done skip"},
		"a retriable step whose result is read":      {httpapi.Step{Name: "a.read", Kind: "retriable", State: "retrying"}, "retry replace done"},
		"a pivot":                                    {httpapi.Step{Name: "a.next", Kind: "pivot", State: "running"}, "retry done"},
		"a compensation":                             {httpapi.Step{Name: "a.next", Kind: "compensatable", State: "undo_retrying"}, "retry done skip"},
		"a step before the pivot":                    {httpapi.Step{Name: "a.next", Kind: "compensatable", State: "retrying"}, "retry cancel"},
	} {
		s := &httpapi.Saga{ID: "s", State: "running", Steps: []httpapi.Step{x.step}}
		var verbs []string
		for _, try := range draw.AdviceOn(s, &httpapi.Incident{Step: x.step.Name, Reason: "A.Own"}, d).Try {
			word := strings.Fields(try.Command)[0]
			if _, verb, ok := strings.Cut(try.Command, "--verb="); ok {
				word, _, _ = strings.Cut(verb, " ")
			}
			verbs = append(verbs, word)
		}
		if got := strings.Join(verbs, " "); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}

// Ids are copied from lists: on 80 columns other things go before they are cut.
func TestTheIdsOfAListAreWhole(t *testing.T) {
	const id = "0198c2de-7d3b-7a52-9b1e-5d3c1f0a7e44"
	sagas := []httpapi.Summary{{ID: id, Definition: "visit", State: "running", Incident: "Letters.Full", Step: "letters.send", Key: "customer-17", Mode: "orchestrated", Started: now.Add(-time.Hour)}}
	out := drawn(80, true, func(term *terminal.Terminal) { draw.Sagas(term, sagas, now) })
	for _, want := range []string{id, "incident", "Letters.Full", "1h ago"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is missing in\n%s", want, out)
		}
	}
}
