package draw

import (
	"slices"
	"strings"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// rail is one line of a graph that is drawn downwards: lanes, and on most lines a step in one of them.
type rail struct {
	step string // empty: the line only joins or parts lanes
	text string // the lanes with the step's sign
	next string // the lanes as they go on below the step, for lines that say more about it
}

// lanes draws a graph line by line, each step below all that it follows. A lane leads to the step that it is waiting for.
type lanes struct {
	t     *terminal.Terminal
	to    []string // the step at each lane's end; empty: the lane is free
	rails []rail
}

// drawGraph draws the steps of a definition. sign gives each step's sign.
func drawGraph(t *terminal.Terminal, d *httpapi.Definition, sign func(step string) string) []rail {
	l := &lanes{t: t}
	following := successors(d)
	for i := range d.Steps {
		name := d.Steps[i].Name
		at := l.join(name)
		drawn := rail{step: name, text: l.line(at, sign(name))}
		l.to[at] = ""
		if len(following[name]) > 0 {
			l.to[at] = following[name][0]
		}
		drawn.next = l.line(-1, "")
		l.rails = append(l.rails, drawn)
		l.part(at, following[name])
	}
	return l.rails
}

// successors says which steps follow each step directly, in their order. Edges that others imply are left out: the picture has enough lines.
func successors(d *httpapi.Definition) map[string][]string {
	behind := map[string]map[string]bool{} // all that each step follows, however indirectly
	direct := map[string][]string{}
	for _, e := range d.Edges {
		direct[e.To] = append(direct[e.To], e.From)
	}
	next := map[string][]string{}
	for i := range d.Steps {
		name := d.Steps[i].Name
		behind[name] = map[string]bool{}
		for _, from := range direct[name] {
			behind[name][from] = true
			for further := range behind[from] {
				behind[name][further] = true
			}
		}
		for _, from := range direct[name] {
			implied := slices.ContainsFunc(direct[name], func(other string) bool { return behind[other][from] })
			if !implied && !slices.Contains(next[from], name) {
				next[from] = append(next[from], name)
			}
		}
	}
	return next
}

// line draws the lanes, with a sign in one of them.
func (l *lanes) line(at int, sign string) string {
	var b strings.Builder
	for i, to := range l.to {
		switch {
		case i == at:
			b.WriteString(sign)
		case to != "":
			b.WriteString(terminal.Faint.On(l.t.Pick("│", "|")))
		default:
			b.WriteString(" ")
		}
		b.WriteString(" ")
	}
	return strings.TrimRight(b.String(), " ")
}

// join ends every lane that leads to a step in one of them, and says which.
func (l *lanes) join(step string) int {
	at := slices.Index(l.to, step)
	if at < 0 {
		return l.free(0, step)
	}
	var ending []int
	for i := at + 1; i < len(l.to); i++ {
		if l.to[i] == step {
			ending = append(ending, i)
		}
	}
	if len(ending) > 0 {
		l.across(at, ending, l.t.Pick("╯", "'"), l.t.Pick("┴", "'"))
		for _, i := range ending {
			l.to[i] = ""
		}
	}
	return at
}

// part begins a lane for each but the first of the steps that follow the one whose lane this was.
func (l *lanes) part(at int, targets []string) {
	var beginning []int
	for _, target := range targets[min(1, len(targets)):] {
		beginning = append(beginning, l.free(at+1, target))
	}
	if len(beginning) > 0 {
		slices.Sort(beginning)
		l.across(at, beginning, l.t.Pick("╮", "."), l.t.Pick("┬", "."))
	}
}

// free takes the first free lane from a number on.
func (l *lanes) free(from int, step string) int {
	for i := from; i < len(l.to); i++ {
		if l.to[i] == "" {
			l.to[i] = step
			return i
		}
	}
	for len(l.to) < from {
		l.to = append(l.to, "")
	}
	l.to = append(l.to, step)
	return len(l.to) - 1
}

// across draws a line that connects a lane with others to its right.
func (l *lanes) across(at int, others []int, end, middle string) {
	last := others[len(others)-1]
	var b strings.Builder
	for i := range max(len(l.to), last+1) {
		switch {
		case i == at:
			b.WriteString(l.t.Pick("├", "|"))
		case i == last:
			b.WriteString(end)
		case slices.Contains(others, i):
			b.WriteString(middle)
		case i > at && i < last && l.to[i] != "":
			b.WriteString(l.t.Pick("┼", "+"))
		case i > at && i < last:
			b.WriteString(l.t.Pick("─", "-"))
		case l.to[i] != "":
			b.WriteString(l.t.Pick("│", "|"))
		default:
			b.WriteString(" ")
		}
		if i >= at && i < last {
			b.WriteString(l.t.Pick("─", "-"))
		} else {
			b.WriteString(" ")
		}
	}
	l.rails = append(l.rails, rail{text: terminal.Faint.On(strings.TrimRight(b.String(), " "))})
}
