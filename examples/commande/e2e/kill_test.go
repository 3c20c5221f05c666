package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/skaldhq/skald/examples/killtest"
)

// program is the all-in-one program.
func program(t *testing.T) string {
	t.Helper()
	return killtest.Build(t, "../cmd/all")["../cmd/all"]
}

// process is a running program.
type process struct {
	*exec.Cmd
	url    string
	screen string
	errors *bytes.Buffer
}

var shopURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/shop/`)

// launch starts the program and returns when it has printed its screen.
func launch(t *testing.T, path, data string, flags ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(path, append([]string{"-listen", "127.0.0.1:0", "-data", data}, flags...)...), errors: new(bytes.Buffer)}
	p.Stderr = p.errors
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill() // if the test did not
		_ = p.Wait()
	})
	lines := bufio.NewReader(out)
	for p.url == "" || !bytes.Contains([]byte(p.screen), []byte("Ctrl-C")) {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the program ended: %v\n%s%s", err, p.screen, p.errors)
		}
		p.screen += line
		if found := shopURL.FindString(line); found != "" && p.url == "" {
			p.url = found[:len(found)-len("/shop/")]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
	return p
}

// end waits for the process and returns its exit code, -1 after a signal.
func (p *process) end(t *testing.T) int {
	t.Helper()
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

// TestF01KilledUnderLoadLosesNothing kills the program again and again at random instants while customers order: every order that was
// acknowledged is there and ends, and each effect is there once. The mode of new orders changes with each start, so that orders of both kinds are under way when it is killed.
func TestF01KilledUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	path, data := program(t), t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var stock map[string]int
	acknowledged := make(map[string]bool)
	const rounds, perRound = 4, 6 // orders that are acknowledged at least before the kill
	for round := range rounds {
		p := launch(t, path, data, "-mode", []string{"orchestrated", "choreographed"}[round%2])
		w := newWorld(t, p.url)
		if round == 0 {
			stock = w.stock
		}
		after := time.Duration(r.IntN(500)) * time.Millisecond
		ids := w.load(t, r.Uint64(), func(taken *atomic.Int64) {
			eventually(t, "the load is under way", func() bool { return taken.Load() >= perRound })
			<-time.After(after)
			if err := p.Process.Signal(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		})
		for _, id := range ids {
			acknowledged[id] = true
		}
		if code := p.end(t); code != -1 {
			t.Fatalf("the program ended by itself with code %d:\n%s", code, p.errors)
		}
		t.Logf("killed after %s, with %d orders acknowledged so far", after, len(acknowledged))
	}
	p := launch(t, path, data)
	w := newWorld(t, p.url)
	w.stock = stock
	w.settle(t)
	for id := range acknowledged {
		if a := w.do(t, http.MethodGet, "/api/commandes/"+id, nil); a.status != http.StatusOK {
			t.Errorf("acknowledged order %s is lost: %d %s", id, a.status, a.body)
		}
	}
	w.audit(t)
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("stopped with code %d:\n%s", code, p.errors)
	}
}

// load lets several customers order until the program is gone, and returns the ids of orders that were acknowledged.
func (w *world) load(t *testing.T, seed uint64, kill func(taken *atomic.Int64)) []string {
	t.Helper()
	const customers = 6
	ids := make([][]string, customers)
	var taken atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var work sync.WaitGroup
	for i := range customers {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		work.Go(func() {
			for n := 0; ; n++ {
				body := encode(t, mixed(r))
				a, err := w.request(ctx, http.MethodPost, "/api/commandes", body, "Idempotency-Key", fmt.Sprintf("%d-%d-%d", seed, i, n), "Prefer", []string{"wait=10", "respond-async"}[r.IntN(2)])
				if err != nil {
					return // it is gone
				}
				if a.status == http.StatusOK || a.status == http.StatusAccepted {
					ids[i] = append(ids[i], decode[order](t, a.body).ID)
					taken.Add(1)
				} else if a.status != http.StatusServiceUnavailable {
					t.Errorf("%d %s", a.status, a.body)
					return
				}
			}
		})
	}
	kill(&taken)
	work.Wait()
	var all []string
	for _, list := range ids {
		all = append(all, list...)
	}
	return all
}

// TestProgramSaysWhatRunsWhereAndStops starts the program as `make run` does, reads its one screen, and stops it.
func TestProgramSaysWhatRunsWhereAndStops(t *testing.T) {
	t.Parallel()
	path, data := program(t), t.TempDir()
	p := launch(t, path, data)
	w := newWorld(t, p.url)
	for _, service := range []string{"commande", "produit", "inventaire", "paiement", "transaction"} {
		if at := w.service(t, service)[len("http://"):]; !bytes.Contains([]byte(p.screen), []byte(at)) {
			t.Errorf("the screen does not say where %s is (%s)", service, at)
		}
	}
	if lines := bytes.Count([]byte(p.screen), []byte("\n")); lines > 24 || bytes.Contains([]byte(p.screen), []byte("\x1b")) {
		t.Errorf("%d lines, or colours in a file:\n%s", lines, p.screen)
	}
	w.buy(t, purchaseOf(accepted))
	second := exec.CommandContext(t.Context(), path)
	second.Env = append(os.Environ(), "LISTEN="+p.url[len("http://"):], "DATA="+t.TempDir())
	if out, err := second.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("in use")) || !bytes.Contains(out, []byte("LISTEN=")) {
		t.Errorf("a second program on the same port: %v\n%s", err, out)
	}
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 || p.errors.Len() != 0 {
		t.Errorf("stopped with code %d:\n%s", code, p.errors)
	}
}
