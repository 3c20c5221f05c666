package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/access"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/internal/pages"
	"github.com/skaldhq/skald/journal"
)

// put brings the theatre into a state: "held on; start visit-3; incident visit-4".
func (w *world) put(t *testing.T, state string) {
	t.Helper()
	for one := range strings.SplitSeq(state, "; ") {
		verb, what, _ := strings.Cut(one, " ")
		switch verb {
		case "held":
			w.held.Store(what == "on")
		case "full":
			w.full.Store(what == "on")
		case "start":
			w.begin(t, skald.SagaID(what), skald.Orchestrated, "Edda")
		case "choreograph":
			w.begin(t, skald.SagaID(what), skald.Choreographed, "Edda")
		case "incident":
			w.until(t, skald.SagaID(what), journal.IncidentOpened)
		case "ended":
			w.ended(t, skald.SagaID(what))
		case "letter":
			w.letter(t, skald.SagaID(what))
		default:
			t.Fatalf("docs/api.md: the theatre does not know %q", one)
		}
	}
}

// run runs a block as a shell does.
func run(t *testing.T, script, address string) string {
	t.Helper()
	script = strings.ReplaceAll(script, "http://127.0.0.1:8080", address)
	out, err := exec.CommandContext(t.Context(), "sh", "-euc", script).CombinedOutput() //nolint:gosec // the page's own text
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

// within says where an answer does not have what the page shows of it.
func within(want, got any, at string) string {
	switch x := want.(type) {
	case object:
		y, ok := got.(object)
		for name := range x {
			if !ok || y[name] == nil {
				return at + "/" + name + " is missing"
			}
			if fault := within(x[name], y[name], at+"/"+name); fault != "" {
				return fault
			}
		}
		return ""
	case []any:
		y, ok := got.([]any)
		if !ok || len(x) != len(y) {
			return fmt.Sprintf("%s is %v", at, got)
		}
		for i := range x {
			if fault := within(x[i], y[i], fmt.Sprintf("%s/%d", at, i)); fault != "" {
				return fault
			}
		}
		return ""
	case string:
		if y, ok := got.(string); ok && pages.Matches(x, y) {
			return ""
		}
	}
	if want != got {
		return fmt.Sprintf("%s is %v, and the page says %v", at, got, want)
	}
	return ""
}

// checkAnswer compares what a command printed with what the page shows.
func checkAnswer(t *testing.T, b pages.Block, out string) {
	t.Helper()
	if b.Kind == "text" {
		if missing := pages.NotShown(b.Text, out); len(missing) > 0 {
			t.Errorf("the page shows the lines\n%s\nwhich are not in what was printed:\n%s", strings.Join(missing, "\n"), out)
		}
		return
	}
	var want, got any
	if err := json.Unmarshal([]byte(b.Text), &want); err != nil {
		t.Fatalf("%v: %s", err, b.Text)
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if fault := within(want, got, ""); fault != "" {
		t.Errorf("%s\nthe page shows\n%s\nand this was printed:\n%s", fault, b.Text, out)
	}
}

// Every command of docs/api.md and docs/security.md does what the page says; together they ask for everything that there is.
func TestTheCommandsOfThePageDoWhatItSays(t *testing.T) {
	for _, tool := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the page's commands need %s: install it", tool)
		}
	}
	asked := &patterns{seen: map[string]bool{}}
	w := openWithRegistry(t, counted)
	w.idle(t)
	w.follow(t, "../docs/api.md", asked)
	w.put(t, "ended visit-6; ended visit-7")
	g := openGuarded(t)
	_, admin, err := g.store.Create(t.Context(), access.Key{Name: "root", Role: access.Admin, Namespace: access.Everywhere})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ADMIN", admin)
	g.follow(t, "../docs/security.md", asked)
	for _, r := range httpapi.Routes() {
		if !asked.seen[r.Method+" "+r.Path] {
			t.Errorf("no page has a command for %s %s", r.Method, r.Path)
		}
	}
}

// patterns are the routes that were asked for.
type patterns struct {
	mu   sync.Mutex
	seen map[string]bool
}

// follow does what a page says. Variables of one command's shell are there in those that follow.
func (w *world) follow(t *testing.T, name string, asked *patterns) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(a http.ResponseWriter, r *http.Request) {
		w.handler.ServeHTTP(a, r)
		asked.mu.Lock()
		defer asked.mu.Unlock()
		asked.seen[r.Pattern] = true
	}))
	defer server.Close()
	out, answered := "", true
	variables := filepath.Join(t.TempDir(), "variables")
	if err := os.WriteFile(variables, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocks, err := pages.Blocks(string(readFile(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if b.Comment {
			w.put(t, b.Text)
			continue
		}
		switch b.Kind {
		case "sh":
			if !answered {
				t.Errorf("the page does not show what this prints:\n%s", out)
			}
			out, answered = run(t, "set -a; . "+variables+"\n"+b.Text+"\nexport -p > "+variables, server.URL), false
		case "json", "text":
			checkAnswer(t, b, out)
			answered = true
		case "go": // which internal/pages looks for in what is compiled
		default:
			t.Errorf("%s has a block of kind %q, which nobody checks", name, b.Kind)
		}
	}
}

// The page has every type of problem that there can be.
func TestThePageHasEveryProblem(t *testing.T) {
	page := string(readFile(t, "../docs/api.md"))
	found := 0
	for line := range strings.SplitSeq(string(readFile(t, "problem.go")), "\n") {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "= ")
		if ok && strings.HasPrefix(name, "problem") && !strings.Contains(name, ":") {
			found++
			if word := strings.Trim(value, `"`); !strings.Contains(page, "`"+word+"`") {
				t.Errorf("docs/api.md does not say what to do about %s", word)
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d types were found in problem.go", found)
	}
}
