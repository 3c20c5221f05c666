package draw

import (
	"strings"
	"time"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
	"github.com/skaldhq/skald/httpapi"
)

// what happens in a stretch of a step's time.
type doing int

const (
	nothing doing = iota
	pausing       // until the next attempt
	undoing
	working
)

// stretch is a part of a step's time. An end that is zero is not yet.
type stretch struct {
	doing    doing
	from, to time.Time
}

// stretches reads from a journal when each step was at work, waited for another attempt, or was undone.
func stretches(events []httpapi.Event) map[string][]stretch {
	all := map[string][]stretch{}
	end := func(step string, at time.Time) {
		if n := len(all[step]); n > 0 && all[step][n-1].to.IsZero() {
			all[step][n-1].to = at
		}
	}
	begin := func(step string, what doing, at time.Time) {
		end(step, at)
		all[step] = append(all[step], stretch{doing: what, from: at})
	}
	for i := range events {
		e := &events[i]
		switch e.Kind {
		case "step_asked":
			begin(e.Step, working, e.Time)
		case "compensation_asked":
			begin(e.Step, undoing, e.Time)
		case "step_retrying", "compensation_retrying":
			begin(e.Step, pausing, e.Time)
			after := working
			if e.Kind == "compensation_retrying" {
				after = undoing
			}
			if !e.At.IsZero() {
				begin(e.Step, after, e.At)
			}
		case "step_done", "step_refused", "step_failed", "step_skipped", "compensation_done":
			end(e.Step, e.Time)
		}
	}
	return all
}

// Bounds of a timeline's bars, in columns.
const (
	barsWide   = 60 // where the width is not bounded
	barsNarrow = 16
)

// timeline draws when each step was at work.
func timeline(t *terminal.Terminal, s *httpapi.Saga, events []httpapi.Event, now time.Time) {
	all := stretches(events)
	until := s.Ended
	if until.IsZero() {
		until = now
	}
	total := max(until.Sub(s.Started), time.Millisecond)
	label := 0
	for i := range s.Steps {
		label = max(label, terminal.Columns(terminal.Clean(s.Steps[i].Name)))
	}
	width := barsWide
	if t.Width > 0 {
		width = min(barsWide, max(barsNarrow, t.Width-label-4))
	}
	seen := map[doing]bool{}
	var lines []string
	for i := range s.Steps {
		step := &s.Steps[i]
		if len(all[step.Name]) == 0 {
			continue
		}
		name := terminal.Clean(step.Name)
		cells := bar(all[step.Name], s.Started, until, total, width)
		lines = append(lines, "  "+name+strings.Repeat(" ", label-terminal.Columns(name))+"  "+paintBar(t, cells))
		for _, c := range cells {
			seen[c] = true
		}
	}
	if len(lines) == 0 {
		return
	}
	title(t, "Timeline")
	scale := terminal.Duration(total)
	t.Line("  %s  %s", strings.Repeat(" ", label), terminal.Faint.On("0s"+strings.Repeat(" ", max(1, width-2-len(scale)))+scale))
	for _, line := range lines {
		t.Line("%s", strings.TrimRight(line, " "))
	}
	t.Line("  %s", legend(t, seen))
}

// bar puts a step's stretches into columns. Where several fall into one, work is shown before undoing before a pause, and each has at least one column.
func bar(stretches []stretch, from, until time.Time, total time.Duration, width int) []doing {
	cells := make([]doing, width)
	at := func(t time.Time) int {
		return min(width-1, max(0, int(int64(t.Sub(from))*int64(width)/int64(total))))
	}
	for _, x := range stretches {
		if x.from.After(until) {
			continue
		}
		end := x.to
		if end.IsZero() || end.After(until) {
			end = until
		}
		first, last := at(x.from), at(end.Add(-1))
		for i := first; i <= max(first, last); i++ {
			cells[i] = max(cells[i], x.doing)
		}
	}
	return cells
}

// sign is how a column of a bar is drawn.
func (d doing) sign(t *terminal.Terminal) string {
	switch d {
	case working:
		return terminal.Busy.On(t.Pick("█", "#"))
	case pausing:
		return terminal.Faint.On(t.Pick("░", "."))
	case undoing:
		return terminal.Warn.On(t.Pick("◂", "<"))
	case nothing:
	}
	return " "
}

func paintBar(t *terminal.Terminal, cells []doing) string {
	var b strings.Builder
	for _, c := range cells {
		b.WriteString(c.sign(t))
	}
	return strings.TrimRight(b.String(), " ")
}

// legend says what the signs that are there mean.
func legend(t *terminal.Terminal, seen map[doing]bool) string {
	var parts []string
	for _, x := range []struct {
		doing doing
		means string
	}{{working, "at work"}, {pausing, "waiting for another attempt"}, {undoing, "being undone"}} {
		if seen[x.doing] {
			parts = append(parts, x.doing.sign(t)+" "+terminal.Faint.On(x.means))
		}
	}
	return strings.Join(parts, "  ")
}
