package draw

import (
	"strings"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
)

// look is how a state is shown: by its sign, in Unicode or ASCII, beside its word, and by its paint.
type look struct {
	sign, ascii string
	paint       terminal.Paint
}

// stepLook is how a step's state is shown.
func stepLook(state string) look {
	switch state {
	case "done":
		return look{"✓", "+", terminal.Good}
	case "running":
		return look{"●", "*", terminal.Busy}
	case "retrying":
		return look{"↻", "~", terminal.Warn}
	case "refused", "failed":
		return look{"✗", "x", terminal.Bad}
	case "undoing", "undo_retrying":
		return look{"◂", "<", terminal.Warn}
	case "undone":
		return look{"↶", "<", terminal.Warn}
	case "left":
		return look{"✗", "!", terminal.Bad}
	case "skipped":
		return look{"–", "-", terminal.Faint}
	}
	return look{"○", "o", terminal.Faint} // waiting, or a state that is newer than this program
}

// sagaPaint is how a saga's state is painted.
func sagaPaint(state skald.State) terminal.Paint {
	switch state {
	case skald.Running:
		return terminal.Busy
	case skald.Completed:
		return terminal.Good
	case skald.Compensating, skald.Compensated:
		return terminal.Warn
	}
	return terminal.Plain
}

// words writes a name of the API as words: step_done as "step done".
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// why joins a reason code and what was said about it.
func why(reason, detail string) string {
	reason, detail = terminal.Clean(reason), terminal.Clean(detail)
	if reason == "" || detail == "" || reason == detail {
		return reason + detail
	}
	return reason + ": " + detail
}

// Count writes a number of things: "1 saga", "3 sagas".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return number(n) + " " + thing + "s"
}
