package draw

import (
	"strings"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// Participants draws a list of participants, one a line.
func Participants(t *terminal.Terminal, all []httpapi.Participant) {
	rows := make([][]string, len(all))
	for i, p := range all {
		way := "by itself"
		if p.Called {
			way = "is called"
		}
		state := terminal.Good.On("ok")
		if p.Breaker == "open" {
			state = terminal.Bad.On("failing")
		}
		rows[i] = []string{terminal.Clean(p.Name), state, p.Level, way, terminal.Clean(strings.Join(p.Operations, " ")), terminal.Clean(strings.Join(p.Definitions, " "))}
	}
	t.Table("", []terminal.Column{{Title: "PARTICIPANT", Least: 12}, {Title: "STATE"}, {Title: "LEVEL"}, {Title: "TAKES PART"}, {Title: "OPERATIONS", Least: 12}, {Title: "DEFINITIONS", Least: 10}}, rows)
}

// Statistics draws what is under way: first what needs somebody.
func Statistics(t *terminal.Terminal, s *httpapi.Statistics, flags string) {
	more := ""
	if !s.Complete {
		more = " or more"
	}
	if s.Incidents == 0 {
		t.Line("%s", terminal.Good.On("no incidents"))
	} else {
		t.Line("%s  skald incidents%s", terminal.Bad.On(Count(s.Incidents, "saga")+more+" with an incident:"), flags)
		rows := make([][]string, len(s.IncidentCodes))
		for i, c := range s.IncidentCodes {
			rows[i] = []string{number(c.Sagas), terminal.Clean(c.Reason), terminal.Clean(c.Definition)}
		}
		t.Table("  ", []terminal.Column{{Title: "SAGAS", Right: true}, {Title: "REASON", Least: 12}, {Title: "DEFINITION", Least: 12}}, rows)
	}
	for _, x := range []struct {
		is   bool
		text string
	}{
		{s.StoreFull, "the store has no room: starts are refused until there is some"},
		{len(s.Damaged) > 0, Count(len(s.Damaged), "saga") + " with a damaged journal, to be restored from a backup"},
		{len(s.OpenBreakers) > 0, "failing participants: " + terminal.Clean(strings.Join(s.OpenBreakers, ", "))},
	} {
		if x.is {
			t.Line("%s", terminal.Bad.On(x.text))
		}
	}
	total := 0
	rows := make([][]string, len(s.States))
	for i, c := range s.States {
		total += c.Sagas
		rows[i] = []string{number(c.Sagas), sagaPaint(c.State).On(string(c.State)), terminal.Clean(c.Definition), terminal.Faint.On(string(c.Mode))}
	}
	t.Line("%s%s without an outcome", Count(total, "saga"), more)
	if len(rows) > 0 {
		t.Table("  ", []terminal.Column{{Title: "SAGAS", Right: true}, {Title: "STATE"}, {Title: "DEFINITION", Least: 12}, {Title: "MODE"}}, rows)
	}
	t.Line("%s", terminal.Faint.On(number(s.InFlight)+" in memory, "+number(s.Active)+" active; "+number(s.WaitingCalls)+" calls wait for room, "+number(s.Backlog)+" records for a commit"))
}

// Bulk draws what became, or would become, of each saga.
func Bulk(t *terminal.Terminal, results []httpapi.BulkSaga) {
	rows := make([][]string, len(results))
	for i := range results {
		r := &results[i]
		paint := terminal.Good
		switch r.Outcome {
		case "failed":
			paint = terminal.Bad
		case "nothing":
			paint = terminal.Faint
		case "would":
			paint = terminal.Busy
		}
		rows[i] = []string{terminal.Clean(string(r.ID)), paint.On(r.Outcome), string(r.State), terminal.Clean(r.Definition), terminal.Clean(strings.Join(r.Steps, " ")), terminal.Clean(r.Detail)}
	}
	t.Table("", []terminal.Column{{Title: "SAGA", Least: uuid}, {Title: "OUTCOME"}, {Title: "STATE", Spare: 2}, {Title: "DEFINITION", Least: 10, Spare: 1}, {Title: "STEPS", Least: 12}, {Title: "DETAIL", Least: 20}}, rows)
}
