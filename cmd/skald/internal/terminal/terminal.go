// Package terminal is what the skald command knows of the place that it prints to: how wide it is, whether it has colours and which characters it can show. Text that came from
// elsewhere is made harmless before it is printed (Clean), because a terminal obeys what it is shown.
package terminal

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// Terminal prints. What is written to it may be painted: where there are no colours they are taken out on the way. It is not safe for concurrent use.
type Terminal struct {
	io.Writer
	Width   int  // in columns; 0: no bound, because nobody looks at it line by line
	Height  int  // in lines; 0: not known
	Unicode bool // it shows more than ASCII
	Live    bool // a person may be looking: it is a terminal, and not a file or a pipe
}

// New looks at where out leads, and at the environment ("NAME=value"): NO_COLOR, CLICOLOR_FORCE and TERM for colours, COLUMNS for the width, LC_ALL, LC_CTYPE and LANG for the characters.
func New(out io.Writer, environment []string) *Terminal {
	painted := colorprofile.NewWriter(out, environment)
	if valueOf(environment, "NO_COLOR") != "" { // whatever it is, as no-color.org has it
		painted.Profile = min(painted.Profile, colorprofile.ASCII)
	}
	t := &Terminal{Writer: painted, Unicode: isUTF8(environment)}
	if f, ok := out.(*os.File); ok && term.IsTerminal(f.Fd()) {
		t.Live = true
		t.Width, t.Height, _ = term.GetSize(f.Fd())
	}
	if n, err := strconv.Atoi(valueOf(environment, "COLUMNS")); err == nil && n > 0 {
		t.Width = n
	}
	return t
}

// isUTF8 says whether the locale's characters are UTF-8, as POSIX finds it: the first of three variables that is set decides.
func isUTF8(environment []string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := valueOf(environment, name); value != "" {
			value = strings.ToLower(value)
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

func valueOf(environment []string, name string) (value string) {
	for _, one := range environment {
		if v, ok := strings.CutPrefix(one, name+"="); ok {
			value = v
		}
	}
	return value
}

// Pick returns the first text if the terminal shows more than ASCII, otherwise the second.
func (t *Terminal) Pick(unicode, ascii string) string {
	if t.Unicode {
		return unicode
	}
	return ascii
}

// Line prints a line.
func (t *Terminal) Line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// Fit cuts a painted text to a number of columns.
func (t *Terminal) Fit(text string, columns int) string {
	if columns <= 0 || ansi.StringWidth(text) <= columns {
		return text
	}
	return ansi.Truncate(text, columns, t.Pick("…", "~"))
}

// Wrap breaks a text into lines of at most so many columns, at spaces where it can.
func Wrap(text string, columns int) []string {
	if columns <= 0 {
		return []string{text}
	}
	return strings.Split(ansi.Wrap(text, columns, ""), "\n")
}

// Columns is how many columns a painted text takes.
func Columns(text string) int { return ansi.StringWidth(text) }

// Clean makes a text that came from elsewhere harmless: what is no printable character is written as Go writes it in strings, so that it neither moves the cursor nor changes the
// order of what stands beside it.
func Clean(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
