package draw

import (
	"maps"
	"slices"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// Letters draws a list of dead letters, one a line.
func Letters(t *terminal.Terminal, letters []httpapi.Letter, now time.Time) {
	columns := []terminal.Column{
		{Title: "LETTER", Least: 20}, {Title: "STATE"}, {Title: "SAGA", Least: 10}, {Title: "STEP", Least: 10}, {Title: "REASON", Least: 10}, {Title: "REMEDY"}, {Title: "TIMES", Right: true},
		{Title: "SET ASIDE", Right: true},
	}
	rows := make([][]string, len(letters))
	for i := range letters {
		l := &letters[i]
		remedy := words(l.Remedy)
		if remedy == "" && l.State == broker.Waiting {
			remedy = terminal.Bad.On("decide")
		}
		rows[i] = []string{
			terminal.Clean(l.ID), letterPaint(l.State).On(string(l.State)), terminal.Clean(string(l.Saga)), terminal.Clean(l.Step), terminal.Clean(l.Reason), remedy, number(l.Count), ago(l.At, now),
		}
	}
	t.Table("", columns, rows)
}

func letterPaint(s broker.LetterState) terminal.Paint {
	switch s {
	case broker.Waiting:
		return terminal.Bad
	case broker.Replayed, broker.Remedied:
		return terminal.Good
	case broker.Discarded:
	}
	return terminal.Faint
}

// Letter draws one dead letter with its message, and what may be done about it. flags are what the commands need to find the same server, with a space before them.
func Letter(t *terminal.Terminal, l *httpapi.Letter, flags string, now time.Time) {
	t.Line("%s  %s", terminal.Strong.On(terminal.Clean(l.ID)), letterPaint(l.State).On(string(l.State)))
	fields(t, [][2]string{
		{"saga", string(l.Saga)}, {"step", l.Step}, {"reason", why(l.Reason, l.Description)}, {"means", l.Meaning}, {"remedy", words(l.Remedy)},
		{"set aside", terminal.Clock(l.At, now) + " UTC (" + ago(l.At, now) + "), handed out " + times(l.Count) + ", replayed " + times(l.Replays)},
		{"first", failure(&l.First, now)}, {"last", failure(&l.Last, now)}, {"settled", l.Note},
		{"topic", l.Topic + " for " + l.Subscription},
	})
	if l.Message != nil {
		message(t, l.Message)
	}
	if l.State == broker.Waiting {
		title(t, "What to do")
		for _, try := range []Try{
			{"deadletters replay " + l.ID + " --reason='…'", "the cause is mended: its message is handed out again"},
			{"deadletters compensate " + l.ID + " --reason='…'", "the step should end, so that the saga turns back"},
			{"deadletters discard " + l.ID + " --reason='…'", "nothing is to be done about it"},
		} {
			t.Line("  %s", terminal.Faint.On(try.When+":"))
			t.Line("    skald %s%s", asciiPlaceholders(t, try.Command), flags)
		}
	}
}

// waitingLetters says which dead letters a saga waits for.
func waitingLetters(t *terminal.Terminal, p *Picture) {
	if len(p.Letters) == 0 {
		return
	}
	title(t, "Dead letters")
	for i := range p.Letters {
		l := &p.Letters[i]
		t.Line("  %s %s  %s", terminal.Bad.On("!"), terminal.Strong.On(terminal.Clean(l.Step)), why(l.Reason, l.Description))
		t.Line("      skald deadletters show %s%s", l.ID, p.Flags)
	}
}

func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return number(n) + " times"
}

func failure(f *httpapi.Failure, now time.Time) string {
	if f.Reason == "" && f.Description == "" {
		return ""
	}
	text := why(f.Reason, f.Description)
	if !f.At.IsZero() {
		text = terminal.Clock(f.At, now) + " UTC  " + text
	}
	return text
}

// fields draws names and what stands for them; empty ones are left out.
func fields(t *terminal.Terminal, all [][2]string) {
	for _, f := range all {
		if f[1] != "" {
			t.Line("  %s", t.Fit(pad(terminal.Faint.On(f[0]), 10)+"  "+terminal.Clean(f[1]), max(0, t.Width-2)))
		}
	}
}

func message(t *terminal.Terminal, m *httpapi.Message) {
	title(t, "Message")
	fields(t, [][2]string{{"id", m.ID}, {"source", m.Source}, {"key", m.Key}, {"cause", m.Cause}, {"trace", m.Trace}})
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		fields(t, [][2]string{{name, m.Headers[name]}})
	}
	switch {
	case len(m.Data) > 0:
		payload(t, m.Data)
	case m.DataText != "":
		t.Line("  %s", terminal.Clean(m.DataText))
	case len(m.DataBase64) > 0:
		t.Line("  %s", terminal.Faint.On(Count(len(m.DataBase64), "byte")+" that are no text: --json has them in base64"))
	}
}
