package declarative_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/declarative"
	"github.com/skaldhq/skald/httpapi"
	"github.com/skaldhq/skald/store"
	"github.com/skaldhq/skald/store/memstore"
)

// block is what a fence of the page holds, by its language.
type block struct{ kind, text string }

func blocks(page string) (all []block) {
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		if kind, ok := strings.CutPrefix(lines[i], "```"); ok {
			end := i + 1 + slices.Index(lines[i+1:], "```")
			all = append(all, block{kind, strings.Join(lines[i+1:end], "\n") + "\n"})
			i = end
		}
	}
	return all
}

// desk is where somebody follows the page: a folder, and what is started in it.
type desk struct {
	t      *testing.T
	folder string
	swap   *strings.Replacer // the page's ports for free ones
}

// follow does what a block says, and returns what was printed.
func (d *desk) follow(b block) string {
	d.t.Helper()
	first, _, _ := strings.Cut(b.text, "\n")
	switch {
	case b.kind == "js" || b.kind == "yaml":
		name := strings.TrimLeft(first, "/# ")
		if err := os.WriteFile(filepath.Join(d.folder, name), []byte(d.swap.Replace(b.text)), 0o600); err != nil {
			d.t.Fatal(err)
		}
		return d.read(name)
	case strings.HasSuffix(first, " &"):
		for line := range strings.Lines(b.text) {
			d.start(strings.Fields(strings.TrimSuffix(strings.TrimSpace(line), " &")))
		}
		return ""
	}
	c := exec.CommandContext(d.t.Context(), "sh", "-euc", d.swap.Replace(b.text)) //nolint:gosec // the page's own text
	c.Dir = d.folder
	out, err := c.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s\n%v\n%s", b.text, err, out)
	}
	return string(out)
}

// read says what a reader says of a definition; nothing if it is none, or nothing is wrong.
func (d *desk) read(name string) string {
	text, err := os.ReadFile(filepath.Join(d.folder, name))
	if err != nil {
		d.t.Fatal(err)
	}
	switch {
	case name == "participants.yaml":
		_, err = declarative.ReadParticipants(name, text)
	case strings.HasSuffix(name, ".yaml"):
		_, err = reader(d.t).Read(name, text)
	}
	if err != nil && name != "wrong.yaml" {
		d.t.Error(err)
	}
	if err != nil {
		_, list, _ := strings.Cut(err.Error(), "\n")
		return strings.ReplaceAll("\n"+list, "\n  - ", "\n")
	}
	return ""
}

// start starts a program of the page in the background. skald serve is put together here of the same parts, at the page's address.
func (d *desk) start(words []string) {
	d.t.Helper()
	if words[0] == "skald" {
		d.serve()
		return
	}
	c := exec.Command(words[0], words[1:]...) //nolint:gosec // the page's own text
	c.Dir, c.Stderr = d.folder, os.Stderr
	if err := c.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = c.Process.Kill() // it runs until then
		_ = c.Wait()
	})
}

func (d *desk) serve() {
	registry, err := openPage(d.t.Context(), filepath.Join(d.folder, "data"), memstore.New())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(registry.close)
	l, err := net.Listen("tcp", d.swap.Replace("127.0.0.1:8080"))
	if err != nil {
		d.t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(registry.handler)
	_ = s.Listener.Close() // the page's address is taken instead
	s.Listener = l
	s.Start()
	d.t.Cleanup(s.Close)
}

type opened struct {
	handler http.Handler
	close   func()
}

// openPage is what the page shows for programs of one's own.
func openPage(ctx context.Context, folder string, store store.Store) (opened, error) {
	var participants map[string]skald.Participant
	registry, err := declarative.OpenRegistry(declarative.RegistryConfig{Folder: folder, Others: participants})
	if err != nil {
		return opened{}, err
	}
	engine, err := skald.Open(ctx, skald.Config{Store: store, Sagas: registry.Sagas(), Participants: registry.Participants()})
	if err != nil {
		return opened{}, err
	}
	registry.Attach(engine.Register)
	handler, err := httpapi.New(httpapi.Config{Engine: engine, Sagas: registry.Sagas(), Registry: registry})
	return opened{handler, func() {
		_ = engine.Stop(context.WithoutCancel(ctx)) // the test's own failures say more
		_ = registry.Close()
	}}, err
}

// reachable waits until a program listens.
func (d *desk) reachable(address string) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close() // nothing is said
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatal(err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-d.t.Context().Done():
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Whoever follows docs/declarative.md gets what it shows.
func TestThePageDoesWhatItSays(t *testing.T) {
	for _, tool := range []string{"curl", "jq", "node"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the page needs %s: install it", tool)
		}
	}
	page, err := os.ReadFile("../docs/declarative.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("docs_test.go")
	if err != nil {
		t.Fatal(err)
	}
	ports := []string{freePort(t), freePort(t), freePort(t)}
	d := &desk{t: t, folder: t.TempDir(), swap: strings.NewReplacer("9001", ports[0], "9002", ports[1], "8080", ports[2])}
	out := ""
	for _, b := range blocks(string(page)) {
		switch b.kind {
		case "text":
			for line := range strings.Lines(b.text) {
				if !strings.Contains(out, strings.TrimSuffix(line, "\n")) {
					t.Errorf("the page shows the line %q, and this was printed:\n%s", line, out)
				}
			}
		case "go":
			for line := range strings.Lines(b.text) {
				if !strings.Contains(strings.ReplaceAll(string(code), "opened{}, err", "err"), strings.TrimSpace(strings.ReplaceAll(line, `"data/registry"`, "folder"))) {
					t.Errorf("docs_test.go does not have the page's line %q", line)
				}
			}
		default:
			out = d.follow(b)
			if strings.Contains(b.text, "skald serve") {
				for _, port := range ports {
					d.reachable("127.0.0.1:" + port)
				}
			}
		}
	}
}

// The table of expressions says what they make.
func TestTheTableOfExpressionsIsTrue(t *testing.T) {
	page, err := os.ReadFile("../docs/declarative.md")
	if err != nil {
		t.Fatal(err)
	}
	x, err := declarative.NewCEL()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(page)) {
		text, ok := strings.CutPrefix(line, "| `= ")
		if !ok {
			continue
		}
		seen++
		text, want, _ := strings.Cut(text, "` | ")
		want = strings.Trim(strings.TrimSuffix(want, " |\n"), "`")
		e, err := x.Compile(text)
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", text, err))
		}
		got, err := e.Evaluate([]byte(`{"sku":"A1","quantity":3,"tags":["x","y"]}`), nil)
		if got == nil {
			got = []byte("nothing: the field is left out")
		}
		if err != nil || string(got) != want {
			t.Errorf("%s makes %s, %v; the page says %s", text, got, err, want)
		}
	}
	if seen < 5 {
		t.Errorf("only %d expressions were found", seen)
	}
}
