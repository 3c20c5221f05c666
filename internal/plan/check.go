package plan

import (
	"fmt"
	"strings"

	"github.com/skaldhq/skald/participant"
)

// checker collects the faults of a draft.
type checker struct {
	draft  *Draft
	faults []Fault
}

func (c *checker) add(step, member, problem, mend string) {
	c.faults = append(c.faults, Fault{Step: step, Member: member, Problem: problem, Mend: mend})
}

// MaxName is the length in bytes of the longest name of a definition, step, operation or event.
const MaxName = 100

// CheckName says what is wrong with a durable name, or returns an empty string. Names travel in URLs, headers and metrics.
func CheckName(name string) string {
	if name == "" {
		return "it is empty"
	}
	if len(name) > MaxName {
		return fmt.Sprintf("it has %d bytes; %d are allowed", len(name), MaxName)
	}
	bad := strings.IndexFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
	if bad >= 0 {
		return fmt.Sprintf("%q has a character that is no letter, digit, dot, underscore or hyphen", name)
	}
	return ""
}

func (c *checker) names() {
	d := c.draft
	if why := CheckName(d.Name); why != "" {
		c.add("", "name", "its name cannot be used: "+why, "give it a short name such as \"commande\"")
	}
	if len(d.Steps) == 0 {
		c.add("", "steps", "it has no steps", "add at least one with Step")
	}
	if len(d.Steps) > MaxSteps {
		c.add("", "steps", fmt.Sprintf("it has %d steps; %d are allowed", len(d.Steps), MaxSteps), "split it into sagas that start one another")
	}
	seen := make(map[string]bool, len(d.Steps))
	for _, s := range d.Steps {
		if why := CheckName(s.Name); why != "" {
			c.add(s.Name, "name", "its name cannot be used: "+why, "name it with Named")
		} else if seen[s.Name] {
			c.add(s.Name, "name", "another step has the same name", "give one of them a name of its own with Named")
		}
		seen[s.Name] = true
		if why := CheckName(s.Action); why != "" {
			c.add(s.Name, "action", "its operation's name cannot be used: "+why, "give the operation a durable name such as \"inventaire.reserve\"")
		}
		if s.Kind == participant.Compensatable {
			if why := CheckName(s.Compensation); why != "" {
				c.add(s.Name, "compensation", "the name of its compensation cannot be used: "+why, "give it a durable name such as \"inventaire.release\"")
			} else if s.Compensation == s.Action {
				c.add(s.Name, "compensation", "its action and its compensation have the same name", "name the compensation differently")
			}
		}
		if s.Map == nil {
			c.add(s.Name, "input", "nothing says what its input is", "map it with From, From1, From2, ...")
		}
	}
}

// RefusalShape is the shape of what is published when a step is refused or undone.
const RefusalShape = "{reason:string,detail:string}"

// payloads finds an event name that stands for two different payloads.
func (c *checker) payloads() {
	type use struct{ step, shape string }
	first := make(map[string]use)
	for _, s := range c.draft.Steps {
		for _, e := range []struct{ name, shape string }{
			{s.Events.Success, s.Output}, {s.Events.Failure, RefusalShape}, {s.Events.Undone, RefusalShape},
		} {
			if e.name == "" {
				continue
			}
			if why := CheckName(e.name); why != "" {
				c.add(s.Name, "events", "an event's name cannot be used: "+why, "use letters, digits, dots, underscores and hyphens")
			}
			if u, ok := first[e.name]; !ok {
				first[e.name] = use{s.Name, e.shape}
			} else if u.shape != e.shape {
				c.add(s.Name, "events", fmt.Sprintf("event %s carries %s here and %s at step %s", e.name, e.shape, u.shape, u.step),
					"give one of the two events another name, or both the same payload")
			}
		}
	}
}

// cycle names the steps that wait for one another.
func (c *checker) cycle(preds []Set) {
	reach := make([]Set, len(preds))
	copy(reach, preds)
	for range preds {
		for i := range reach {
			for j := range reach[i].All {
				reach[i] |= reach[j]
			}
		}
	}
	var names []string
	for i := range reach {
		if reach[i].Has(i) {
			names = append(names, c.draft.Steps[i].Name)
		}
	}
	c.add(names[0], "after", "it waits for itself, in the cycle of "+strings.Join(names, ", "), "take one of these edges out")
}

// kinds holds the rules that make turning back possible: one pivot, everything that can fail before it, only retriable steps after it.
func (c *checker) kinds(p *Plan) {
	for i, s := range p.Steps {
		after := p.Pivot >= 0 && p.Anc[i].Has(p.Pivot)
		switch s.Kind {
		case participant.Pivot:
			if i != p.Pivot {
				c.add(s.Name, "kind", "it is a second pivot beside "+p.Steps[p.Pivot].Name,
					"a saga has one point of no return: make one of the two compensatable or retriable, or split the saga")
			}
		case participant.Retriable:
			if !after {
				c.add(s.Name, "kind", "it has no compensation and does not stand after a pivot, so it could not be undone",
					"give its operation a compensation (Compensatable), make the operation the Pivot, or place the step after the pivot")
			}
		case participant.Compensatable, participant.ReadOnly:
			switch {
			case after:
				c.add(s.Name, "kind", fmt.Sprintf("it is %s and stands after the pivot %s, where nothing turns back", s.Kind, p.Steps[p.Pivot].Name),
					"place it before the pivot, or make its operation Retriable")
			case p.Pivot >= 0 && !p.Anc[p.Pivot].Has(i):
				c.add(s.Name, "after", fmt.Sprintf("it runs beside the pivot %s and could fail after the pivot took effect", p.Steps[p.Pivot].Name),
					fmt.Sprintf("let the pivot come after it: After(%s)", s.Name))
			}
		default:
			c.add(s.Name, "kind", fmt.Sprintf("its operation has no kind (%s)", s.Kind), "make the operation with Compensatable, Pivot, Retriable or ReadOnly")
		}
	}
}

// limits finds what could go on for ever in silence, and policies that make no sense.
func (c *checker) limits(p *Plan) {
	if p.Deadline < 0 {
		c.add("", "deadline", "its deadline is negative", "give a positive duration, or none")
	}
	for i, s := range p.Steps {
		if p.Preds[i].Len() > 1 && s.Deadline == 0 && p.Deadline == 0 {
			c.add(s.Name, "deadline", fmt.Sprintf("it joins %d branches without a deadline and could wait for ever", p.Preds[i].Len()),
				"give the step or the saga a Deadline")
		}
		if s.Kind == participant.Compensatable && p.IncidentAfter < 0 {
			c.add(s.Name, "kind", "its compensation would be asked again without end, with no incident to show it", "leave IncidentAfter at its default, or give a positive duration")
		} else if s.Kind != participant.ReadOnly && p.IncidentAfter < 0 && s.Deadline == 0 && p.Deadline == 0 {
			c.add(s.Name, "deadline", "it is asked again without end, with no deadline and no incident to show it",
				"give it a Deadline, or leave IncidentAfter at its default")
		}
		c.policy(s.Name, "retry", "retry policy", s.Retry)
		if s.Kind == participant.Compensatable {
			c.policy(s.Name, "compensation_retry", "compensation's retry policy", s.Undo)
		}
		if (s.Kind == participant.Pivot || s.Kind == participant.Retriable) && s.Retry.Attempts > 0 {
			c.add(s.Name, "retry", fmt.Sprintf("it is %s and limits its attempts to %d, but nothing can turn back from it", s.Kind, s.Retry.Attempts),
				"leave Attempts at 0; an incident shows when it takes long")
		}
		if s.Timeout <= 0 || s.Deadline < 0 {
			c.add(s.Name, "timeout", "its time-out or deadline is not positive", "give positive durations")
		} else if s.Deadline > 0 && s.Timeout > s.Deadline {
			c.add(s.Name, "timeout", fmt.Sprintf("one call may take %s but the whole step only %s", s.Timeout, s.Deadline), "make the time-out the shorter one")
		}
	}
}

func (c *checker) policy(step, member, what string, r Retry) {
	switch {
	case r.Initial <= 0 || r.Cap < r.Initial:
		c.add(step, member, fmt.Sprintf("its %s begins at %s and is capped at %s", what, r.Initial, r.Cap), "use a positive first pause and a cap that is no shorter")
	case r.Cap > MaxBackoff:
		c.add(step, member, fmt.Sprintf("its %s pauses up to %s", what, r.Cap), "use at most "+MaxBackoff.String()+", so that nobody waits longer after an outage")
	case r.Factor < 1 || r.Jitter < 0 || r.Jitter >= 1 || r.Attempts < 0:
		c.add(step, member, fmt.Sprintf("its %s has factor %g, jitter %g and %d attempts", what, r.Factor, r.Jitter, r.Attempts),
			"use a factor of at least 1, a jitter from 0 to below 1, and 0 attempts for no limit")
	}
}
