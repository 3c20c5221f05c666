package draw

import (
	"strconv"
	"strings"
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// uuid is the length of the ids that are made: they are copied, so they are not cut.
const uuid = 36

// Sagas draws a list of sagas, one a line.
func Sagas(t *terminal.Terminal, sagas []httpapi.Summary, now time.Time) {
	columns := []terminal.Column{
		{Title: "SAGA", Least: uuid}, {Title: "DEFINITION", Least: 10, Spare: 4}, {Title: "STATE"}, {Title: "STEP", Least: 13, Spare: 5}, {Title: "WHY", Least: 12}, {Title: "KEY", Least: 8, Spare: 2},
		{Title: "MODE", Spare: 1}, {Title: "STARTED", Right: true}, {Title: "TOOK", Right: true, Spare: 3},
	}
	rows := make([][]string, len(sagas))
	for i := range sagas {
		s := &sagas[i]
		state, reason := sagaPaint(s.State).On(string(s.State)), terminal.Clean(s.Reason)
		if s.Incident != "" {
			state, reason = terminal.Bad.On("incident"), terminal.Bad.On(terminal.Clean(s.Incident))
		}
		took := ""
		if !s.Ended.IsZero() {
			took = terminal.Duration(s.Ended.Sub(s.Started))
		}
		rows[i] = []string{
			terminal.Clean(string(s.ID)), terminal.Clean(s.Definition), state, terminal.Clean(s.Step), reason, terminal.Clean(s.Key), terminal.Faint.On(terminal.Clean(string(s.Mode))),
			ago(s.Started, now), took,
		}
	}
	t.Table("", columns, rows)
}

// ago is how long ago something was.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	if passed := now.Sub(at); passed >= time.Second {
		return terminal.Duration(passed.Truncate(time.Second)) + " ago"
	}
	return "just now"
}

// number writes a number with its thousands apart.
func number(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// title draws the heading of a part.
func title(t *terminal.Terminal, text string) {
	t.Line("")
	t.Line("%s", terminal.Strong.On(text))
}

// paragraph draws text indented and wrapped.
func paragraph(t *terminal.Terminal, indent, text string) {
	width := t.Width
	if width > 0 {
		width = max(20, min(width, 100)-len(indent))
	}
	for _, line := range terminal.Wrap(text, width) {
		t.Line("%s%s", indent, strings.TrimRight(line, " "))
	}
}

// Changed draws one saga of a list as a line of its own.
func Changed(t *terminal.Terminal, s *httpapi.Summary) {
	state := pad(sagaPaint(s.State).On(string(s.State)), 12)
	if s.Incident != "" {
		state = pad(terminal.Bad.On("incident"), 12)
	}
	line := terminal.Faint.On(s.Updated.UTC().Format("15:04:05")) + "  " + state + "  " + terminal.Clean(string(s.ID)) + "  " + terminal.Clean(s.Definition)
	for _, part := range []string{terminal.Clean(s.Step), terminal.Clean(s.Incident), terminal.Clean(s.Reason)} {
		if part != "" {
			line += "  " + part
		}
	}
	t.Line("%s", t.Fit(line, t.Width))
}
