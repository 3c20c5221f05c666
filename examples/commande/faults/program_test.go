//go:build unix

package faults_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/commande/system"
	"github.com/skaldhq/skald/participant/sqlparticipant"
)

// How long and hard it is tried: go test ./commande/faults -kills 5000 -every 1 -seed 7 -timeout 3h.
var (
	kills   = flag.Int("kills", 100, "how often the program is killed at random")
	longest = flag.Duration("longest", 20*time.Second, "the longest time that the program is stopped for; the shortest is 1 s")
	every   = flag.Int("every", 12, "of the first start's syncs, which one in so many the program is killed at")
	seed    = flag.Uint64("seed", 0, "repeats what is ordered and what is done when; 0: another each time")
)

// patience bounds what a test waits for. Nothing takes nearly as long on an idle machine.
const patience = 2 * time.Minute

// asProgram makes this executable the all-in-one program, as examples/commande/cmd/all is.
const asProgram = "FAULTS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		if err := beHeld(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(system.Run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m) // no test leaves a goroutine behind
}

// chosen is the seed of a test's chances.
func chosen(t *testing.T) uint64 {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -run %s -seed %d", t.Name(), s)
	return s
}

// process is the program, running, perhaps under another program that watches it.
type process struct {
	cmd      *exec.Cmd
	url      string        // of the shop, once it is ready
	ready    chan struct{} // closed when orders are taken
	ended    chan struct{} // closed when nothing of it is left
	problems text
}

// launch starts the program on a folder and does not wait until it is ready. It is killed when the test ends.
func launch(t *testing.T, data string) *process {
	t.Helper()
	return run(t, command(t, data))
}

// command is the program on a folder. A watcher, such as strace, and its arguments are put before it.
func command(t *testing.T, data string, watcher ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := slices.Concat(watcher, []string{self, "-listen", "127.0.0.1:0", "-data", data, "-mode", "orchestrated"})
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), asProgram+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

func run(t *testing.T, c *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: c, ready: make(chan struct{}), ended: make(chan struct{})}
	c.Stderr = &p.problems
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.read(out)
		_ = c.Wait() // how it ended is asked of ProcessState
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

var shopURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// read reads the program's screen until the program ends.
func (p *process) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if p.url == "" {
			p.url = shopURL.FindString(lines.Text())
		}
		if strings.Contains(lines.Text(), "Ctrl-C") {
			close(p.ready)
		}
	}
}

// start launches the program and returns when it is ready.
func start(t *testing.T, data string) *process {
	t.Helper()
	p := launch(t, data)
	p.await(t)
	return p
}

func (p *process) await(t *testing.T) {
	t.Helper()
	select {
	case <-p.ready:
	case <-p.ended:
		t.Fatalf("the program ended while it started: %v\n%s", p.cmd.ProcessState, p.problems.String())
	case <-time.After(patience):
		t.Fatalf("the program is not ready:\n%s", p.problems.String())
	}
}

// signal sends a signal to the program and to what watches it.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.ended: // its number may be another's by now
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // it may be ending
	}
}

// kill ends the program at once and waits until nothing is left of it.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop tells the program to end and checks that it does so well.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.code(t); code != 0 {
		t.Errorf("stopped with code %d:\n%s", code, p.problems.String())
	}
}

// code waits for the program's end and returns its exit code, -1 after a signal.
func (p *process) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("the program does not end:\n%s", p.problems.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// text keeps the end of what was written to it.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (x *text) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	const most = 16 << 10
	if x.buf.Len() > most {
		x.buf.Next(x.buf.Len() - most/2)
	}
	return x.buf.Write(b)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

// What is in stock: so much that customers do not run out of it, and hardly anything of one article.
const (
	plenty = 1_000_000
	scarce = 2 // as delivered
)

// prepared is a folder of data with full shelves, as a program that was stopped left it.
func prepared(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	start(t, data).stop(t)
	db, err := sqlparticipant.OpenSQLite(filepath.Join(data, "inventaire.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE stock SET quantity = ? WHERE sku <> 'STY-001'`, plenty); err != nil {
		t.Fatal(err)
	}
	return data
}

// copied is a copy of a folder.
func copied(t *testing.T, folder string) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(data, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return data
}

// sound checks that every database in a folder is whole.
func sound(t *testing.T, data string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(data, "*.db"))
	if err != nil || len(files) < 7 {
		t.Fatalf("databases: %v, %v", files, err)
	}
	for _, f := range files {
		db, err := sqlparticipant.OpenSQLite(f)
		if err != nil {
			t.Fatal(err)
		}
		var found string
		err = errors.Join(db.QueryRowContext(context.WithoutCancel(t.Context()), `PRAGMA integrity_check`).Scan(&found), db.Close())
		if err != nil || found != "ok" {
			t.Errorf("%s: %v, %s", f, err, found)
		}
	}
}
