package main

import (
	"context"
	"errors"
	"fmt"
	"go/format"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/internal/pages"
)

// followed are the pages whose every block is done, by somebody who begins with an empty folder, and what they need for it.
var followed = map[string][]string{
	"README.md":            nil,
	"docs/start.md":        {"curl", "jq", "node", "go"},
	"docs/write-a-saga.md": nil,
	"docs/declarative.md":  nil,
	"docs/cli.md":          {"jq"},
	"docs/metrics.md":      {"curl", "promtool"},
	"docs/operations.md":   {"jq", "sqlite3"},
	"docs/participants.md": {"curl", "node"},
}

// Whoever follows a page from top to bottom gets what it shows.
func TestWhoeverFollowsAPageGetsWhatItShows(t *testing.T) {
	for page, tools := range followed {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			for _, tool := range tools {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("the page's commands need %s: install it", tool)
				}
			}
			text, err := os.ReadFile(filepath.Join("../..", page))
			if err != nil {
				t.Fatal(err)
			}
			blocks, err := pages.Blocks(string(text))
			if err != nil {
				t.Fatal(err)
			}
			r := newReader(t, page)
			for _, b := range blocks {
				r.read(b)
			}
		})
	}
}

// A reader follows a page: in a folder, with a shell, and with programs that go on in the background.
//
// Comments of the page tell the reader what people see by themselves: <!-- ports A B --> are those for which free ones are taken, <!-- up A --> waits until something listens there, <!-- stop A --> tells the program that does to
// stop, <!-- kill A --> kills it, <!-- file NAME --> says where the block that follows is kept, <!-- theatre --> has what is asked from then on answered by a theatre, <!-- held IDS --> has sagas there set aside, and <!-- contradicted ID --> has one there whose answers contradict each other. Blocks that
// are only <!-- shown: WHY -->, and those <!-- from FILE -->, are for another test (internal/pages).
type reader struct {
	t       *testing.T
	page    string
	folder  string
	env     []string
	ports   map[string]string // free ones for those of the page
	running map[string]*program
	begun   []*program // by the last block that began some
	theatre *theatre
	note    string // the comment before a block
	out     string // what was printed last
}

// program is what goes on in the background.
type program struct {
	cmd    *exec.Cmd
	report string // the file to which it prints
	ended  chan struct{}
}

func newReader(t *testing.T, page string) *reader {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	binary, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(bin, "skald")); err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return &reader{t: t, page: page, folder: dir, ports: map[string]string{}, running: map[string]*program{},
		env: append(os.Environ(), processVariable+"=skald", "PATH="+bin+":"+os.Getenv("PATH"), "SKALD_BY=ada", "LC_ALL=C.UTF-8", "COLUMNS=", "CHECKOUT="+checkout, "GOWORK=off", "GOFLAGS=", "GOPROXY=off")}
}

// read does what a block or a comment says.
func (r *reader) read(b pages.Block) {
	r.t.Helper()
	if b.Comment {
		r.note = b.Text
		r.direct(b)
		return
	}
	note := r.note
	r.note = ""
	verb, what, _ := strings.Cut(note, " ")
	name := r.named(b)
	switch {
	case verb == "shown:" || verb == "from":
	case verb == "file":
		r.write(what, b.Text)
	case name != "":
		r.write(name, b.Text)
	case b.Kind == "sh" && strings.HasSuffix(b.Text, " &"):
		r.begun = nil
		for line := range strings.Lines(strings.ReplaceAll(b.Text, "\\\n", " ")) {
			r.begin(strings.TrimSuffix(strings.TrimSpace(line), " &"))
		}
	case b.Kind == "sh":
		r.out, r.begun = r.shell(b), nil
	case b.Kind == "text":
		r.compare(b)
	case b.Kind != "go": // which internal/pages looks for
		r.t.Errorf("%s:%d: nobody knows what to do with a block of kind %q", r.page, b.Line, b.Kind)
	}
}

// compare checks that what the page shows was printed; a program in the background has time for it.
func (r *reader) compare(b pages.Block) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(10 * time.Millisecond) {
		if r.begun != nil {
			r.out = r.printed()
		}
		missing := pages.NotShown(r.swapped(b.Text), r.out)
		if len(missing) == 0 {
			return
		}
		if r.begun == nil || time.Now().After(deadline) {
			r.t.Errorf("%s:%d shows the lines\n%s\nwhich are not in what was printed:\n%.3000s", r.page, b.Line, strings.Join(missing, "\n"), r.out)
			return
		}
	}
}

// named returns the file that a block is, if its first line is a comment with nothing but a name.
func (r *reader) named(b pages.Block) string {
	first, _, _ := strings.Cut(b.Text, "\n")
	for _, mark := range []string{"// ", "# "} {
		if name, ok := strings.CutPrefix(first, mark); ok && b.Kind != "sh" && b.Kind != "text" && filepath.Ext(name) != "" && !strings.Contains(name, " ") {
			return name
		}
	}
	return ""
}

// direct does what a comment says.
func (r *reader) direct(b pages.Block) {
	r.t.Helper()
	words := strings.Fields(b.Text)
	if len(words) == 0 {
		return
	}
	switch words[0] {
	case "ports":
		for _, port := range words[1:] {
			_, free, err := net.SplitHostPort(freePort(r.t))
			if err != nil {
				r.t.Fatal(err)
			}
			r.ports[port] = free
		}
		here := "127.0.0.1:" + r.ports["7433"]
		r.shell(pages.Block{Text: "SKALD_ADDRESS=http://" + here, Line: b.Line})
		r.env = append(r.env, "SKALD_LISTEN="+here)
	case "up":
		for n, port := range words[1:] {
			r.await(port)
			if n < len(r.begun) {
				r.running[port] = r.begun[n]
			}
		}
	case "stop":
		r.end(words[1], syscall.SIGTERM)
	case "kill":
		r.end(words[1], syscall.SIGKILL)
	case "theatre":
		w, err := openTheatre(r.t.Context(), r.t.TempDir())
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() {
			if err := w.close(); err != nil {
				r.t.Error(err)
			}
		})
		r.theatre = w
		r.shell(pages.Block{Text: "SKALD_ADDRESS=" + w.server.URL, Line: b.Line})
	case "held":
		r.theatre.setAside(r.t, words[1:])
	case "contradicted":
		if err := r.theatre.contradict(r.t.Context(), skald.SagaID(words[1])); err != nil {
			r.t.Fatal(err)
		}
	case "shown:", "from", "file":
	default:
		r.t.Errorf("%s:%d: nobody knows what to do with the comment %q", r.page, b.Line, b.Text)
	}
}

// swapped is a text of the page with the ports that were taken in the place of the page's.
func (r *reader) swapped(text string) string {
	var pairs []string
	for port, free := range r.ports {
		pairs = append(pairs, port, free)
	}
	return strings.NewReplacer(pairs...).Replace(text) // all at once: a free port may look like one of the page's
}

func (r *reader) write(name, text string) {
	r.t.Helper()
	if strings.HasSuffix(name, ".go") {
		tidy, err := format.Source([]byte(text + "\n"))
		if err != nil || string(tidy) != text+"\n" {
			r.t.Errorf("%s: %s is not as gofmt writes it (%v)", r.page, name, err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(r.folder, name)), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.folder, name), []byte(r.swapped(text)+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// shell runs a block. What one leaves in variables is there in those that follow.
func (r *reader) shell(b pages.Block) string {
	r.t.Helper()
	variables := filepath.Join(r.folder, ".variables")
	script := "set -a; [ ! -e " + variables + " ] || . " + variables + "\n" + r.swapped(b.Text) + "\nexport -p >" + variables
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-euc", script) //nolint:gosec // the page's own text
	cmd.Dir, cmd.Env = r.folder, r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s:%d: %s\n%v\n%s", r.page, b.Line, b.Text, err, out)
	}
	if strings.Contains(b.Text, "go mod init") {
		r.takeThisCheckout()
	}
	return string(out)
}

// takeThisCheckout makes a module that was just made use this checkout of Skald, which no release has yet.
func (r *reader) takeThisCheckout() {
	r.t.Helper()
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("go.sum", strings.TrimRight(string(sums), "\n"))
	r.shell(pages.Block{Text: `go mod edit -replace github.com/skaldhq/skald="$CHECKOUT"`})
}

// begin begins a command that goes on in the background.
func (r *reader) begin(command string) {
	r.t.Helper()
	p := &program{cmd: exec.Command("sh", "-c", "exec "+r.swapped(command)), ended: make(chan struct{}), report: filepath.Join(r.t.TempDir(), "report")} //nolint:gosec // the page's own text
	report, err := os.Create(p.report)
	if err != nil {
		r.t.Fatal(err)
	}
	defer report.Close()
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = r.folder, r.env, report, report
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // what it printed says more
	}()
	r.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it runs until then
		<-p.ended
	})
	r.begun = append(r.begun, p)
}

// await waits until something listens at a port of the page.
func (r *reader) await(port string) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", "127.0.0.1:"+r.ports[port])
		if err == nil {
			_ = c.Close() // nothing is said
			return
		}
		if time.Now().After(deadline) || slices.ContainsFunc(r.begun, (*program).over) {
			r.t.Fatalf("%s: nothing listens at %s: %v\n%s", r.page, port, err, r.printed())
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.t.Context().Done():
		}
	}
}

func (p *program) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// printed is what the programs that were begun last have printed.
func (r *reader) printed() string {
	r.t.Helper()
	var all strings.Builder
	for _, p := range r.begun {
		text, err := os.ReadFile(p.report)
		if err != nil {
			r.t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// end ends the program that listens at a port, and waits until it has.
func (r *reader) end(port string, how os.Signal) {
	r.t.Helper()
	p := r.running[port]
	if p == nil {
		r.t.Fatalf("%s: nothing that was begun listens at %s", r.page, port)
	}
	if err := p.cmd.Process.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		r.t.Fatal(fmt.Errorf("what listens at %s does not end", port))
	}
	delete(r.running, port)
}
