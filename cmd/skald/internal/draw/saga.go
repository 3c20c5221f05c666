package draw

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// Picture is all that is known of a saga.
type Picture struct {
	Saga       *httpapi.Saga
	Definition *httpapi.Definition // nil if it is not registered any more
	Events     []httpapi.Event
	Letters    []httpapi.Letter // that wait
	Payloads   bool             // draw inputs and results
	Flags      string           // what copied commands need to find the same server, with a space before it
}

// Saga draws a saga: what it is, what is wrong and what to do about it, its steps in their graph, and when they were at work.
func Saga(t *terminal.Terminal, p *Picture, now time.Time) {
	header(t, p.Saga, now)
	Incidents(t, p.Saga, p.Definition, p.Flags, now)
	waitingLetters(t, p)
	steps(t, p)
	timeline(t, p.Saga, p.Events, now)
	if p.Payloads {
		payloads(t, p.Saga)
	}
}

func header(t *terminal.Terminal, s *httpapi.Saga, now time.Time) {
	state := sagaPaint(s.State).On(string(s.State))
	if n := len(s.Incidents); n > 0 {
		state += terminal.Bad.On(", " + Count(n, "incident"))
	}
	t.Line("%s  %s", terminal.Strong.On(terminal.Clean(string(s.ID))), state)
	if s.Cause != "" || s.Reason != "" {
		paragraph(t, "", "turned back"+because(s))
	}
	line := "started " + terminal.Clock(s.Started, now) + " UTC"
	if s.Ended.IsZero() {
		line += " (" + ago(s.Started, now) + ")"
		if !s.Deadline.IsZero() {
			line += ", deadline " + terminal.Clock(s.Deadline, now)
		}
	} else {
		line += ", took " + terminal.Duration(s.Ended.Sub(s.Started))
	}
	about := terminal.Clean(s.Definition) + "@" + terminal.Clean(s.Version) + ", " + terminal.Clean(string(s.Mode))
	if s.Key != "" {
		about += ", key " + terminal.Clean(s.Key)
	}
	t.Line("%s", terminal.Faint.On(about))
	t.Line("%s", terminal.Faint.On(line))
}

// because says what turned a saga back.
func because(s *httpapi.Saga) string {
	text := " because of "
	if s.Cause != "" {
		text += terminal.Clean(s.Cause)
		if s.Reason != "" {
			text += ": "
		}
	}
	return text + terminal.Clean(s.Reason)
}

// steps draws the steps in their graph, or below each other if it is not known.
func steps(t *terminal.Terminal, p *Picture) {
	s := p.Saga
	if len(s.Steps) == 0 {
		return
	}
	named := map[string]*httpapi.Step{}
	for i := range s.Steps {
		named[s.Steps[i].Name] = &s.Steps[i]
	}
	sign := func(step string) string {
		x := stepLook("waiting")
		if y := named[step]; y != nil {
			x = stepLook(y.State)
		}
		if slices.ContainsFunc(s.Incidents, func(i httpapi.Incident) bool { return i.Step == step }) {
			return terminal.Bad.On("!")
		}
		return x.paint.On(t.Pick(x.sign, x.ascii))
	}
	var rails []rail
	if p.Definition != nil {
		rails = drawGraph(t, p.Definition, sign)
	} else {
		for i := range s.Steps {
			rails = append(rails, rail{step: s.Steps[i].Name, text: sign(s.Steps[i].Name), next: " "})
		}
	}
	title(t, "Steps")
	columns := []terminal.Column{{Title: "STEP", Least: 16}, {Title: "STATE"}, {Title: "TOOK", Right: true}, {Title: "TRIES", Right: true}, {Title: "KIND"}, {Title: "LEVEL"}}
	rows := make([][]string, len(rails))
	for i, r := range rails {
		rows[i] = []string{r.text, "", "", "", "", ""}
		if step := named[r.step]; step != nil {
			rows[i] = stepRow(r, step)
		}
	}
	lines := t.Rows("  ", columns, rows)
	t.Line("%s", lines[0])
	for i, r := range rails {
		t.Line("%s", lines[i+1])
		if step := named[r.step]; step != nil {
			stepNotes(t, r, step)
		}
	}
}

func stepRow(r rail, s *httpapi.Step) []string {
	state := words(s.State)
	if s.ByHand {
		state += " by hand"
	}
	took, tries := "", ""
	if !s.Asked.IsZero() && !s.Settled.IsZero() {
		took = terminal.Duration(s.Settled.Sub(s.Asked))
	}
	if s.Attempt > 0 {
		tries = number(int(s.Attempt))
	}
	return []string{r.text + " " + terminal.Clean(s.Name), stepLook(s.State).paint.On(terminal.Clean(state)), took, tries, terminal.Faint.On(s.Kind), terminal.Faint.On(s.Level)}
}

// stepNotes says below a step why it is as it is.
func stepNotes(t *terminal.Terminal, r rail, s *httpapi.Step) {
	note := why(s.Reason, s.Detail)
	if s.By != "" {
		note = strings.TrimSuffix("by "+terminal.Clean(s.By)+": "+note, ": ")
	}
	if s.State == "retrying" || s.State == "undo_retrying" {
		next := "no attempt is planned" // an incident waits for a person
		if !s.Next.IsZero() {
			next = "next attempt " + terminal.Clock(s.Next, s.Next) + " UTC"
		}
		note = strings.TrimSuffix(next+"; "+note, "; ")
	}
	if note == "" {
		return
	}
	indent := "  " + r.next + strings.Repeat(" ", max(0, terminal.Columns(r.text)-terminal.Columns(r.next))) + "   "
	width := 0
	if t.Width > 0 {
		width = max(20, t.Width-terminal.Columns(indent))
	}
	for _, line := range terminal.Wrap(note, width) {
		t.Line("%s%s", indent, terminal.Faint.On(line))
	}
}

// payloads draws the input and the results.
func payloads(t *terminal.Terminal, s *httpapi.Saga) {
	title(t, "Input")
	payload(t, s.Input)
	for i := range s.Steps {
		if len(s.Steps[i].Result) > 0 {
			title(t, "Result of "+terminal.Clean(s.Steps[i].Name))
			payload(t, s.Steps[i].Result)
		}
	}
}

// payload draws JSON, a member a line.
func payload(t *terminal.Terminal, data json.RawMessage) {
	var pretty bytes.Buffer
	if json.Indent(&pretty, data, "", "  ") != nil {
		pretty.Write(data)
	}
	for line := range strings.SplitSeq(pretty.String(), "\n") {
		t.Line("  %s", terminal.Clean(line))
	}
}

// Event draws an entry of a journal as one line.
func Event(t *terminal.Terminal, e *httpapi.Event, now time.Time) {
	kind := words(e.Kind)
	paint := terminal.Plain
	switch e.Kind {
	case "saga_completed", "step_done", "incident_resolved", "incident_closed":
		paint = terminal.Good
	case "saga_compensating", "saga_compensated", "compensation_done", "compensation_asked", "step_retrying", "compensation_retrying", "cancel_requested", "deadline_expired":
		paint = terminal.Warn
	case "step_refused", "step_failed", "incident_opened":
		paint = terminal.Bad
	}
	line := terminal.Faint.On(terminal.Clock(e.Time, now)) + "  " + pad(paint.On(terminal.Clean(kind)), 21)
	for _, part := range []string{terminal.Strong.On(terminal.Clean(e.Step)), terminal.Clean(string(e.Verb)), by(e.By), why(e.Reason, e.Detail), next(e, now)} {
		if part != "" {
			line += "  " + part
		}
	}
	t.Line("%s", strings.TrimRight(t.Fit(line, t.Width), " "))
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return "by " + terminal.Clean(who)
}

func next(e *httpapi.Event, now time.Time) string {
	if e.Kind != "step_retrying" && e.Kind != "compensation_retrying" {
		return ""
	}
	if e.At.IsZero() {
		return "attempt " + number(int(e.Attempt)) + " is not planned"
	}
	return "attempt " + number(int(e.Attempt)) + " at " + terminal.Clock(e.At, now)
}

func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-terminal.Columns(text)))
}

// Outcome draws how a saga ended, or how far it is, on one line.
func Outcome(t *terminal.Terminal, s *httpapi.Saga, now time.Time) {
	line := terminal.Clean(string(s.ID)) + "  " + sagaPaint(s.State).On(string(s.State))
	if s.Cause != "" || s.Reason != "" {
		line += because(s)
	}
	if s.Ended.IsZero() {
		line += ", started " + ago(s.Started, now)
	} else {
		line += ", took " + terminal.Duration(s.Ended.Sub(s.Started))
	}
	t.Line("%s", line)
}
