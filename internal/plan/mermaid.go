package plan

import (
	"fmt"
	"strings"

	"github.com/skaldhq/skald/participant"
)

// Flow draws the definition as a Mermaid flow chart: solid arrows lead forward, dotted ones are what a compensation undoes.
func (p *Plan) Flow() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n  start((start))\n")
	for i := range p.Steps {
		s := &p.Steps[i]
		open, shut := shape(s.Kind)
		fmt.Fprintf(&b, "  s%d%s\"%s<br/><small>%s</small>\"%s\n", i, open, s.Name, s.Kind, shut)
	}
	b.WriteString("  completed((completed))\n")
	for i := range p.Steps {
		if p.Preds[i] == 0 {
			fmt.Fprintf(&b, "  start --> s%d\n", i)
		}
		for j := range p.Preds[i].All {
			fmt.Fprintf(&b, "  s%d --> s%d\n", j, i)
		}
		if p.Succs[i] == 0 {
			fmt.Fprintf(&b, "  s%d --> completed\n", i)
		}
	}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Kind == participant.Compensatable {
			fmt.Fprintf(&b, "  u%d[/\"%s\"/]\n  s%d -. undone by .-> u%d\n", i, s.Compensation, i, i)
		}
	}
	return b.String()
}

func shape(k participant.Kind) (open, shut string) {
	switch k {
	case participant.Pivot:
		return "{{", "}}"
	case participant.Retriable:
		return "([", "])"
	case participant.ReadOnly:
		return "[(", ")]"
	case participant.Compensatable:
	}
	return "[", "]"
}

// Sequence draws the happy path as a Mermaid sequence diagram: who is asked for what, and the events that follow. Parallel steps stand in
// the order of the definition.
func (p *Plan) Sequence() string {
	var b strings.Builder
	b.WriteString("sequenceDiagram\n  participant saga as " + p.Name + "\n")
	ids := make(map[string]string)
	for i := range p.Steps {
		owner := Owner(p.Steps[i].Action)
		if _, ok := ids[owner]; !ok {
			ids[owner] = fmt.Sprintf("p%d", len(ids))
			fmt.Fprintf(&b, "  participant %s as %s\n", ids[owner], owner)
		}
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		id := ids[Owner(s.Action)]
		if s.Kind == participant.Pivot {
			fmt.Fprintf(&b, "  Note over saga: point of no return\n")
		}
		fmt.Fprintf(&b, "  saga->>%s: %s\n", id, s.Action)
		answer := s.Events.Success
		if answer == "" {
			answer = "done"
		}
		if s.Events.Failure != "" {
			answer += " or " + s.Events.Failure
		}
		fmt.Fprintf(&b, "  %s-->>saga: %s\n", id, answer)
	}
	return b.String()
}

// Owner is the participant that an operation belongs to: its name up to the first dot.
func Owner(operation string) string {
	owner, _, _ := strings.Cut(operation, ".")
	return owner
}
