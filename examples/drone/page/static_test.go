package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/drone/contract/delivery"
	"github.com/skaldhq/skald/examples/drone/contract/drone"
	"github.com/skaldhq/skald/examples/drone/contract/parcel"
	"github.com/skaldhq/skald/examples/drone/deliver"
)

// sources reads every embedded file with one of the given endings.
func sources(t *testing.T, endings ...string) map[string]string {
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

// served says whether the handler has the file, its own or the shop's.
func served(t *testing.T, name string) bool {
	t.Helper()
	return get(t, "/"+name) != ""
}

func TestDocumentsNameOnlyFilesThatAreServed(t *testing.T) {
	asset := regexp.MustCompile(`(?:href|src)="/?((?:shop/)?assets/[^"]+)"`)
	for name, text := range sources(t, ".html") {
		found := asset.FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("%s names no file", name)
		}
		for _, match := range found {
			if !served(t, match[1]) {
				t.Errorf("%s names %s, which is not served", name, match[1])
			}
		}
	}
}

func TestModulesImportOnlyWhatIsServedAndExported(t *testing.T) {
	imports := regexp.MustCompile(`import \{([^}]*)\} from "([^"]+)"|import \* as \w+ from "([^"]+)"`)
	for name, text := range sources(t, ".js") {
		lines := len(regexp.MustCompile(`(?m)^import `).FindAllString(text, -1))
		found := imports.FindAllStringSubmatch(text, -1)
		if lines != len(found) {
			t.Errorf("%s: %d import lines, %d of a known form", name, lines, len(found))
		}
		for _, match := range found {
			from := get(t, "/"+path.Join(path.Dir(name), match[2]+match[3]))
			if from == "" {
				t.Errorf("%s imports %s, which is not served", name, match[2]+match[3])
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
		"parsing of data":       regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|setHTML|srcdoc|\beval\(|new Function`),
	}
	for name, text := range sources(t, ".html", ".js", ".css") {
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // a name, never fetched
		for what, pattern := range forbidden {
			if at := pattern.FindString(text); at != "" {
				t.Errorf("%s has %s: %q", name, what, at)
			}
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	for name, text := range sources(t, ".html", ".js", ".css") {
		if lines := strings.Count(text, "\n"); lines > 300 {
			t.Errorf("%s has %d lines; split it (300 at most)", name, lines)
		}
	}
}

func TestThePageHasWordsForEveryReasonStepAndStage(t *testing.T) {
	text := sources(t, "js/words.js")["assets/js/words.js"]
	reasons := []string{
		parcel.ReasonTooHeavy, parcel.ReasonUnknownSize, parcel.ReasonWeight, parcel.ReasonCancelled, parcel.ReasonSwitched,
		drone.ReasonNone, drone.ReasonRange, drone.ReasonLocation, drone.ReasonTooHeavy, drone.ReasonCancelled, drone.ReasonSwitched,
		delivery.ReasonDeadline, delivery.ReasonPickupTime, delivery.ReasonAddress, delivery.ReasonGoods, delivery.ReasonRange, delivery.ReasonCancelled, delivery.ReasonShipped, delivery.ReasonEnded,
		delivery.ReasonDoubled, delivery.ReasonSwitched,
	}
	for _, reason := range reasons {
		_, last, _ := strings.Cut(reason, ".")
		if !strings.Contains(text, `"`+reason+`": "`) && !strings.Contains(text, "\n  "+last+`: "`) {
			t.Errorf("words.js has no sentence for %s; a person would read the bare code", reason)
		}
	}
	for _, stage := range []delivery.Stage{delivery.Created, delivery.Rescheduled, delivery.HeadedToPickup, delivery.HeadedToDropoff, delivery.StageCompleted, delivery.StageCancelled} {
		if !strings.Contains(text, "\n  "+string(stage)+`: "`) {
			t.Errorf("words.js has no words for the stage %s", stage)
		}
	}
	saga, err := deliver.Definition(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range saga.Steps() {
		if !strings.Contains(text, `name: "`+step.Name+`"`) {
			t.Errorf("words.js does not draw the step %s", step.Name)
		}
	}
}

// get returns what the handler answers with 200, or nothing.
func get(t *testing.T, address string) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))
	if w.Code != http.StatusOK {
		return ""
	}
	return w.Body.String()
}
