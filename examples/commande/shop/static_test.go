package shop

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/commande/contract/commande"
	"github.com/skaldhq/skald/examples/commande/contract/inventaire"
	"github.com/skaldhq/skald/examples/commande/contract/paiement"
	"github.com/skaldhq/skald/examples/commande/contract/produit"
	"github.com/skaldhq/skald/examples/commande/contract/transaction"
)

// files reads every embedded file with one of the given endings.
func files(t *testing.T, endings ...string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(static, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		for _, ending := range endings {
			if strings.HasSuffix(name, ending) {
				text, err := fs.ReadFile(static, name)
				found[strings.TrimPrefix(name, "static/")] = string(text)
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no embedded file ends with %v", endings)
	}
	return found
}

func embedded(name string) bool {
	_, err := fs.Stat(static, "static/"+name)
	return err == nil
}

func TestDocumentsNameOnlyFilesThatExist(t *testing.T) {
	asset := regexp.MustCompile(`(?:href|src)="/shop/(assets/[^"]+)"`)
	for name, text := range files(t, ".html") {
		for _, match := range asset.FindAllStringSubmatch(text, -1) {
			if !embedded(match[1]) {
				t.Errorf("%s names %s, which is not embedded", name, match[1])
			}
		}
	}
}

func TestModulesImportOnlyWhatExistsAndIsExported(t *testing.T) {
	modules := files(t, ".js")
	imports := regexp.MustCompile(`import (?:\* as \w+|\{([^}]*)\}) from "\./([^"]+)"`)
	for name, text := range modules {
		lines := len(regexp.MustCompile(`(?m)^import `).FindAllString(text, -1))
		found := imports.FindAllStringSubmatch(text, -1)
		if lines != len(found) {
			t.Errorf("%s: %d import lines, %d of a known form; import from \"./file.js\" only", name, lines, len(found))
		}
		for _, match := range found {
			from, ok := modules[path.Join(path.Dir(name), match[2])]
			if !ok {
				t.Errorf("%s imports %s, which is not embedded", name, match[2])
				continue
			}
			for item := range strings.SplitSeq(match[1], ",") {
				word, _, _ := strings.Cut(strings.TrimSpace(item), " as ")
				exported := regexp.MustCompile(`export (?:async )?(?:function|const|class) ` + regexp.QuoteMeta(word) + `\b`)
				if word != "" && !exported.MatchString(from) {
					t.Errorf("%s imports %s from %s, which does not export it", name, word, match[2])
				}
			}
		}
	}
}

func TestNothingNeedsWhatThePolicyForbids(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		"an inline script":      regexp.MustCompile(`<script(?:>| [^>]*>)\s*[^<\s]`),
		"an inline style":       regexp.MustCompile(`<style|\sstyle="`),
		"an inline handler":     regexp.MustCompile(`\son[a-z]+="`),
		"another origin":        regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]`),
		"a style from a script": regexp.MustCompile(`setAttribute\("style"|h\([^)]*\bstyle: `),
	}
	for name, text := range files(t, ".html", ".js", ".css") {
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // a name, never fetched
		for what, pattern := range forbidden {
			if at := pattern.FindString(text); at != "" {
				t.Errorf("%s has %s: %q", name, what, at)
			}
		}
	}
}

func TestDataIsNeverParsedAsHTML(t *testing.T) {
	parsing := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|setHTML|srcdoc|\beval\(|new Function`)
	for name, text := range files(t, ".js") {
		if at := parsing.FindString(text); at != "" {
			t.Errorf("%s uses %s; build elements with h() from dom.js", name, at)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	for name, text := range files(t, ".html", ".js", ".css", ".svg") {
		if lines := strings.Count(text, "\n"); lines > 300 {
			t.Errorf("%s has %d lines; split it (300 at most)", name, lines)
		}
	}
}

func TestEveryDrawingNamedIsThere(t *testing.T) {
	text := files(t, "js/pictures.js")["assets/js/pictures.js"]
	named := regexp.MustCompile(`\["(\w+)", /`).FindAllStringSubmatch(text, -1)
	if len(named) == 0 {
		t.Fatal("pictures.js names no drawing")
	}
	for _, match := range append(named, []string{"", "parcel"}) {
		if !embedded("assets/img/" + match[1] + ".svg") {
			t.Errorf("pictures.js names %s, but there is no assets/img/%s.svg", match[1], match[1])
		}
	}
}

func TestThePageHasWordsForEveryReasonOfTheServices(t *testing.T) {
	text := files(t, "js/words.js")["assets/js/words.js"]
	_, text, _ = strings.Cut(text, "const reasonWords = {")
	text, _, _ = strings.Cut(text, "};")
	for _, reason := range []string{
		commande.ReasonEmptyBasket, commande.ReasonSwitched,
		produit.ReasonUnknown, produit.ReasonQuantity, produit.ReasonSwitched,
		inventaire.ReasonOutOfStock, inventaire.ReasonUnknown, inventaire.ReasonSwitched,
		paiement.ReasonDeclined, paiement.ReasonFunds, paiement.ReasonInvalid, paiement.ReasonSwitched,
		transaction.ReasonTotals, transaction.ReasonMailbox, transaction.ReasonSwitched,
	} {
		_, last, _ := strings.Cut(reason, ".")
		if !strings.Contains(text, `"`+reason+`": "`) && !strings.Contains(text, "\n  "+last+`: "`) {
			t.Errorf("words.js has no sentence for %s; a customer would read the bare code", reason)
		}
	}
}
