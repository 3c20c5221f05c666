// Package pages reads the project's documentation for the tests that hold it against the code: what stands in fences, and what comments between them say to those tests. It knows as much of Markdown as these pages use.
package pages

import (
	"fmt"
	"strings"
)

// A Block is what a fence of a page holds, or a comment that stands on lines of its own.
type Block struct {
	Kind    string // what the fence says its text is, such as "sh"; empty if it says nothing
	Text    string // without the fences, and without a newline at the end; of a comment, what it says
	Line    int    // of the page, from 1, at which it begins
	Comment bool
}

// Blocks returns the fences and comments of a page, in order. A fence may be indented, as in a list, and its text is then without as much of that.
func Blocks(page string) ([]Block, error) {
	var all []Block
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		start := strings.TrimLeft(lines[i], " ")
		indent := lines[i][:len(lines[i])-len(start)]
		if kind, ok := strings.CutPrefix(start, "```"); ok {
			text, next := upTo(lines, i+1, func(l string) bool { return strings.TrimSpace(l) == "```" })
			if next == len(lines) {
				return nil, fmt.Errorf("line %d: the fence is never closed", i+1)
			}
			for n := range text {
				text[n] = strings.TrimPrefix(text[n], indent)
			}
			all = append(all, Block{Kind: kind, Text: strings.Join(text, "\n"), Line: i + 1})
			i = next
		} else if strings.HasPrefix(start, "<!--") {
			text, next := upTo(lines, i, func(l string) bool { return strings.HasSuffix(strings.TrimSpace(l), "-->") })
			if next == len(lines) {
				return nil, fmt.Errorf("line %d: the comment is never closed", i+1)
			}
			said := strings.TrimSpace(strings.Join(append(text, lines[next]), "\n"))
			all = append(all, Block{Text: strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(said, "<!--"), "-->")), Line: i + 1, Comment: true})
			i = next
		}
	}
	return all, nil
}

// upTo returns the lines from one on to the first that ends them, and that one's index; that of no line, if none does.
func upTo(lines []string, from int, ends func(string) bool) ([]string, int) {
	for i := from; i < len(lines); i++ {
		if ends(lines[i]) {
			return append([]string(nil), lines[from:i]...), i
		}
	}
	return nil, len(lines)
}

// Contains says whether a text has all lines of an excerpt, one after the other. How far lines are indented does not count, and "…" in the excerpt stands for anything.
func Contains(text, excerpt string) bool {
	text = flat(text)
	for part := range strings.SplitSeq(flat(excerpt), "…") {
		i := strings.Index(text, strings.TrimSpace(part))
		if i < 0 {
			return false
		}
		text = text[i+len(strings.TrimSpace(part)):]
	}
	return true
}

// flat is a text with one space for all white space between words.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }

// Matches says whether a text is another one, in which "…" stands for anything and the width of white space does not count.
func Matches(want, got string) bool {
	got = flat(got)
	parts := strings.Split(flat(want), "…")
	if len(parts) == 1 {
		return parts[0] == got
	}
	got, ok := strings.CutPrefix(got, parts[0])
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(got, p)
		if !ok || i < 0 {
			return false
		}
		got = got[i+len(p):]
	}
	return ok && strings.HasSuffix(got, parts[len(parts)-1])
}

// NotShown returns the lines of an excerpt that were not printed. Empty lines of it do not count.
func NotShown(excerpt, printed string) (missing []string) {
	for line := range strings.Lines(excerpt) {
		found := strings.TrimSpace(line) == ""
		for p := range strings.Lines(printed) {
			found = found || Matches(line, p)
		}
		if !found {
			missing = append(missing, strings.TrimRight(line, "\n"))
		}
	}
	return missing
}
