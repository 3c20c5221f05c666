package pages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const checkout = "../.."

// A held page, or what a page has of one kind, is held against the code by a test: it does what the page says, and fails for a block with which it does not know what to do.
type held struct{ folder, test string }

var (
	follows = held{"cmd/skald", "TestWhoeverFollowsAPageGetsWhatItShows"}
	asks    = held{"httpapi", "TestTheCommandsOfThePageDoWhatItSays"}
	orders  = held{"examples/commande/e2e", "TestTheCommandsOfTheReadmeDoWhatItSays"}
)

// whole are the pages of which a test follows every block.
var whole = map[string]held{
	"README.md":                   follows,
	"docs/start.md":               follows,
	"docs/write-a-saga.md":        follows,
	"docs/participants.md":        follows,
	"docs/declarative.md":         follows,
	"docs/cli.md":                 follows,
	"docs/operations.md":          follows,
	"docs/metrics.md":             follows,
	"docs/api.md":                 asks,
	"docs/security.md":            asks,
	"examples/commande/README.md": orders,
}

// kinds are what tests look at in other pages, by page and kind.
var kinds = map[string]held{
	"docs/wire-format.md http": {"participant/httpparticipant", "TestExamplesOfThePageAreVectors"},
	"docs/wire-format.md nats": {"broker", "TestThePageShowsTheFirstVector"},
}

// Every block of the documentation is tested: it is followed by the test of its page, stands in a file of this project, or says why it is only shown.
//
// A comment before a block says what is special about it. <!-- shown: WHY --> is for what cannot be run, such as a drawing; <!-- from FILE --> for what stands in a file. Code in Go needs none: it is looked for in all that is compiled.
func TestEveryBlockOfTheDocumentationIsTested(t *testing.T) {
	code := compiled(t)
	for _, page := range documentation(t) {
		blocks, err := Blocks(read(t, page))
		if err != nil {
			t.Errorf("%s: %v", page, err)
		}
		note := ""
		for _, b := range blocks {
			if b.Comment {
				note = b.Text
				continue
			}
			if err := tested(page, note, b, code); err != nil {
				t.Errorf("%s:%d: %v:\n%s", page, b.Line, err, b.Text)
			}
			note = ""
		}
	}
}

// tested says why nothing would notice if a block became wrong.
func tested(page, note string, b Block, code []string) error {
	if why, ok := strings.CutPrefix(note, "shown: "); ok {
		if len(strings.Fields(why)) < 3 {
			return fmt.Errorf("%q is no reason why it is only shown", why)
		}
		if name := namedTest.FindString(why); name != "" && !slices.ContainsFunc(code, func(file string) bool { return strings.Contains(file, "func "+name+"(t *testing.T)") }) {
			return fmt.Errorf("there is no %s", name)
		}
		return nil
	}
	if files, ok := strings.CutPrefix(note, "from "); ok {
		return stands(b.Text, strings.Fields(files))
	}
	if b.Kind == "go" && !strings.HasPrefix(b.Text, "// main.go\n") {
		for _, file := range code {
			if Contains(file, b.Text) {
				return nil
			}
		}
		return errors.New("no Go file has this code: put it into one, such as an example, so that it is compiled and run, and show it here as it is there")
	}
	if _, ok := whole[page]; ok {
		return nil
	}
	if _, ok := kinds[page+" "+b.Kind]; ok {
		return nil
	}
	return errors.New(`no test looks at this block: let one (see whole and kinds in this test), or say before it <!-- from FILE -->, or why it cannot be run: <!-- shown: WHY -->`)
}

var namedTest = regexp.MustCompile(`\bTest[A-Z]\w*`)

// stands says why a text is not in files, read one after the other.
func stands(text string, files []string) error {
	var all []byte
	for _, file := range files {
		one, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(file)))
		if err != nil {
			return err
		}
		all = append(all, one...)
	}
	if !Contains(string(all), text) {
		return fmt.Errorf("%s does not have this", strings.Join(files, " and "))
	}
	return nil
}

// The tests that are said to hold pages exist, and name them.
func TestTheTestsThatHoldPagesExist(t *testing.T) {
	for page, h := range whole {
		h.exists(t, page)
	}
	for what, h := range kinds {
		page, _, _ := strings.Cut(what, " ")
		h.exists(t, page)
	}
}

func (h held) exists(t *testing.T, page string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(checkout, h.folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	defined, named := false, false
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		defined = defined || strings.Contains(string(text), "\nfunc "+h.test+"(t *testing.T)")
		named = named || strings.Contains(string(text), filepath.Base(page))
	}
	if !defined || !named {
		t.Errorf("%s is said to be held by %s in %s: the test is there: %t; a test there names the page: %t", page, h.test, h.folder, defined, named)
	}
}

var link = regexp.MustCompile(`\]\(([^()#\s]*)(#[^()\s]*)?\)`)

// Every link to a page leads to one, and to a section that it has.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	fence := regexp.MustCompile("(?ms)^ *```.*?^ *```$|`[^`\n]*`")
	for _, page := range documentation(t) {
		for _, l := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			target := page
			if l[1] != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(page), l[1]))
			}
			if _, err := os.Stat(filepath.Join(checkout, target)); err != nil {
				t.Errorf("%s: %s leads nowhere", page, l[0])
			} else if l[2] != "" && !sections(read(t, target))[l[2][1:]] {
				t.Errorf("%s: %s names a section that is not there", page, l[0])
			}
		}
	}
}

// sections are what a page's headings are called in links to them.
func sections(page string) map[string]bool {
	strange, all := regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`), make(map[string]bool)
	for line := range strings.Lines(page) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			all[strings.ReplaceAll(strange.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")] = true
		}
	}
	return all
}

// documentation are the pages for people, by their paths: all but records of what once was, as decisions are.
func documentation(t *testing.T) (all []string) {
	t.Helper()
	walk(t, ".md", func(path string) {
		if path != "CHANGELOG.md" && !strings.HasPrefix(path, "docs/adr/") {
			all = append(all, path)
		}
	})
	if len(all) < 20 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

// compiled are the texts of all Go files, which CI compiles, and tests run.
func compiled(t *testing.T) (all []string) {
	t.Helper()
	walk(t, ".go", func(path string) { all = append(all, flat(read(t, path))) })
	return all
}

// walk visits the project's files with an ending, without what was fetched or built.
func walk(t *testing.T, ending string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(checkout, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != checkout && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ending) {
			relative, err := filepath.Rel(checkout, path)
			if err != nil {
				return err
			}
			visit(filepath.ToSlash(relative))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
