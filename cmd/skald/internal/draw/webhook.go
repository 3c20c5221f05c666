package draw

import (
	"cmp"
	"strings"
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/webhook"
)

// Webhooks draws who is told how sagas ended, one a line.
func Webhooks(t *terminal.Terminal, all []httpapi.Webhook) {
	rows := make([][]string, len(all))
	for i := range all {
		e := &all[i]
		state := terminal.Good.On("ok")
		switch {
		case e.GivenUp > 0:
			state = terminal.Bad.On("given up")
		case e.Waiting > 0:
			state = "waiting"
		}
		rows[i] = []string{terminal.Clean(e.Name), state, number(e.Waiting), number(e.GivenUp), terminal.Clean(e.Host), terminal.Clean(cmp.Or(strings.Join(e.Definitions, " "), "by start"))}
	}
	t.Table("", []terminal.Column{{Title: "WEBHOOK", Least: 12}, {Title: "STATE"}, {Title: "WAITING", Right: true}, {Title: "GIVEN UP", Right: true}, {Title: "HOST", Least: 12}, {Title: "DEFINITIONS", Least: 10}}, rows)
}

// Deliveries draws what outsiders were told, or are to be, one a line.
func Deliveries(t *terminal.Terminal, all []httpapi.Delivery, now time.Time) {
	rows := make([][]string, len(all))
	for i := range all {
		d := &all[i]
		when := ago(d.Tried, now)
		if d.State == webhook.Waiting {
			when = "next " + terminal.Clock(d.Next, now)
		}
		paint := map[webhook.State]terminal.Paint{webhook.Delivered: terminal.Good, webhook.GivenUp: terminal.Bad}[d.State]
		rows[i] = []string{terminal.Clean(d.ID), paint.On(string(d.State)), terminal.Clean(string(d.Saga)), terminal.Clean(d.Webhook), number(d.Attempts), terminal.Clean(cmp.Or(d.Error, "-")), when}
	}
	t.Table("", []terminal.Column{{Title: "DELIVERY", Least: 36}, {Title: "STATE"}, {Title: "SAGA", Least: 10}, {Title: "WEBHOOK", Least: 10}, {Title: "TRIED", Right: true}, {Title: "LAST", Least: 12}, {Title: "WHEN", Right: true}}, rows)
}
