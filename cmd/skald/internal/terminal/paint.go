package terminal

import "github.com/charmbracelet/x/ansi"

// Paint is what a text means, and so how it looks. Nothing is told by colour alone.
type Paint int

// The paints. They are from the sixteen colours that every terminal has in the shades that its user chose.
const (
	Plain  Paint = iota
	Strong       // what is looked for
	Faint        // what is seldom needed
	Good         // it went well
	Warn         // it is not well yet, or is undone
	Bad          // it needs somebody
	Busy         // it is under way
)

// On paints a text.
func (p Paint) On(text string) string {
	if text == "" {
		return ""
	}
	switch p {
	case Strong:
		return ansi.NewStyle().Bold().Styled(text)
	case Faint:
		return ansi.NewStyle().Faint().Styled(text)
	case Good:
		return ansi.NewStyle().ForegroundColor(ansi.Green).Styled(text)
	case Warn:
		return ansi.NewStyle().ForegroundColor(ansi.Yellow).Styled(text)
	case Bad:
		return ansi.NewStyle().Bold().ForegroundColor(ansi.Red).Styled(text)
	case Busy:
		return ansi.NewStyle().ForegroundColor(ansi.Cyan).Styled(text)
	case Plain:
	}
	return text
}
