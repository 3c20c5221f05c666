package draw

import (
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// Incidents draws a saga's open incidents: what, since when, why, and what to do. flags are what the commands need to find the same server, with a space before them.
func Incidents(t *terminal.Terminal, s *httpapi.Saga, d *httpapi.Definition, flags string, now time.Time) {
	if len(s.Incidents) == 0 {
		return
	}
	title(t, "Incidents")
	for i := range s.Incidents {
		incident(t, s, &s.Incidents[i], d, flags, now)
	}
}

func incident(t *terminal.Terminal, s *httpapi.Saga, i *httpapi.Incident, d *httpapi.Definition, flags string, now time.Time) {
	where := terminal.Clean(i.Step)
	if where == "" {
		where = "the saga as a whole"
	}
	t.Line("  %s %s  %s  %s", terminal.Bad.On("!"), terminal.Strong.On(where), terminal.Bad.On(terminal.Clean(i.Reason)), terminal.Faint.On(ago(i.Since, now)))
	if i.Detail != "" {
		paragraph(t, "    ", "\""+terminal.Clean(i.Detail)+"\"")
	}
	a := AdviceOn(s, i, d)
	paragraph(t, "    ", a.Means)
	for _, try := range a.Try {
		t.Line("    %s", terminal.Faint.On(t.Pick("› ", "- ")+"if "+try.When+":"))
		t.Line("      skald %s%s", asciiPlaceholders(t, try.Command), flags)
	}
}

// asciiPlaceholders keeps what is to be filled in readable, and copyable, without Unicode.
func asciiPlaceholders(t *terminal.Terminal, command string) string {
	if t.Unicode {
		return command
	}
	var b []rune
	for _, r := range command {
		if r == '…' {
			b = append(b, '.', '.', '.')
			continue
		}
		b = append(b, r)
	}
	return string(b)
}
