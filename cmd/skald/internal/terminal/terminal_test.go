package terminal_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/cmd/skald/internal/terminal"
)

func TestWhatIsNoTerminalHasNoColoursAndNoWidth(t *testing.T) {
	var out bytes.Buffer
	term := terminal.New(&out, []string{"TERM=xterm-256color", "LANG=en_GB.UTF-8"})
	term.Line("%s", terminal.Bad.On("no"))
	if out.String() != "no\n" || term.Width != 0 || term.Live || !term.Unicode {
		t.Errorf("%q, width %d, live %t, unicode %t", out.String(), term.Width, term.Live, term.Unicode)
	}
}

func TestColoursAreThereWhenTheyAreForcedAndGoneWithNoColor(t *testing.T) {
	for _, x := range []struct {
		environment []string
		want        string
	}{
		{[]string{"TERM=xterm", "CLICOLOR_FORCE=1"}, "\x1b[1;31mno\x1b[m\n"},
		{[]string{"TERM=xterm", "CLICOLOR_FORCE=1", "NO_COLOR=please"}, "\x1b[1mno\x1b[m\n"},
	} {
		var out bytes.Buffer
		terminal.New(&out, x.environment).Line("%s", terminal.Bad.On("no"))
		if got := out.String(); got != x.want {
			t.Errorf("%v: %q, want %q", x.environment, got, x.want)
		}
	}
}

func TestTheLocaleSaysWhichCharactersThereAre(t *testing.T) {
	for environment, want := range map[string]bool{
		"": false, "LANG=C": false, "LANG=de_DE.UTF-8": true, "LANG=de_DE.utf8": true, "LC_ALL=C LANG=de_DE.UTF-8": false, "LC_CTYPE=C.UTF-8 LANG=C": true, "LC_ALL= LANG=C.UTF-8": true,
	} {
		if got := terminal.New(&bytes.Buffer{}, strings.Fields(environment)).Unicode; got != want {
			t.Errorf("%q: %t", environment, got)
		}
	}
}

// A terminal obeys what it is shown: it must not be shown what somebody else wrote to be obeyed.
func TestTextFromElsewhereCannotCommandTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"a box":                       "a box",
		"Zürich 東京":                   "Zürich 東京",
		"\x1b[2J\x1b]0;title\x07":     `\x1b[2J\x1b]0;title\a`,
		"two\nlines\r\x08":            `two\nlines\r\b`,
		"\u202egnp.exe":               `\u202egnp.exe`,
		"\u009b31m":                   `\u009b31m`,
		"not UTF-8: \xff":             "not UTF-8: \ufffd",
		"a zero\u200bwidth\ufeffmark": `a zero\u200bwidth\ufeffmark`,
	} {
		if got := terminal.Clean(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func table(width int, unicode bool) string {
	var out bytes.Buffer
	term := &terminal.Terminal{Writer: &out, Width: width, Unicode: unicode}
	term.Table("  ", []terminal.Column{{Title: "NAME", Least: 6}, {Title: "EMPTY"}, {Title: "N", Right: true}, {Title: "SELDOM", Spare: 1}, {Title: "WHY", Least: 5}}, [][]string{
		{"letters.send", "", "7", "x", "the box is full"},
		{"東京", "", "1200", "y", ""},
	})
	lines := strings.Split(out.String(), "\n")
	for i := range lines {
		lines[i] = strings.NewReplacer("\x1b[2m", "", "\x1b[m", "").Replace(lines[i])
	}
	return strings.Join(lines, "\n")
}

func TestATableFitsItsTerminal(t *testing.T) {
	for _, x := range []struct {
		width   int
		unicode bool
		want    string
	}{
		{0, true, `
  NAME             N  SELDOM  WHY
  letters.send     7  x       the box is full
  東京          1200  y
`},
		{40, true, `
  NAME            N  SELDOM  WHY
  letters.se…     7  x       the box is…
  東京         1200  y
`},
		{24, false, `
  NAME        N  WHY
  letter~     7  the bo~
  東京     1200
`},
	} {
		if diff := cmp.Diff(strings.TrimPrefix(x.want, "\n"), table(x.width, x.unicode)); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", x.width, diff)
		}
	}
}

func TestDurationsHaveAtMostTwoUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0ms", 900 * time.Microsecond: "<1ms", 12 * time.Millisecond: "12ms", 1550 * time.Millisecond: "1.5s", 2 * time.Second: "2s", 59*time.Second + 900*time.Millisecond: "59s",
		190 * time.Second: "3m10s", 2 * time.Hour: "2h", 125 * time.Minute: "2h5m", 99 * time.Hour: "4d3h", 48 * time.Hour: "2d", -2 * time.Second: "-2s",
	} {
		if got := terminal.Duration(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestATimeHasItsDateUnlessItIsToday(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{now.Add(-10 * time.Minute): "00:20:00", now.Add(-40 * time.Minute): "2026-02-28 23:50:00", now.In(time.FixedZone("", 7200)): "00:30:00"} {
		if got := terminal.Clock(at, now); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}
