package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command of README.md does something, at a system that somebody has just started, and what the page shows was answered.
func TestTheCommandsOfTheReadmeDoWhatItSays(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the page's commands need %s: install it", tool)
		}
	}
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)(<!-- shown: [^>]*-->\\n\\n)?```(\\w*)\\n(.*?)\\n```\\n").FindAllStringSubmatch(string(page), -1)
	if len(blocks) != strings.Count(string(page), "```")/2 {
		t.Fatalf("only %d blocks were read", len(blocks))
	}
	l := begin(t)
	folder, printed := t.TempDir(), ""
	for _, b := range blocks {
		switch shown, kind, text := b[1] != "", b[2], b[3]; {
		case shown:
		case kind == "sh":
			printed = l.shell(t, folder, text)
		case kind == "json":
			var want, got any
			if err := json.Unmarshal([]byte(text), &want); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if err := json.Unmarshal([]byte(printed), &got); err != nil {
				t.Fatalf("%v: %s", err, printed)
			}
			if fault := differs("", want, got); fault != "" {
				t.Errorf("%s\nthe page shows\n%s\nand this was printed:\n%s", fault, text, printed)
			}
		default:
			t.Errorf("nobody knows what to do with a block of kind %q:\n%s", kind, text)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(folder, "*.pdf")); len(files) != 1 {
		t.Errorf("receipts that were fetched: %v", files)
	}
}

// shell runs a block of the page. A request that is answered with an error fails it.
func (l *live) shell(t *testing.T, folder, text string) string {
	t.Helper()
	script := strings.ReplaceAll(strings.ReplaceAll(text, "http://127.0.0.1:8081", l.url), "curl ", "curl --fail-with-body -S ")
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script) //nolint:gosec // the page's own text
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", text, err, out)
	}
	return string(out)
}

// differs says where an answer does not have what the page shows of it, in which … stands for anything, and at the end of a list for the rest.
func differs(at string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for name, value := range w {
			if fault := differs(at+"/"+name, value, g[name]); fault != "" {
				return fault
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		for i, value := range w {
			if value == "…" && i == len(w)-1 {
				return ""
			}
			if !ok || i >= len(g) {
				return fmt.Sprintf("%s has only %v", at, got)
			}
			if fault := differs(fmt.Sprintf("%s/%d", at, i), value, g[i]); fault != "" {
				return fault
			}
		}
		return ""
	case string:
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(w), "…", ".*") + "$"
		if g, ok := got.(string); ok && regexp.MustCompile(pattern).MatchString(g) {
			return ""
		}
	}
	if want != got {
		return fmt.Sprintf("%s is %v, and the page says %v", at, got, want)
	}
	return ""
}
