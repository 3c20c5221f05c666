package draw

import (
	"strings"
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// Definitions draws a list of definitions, one a line.
func Definitions(t *terminal.Terminal, all []httpapi.DefinitionSummary) {
	rows := make([][]string, len(all))
	for i, d := range all {
		latest := ""
		if d.Latest {
			latest = "latest"
		}
		rows[i] = []string{terminal.Clean(d.Name), d.Version, latest, number(d.Steps)}
	}
	t.Table("", []terminal.Column{{Title: "DEFINITION", Least: 16}, {Title: "VERSION"}, {}, {Title: "STEPS", Right: true}}, rows)
}

// Definition draws a definition: its steps in their graph, with how each is asked for, and its remedies.
func Definition(t *terminal.Terminal, d *httpapi.Definition) {
	t.Line("%s  %s", terminal.Strong.On(terminal.Clean(d.Name)), terminal.Faint.On(d.Version))
	fields(t, [][2]string{{"revision", d.Revision}, {"input", d.Input}, {"deadline", seconds(d.Deadline)}, {"incident", after(d.IncidentAfter)}, {"durability", d.Durability}})
	t.Line("")
	Graph(t, d)
	if len(d.Remedies) == 0 {
		return
	}
	title(t, "Reason codes")
	rows := make([][]string, len(d.Remedies))
	for i, r := range d.Remedies {
		does := words(r.Does)
		if r.Budget > 0 {
			does += " " + times(r.Budget)
		}
		rows[i] = []string{terminal.Clean(r.Reason), does, terminal.Clean(r.Meaning)}
	}
	t.Table("  ", []terminal.Column{{Title: "REASON", Least: 12}, {Title: "REMEDY"}, {Title: "MEANING", Least: 12}}, rows)
}

// Graph draws a definition's steps in their graph.
func Graph(t *terminal.Terminal, d *httpapi.Definition) {
	byName := map[string]*httpapi.DefinitionStep{}
	for i := range d.Steps {
		byName[d.Steps[i].Name] = &d.Steps[i]
	}
	rails := drawGraph(t, d, func(step string) string {
		if byName[step].Kind == "pivot" {
			return terminal.Strong.On(t.Pick("◆", "#"))
		}
		return terminal.Busy.On(t.Pick("●", "*"))
	})
	columns := []terminal.Column{{Title: "STEP", Least: 16}, {Title: "KIND"}, {Title: "UNDONE BY", Least: 10}, {Title: "TIMEOUT", Right: true, Spare: 2}, {Title: "TRIES", Right: true}, {Title: "LEVEL", Spare: 1}, {Title: "REASONS", Least: 10}}
	rows := make([][]string, len(rails))
	for i, r := range rails {
		rows[i] = []string{r.text, "", "", "", "", "", ""}
		if s := byName[r.step]; s != nil {
			tries := t.Pick("∞", "any")
			if s.Retry.Attempts > 0 {
				tries = number(s.Retry.Attempts)
			}
			name := terminal.Clean(s.Name)
			if s.Action != s.Name {
				name += terminal.Faint.On(" (" + terminal.Clean(s.Action) + ")")
			}
			rows[i] = []string{r.text + " " + name, s.Kind, terminal.Clean(s.Compensation), seconds(s.Timeout), tries, s.Level, terminal.Clean(strings.Join(s.Reasons, " "))}
		}
	}
	t.Table("  ", columns, rows)
}

func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	return terminal.Duration(time.Duration(s * float64(time.Second)))
}

func after(s float64) string {
	if s == 0 {
		return "never for slowness"
	}
	return "after " + seconds(s) + " without success"
}
