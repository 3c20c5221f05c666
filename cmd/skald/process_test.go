package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/natsbroker"
	"github.com/skaldhq/skald/internal/freeport"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/sidecar"
	"github.com/skaldhq/skald/store/memstore"
)

// patience bounds what the tests wait for; nothing is expected to take as long.
const patience = 2 * time.Minute

// process is a program of the test's own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	line string // that it printed when it was up
	log  string // the file with what it logs
	done chan struct{}
}

// start starts a program and waits for the line that says that it listens.
func start(t *testing.T, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), processVariable+"="+program), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), program+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Stderr, p.log = log, log.Name()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	up := make(chan string, 1)
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(out)
		if lines.Scan() {
			up <- lines.Text()
		}
		close(up)
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait() // it was killed
	}()
	select {
	case p.line = <-up:
	case <-time.After(patience):
	}
	if p.line == "" {
		text, _ := os.ReadFile(log.Name())
		t.Fatalf("%s did not start:\n%s", program, text)
	}
	return p
}

// kill ends the program at once, as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// freePort is an address that nobody listens on, for a program that is started several times.
func freePort(t *testing.T) string {
	t.Helper()
	address, err := freeport.Address(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// depot is a service that honours the Idempotency-Key: it acts once under each, and gives the same answer again.
type depot struct {
	*httptest.Server
	mu      sync.Mutex
	calls   map[string]int
	effects map[string]int
	traces  map[string]string // the traceparent of the first call of each operation
	held    string            // the key whose first answer is held back, after the effect
	acted   chan struct{}     // closed when that effect is there
	release chan struct{}     // lets the answer go
}

func newDepot(t *testing.T, held string) *depot {
	d := &depot{calls: map[string]int{}, effects: map[string]int{}, traces: map[string]string{}, held: held, acted: make(chan struct{}), release: make(chan struct{})}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

// ServeHTTP implements http.Handler.
func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Idempotency-Key")
	d.mu.Lock()
	d.calls[key]++
	first := d.calls[key] == 1
	if first {
		d.effects[key]++
		d.traces[filepath.Base(r.URL.Path)] = r.Header.Get("Traceparent")
	}
	d.mu.Unlock()
	if first && key == d.held {
		close(d.acted)
		<-d.release
	}
	if strings.HasSuffix(r.URL.Path, "/depot.strike") {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(map[string]string{"reason": "DepotFail.Strike"})
		return
	}
	_, _ = io.WriteString(w, `{"shelf":7}`)
}

const parcel = `{"skald": 1, "name": "parcel", "deadline": "10m", "steps": [
  {"kind": "compensatable", "action": "depot.keep", "compensation": "depot.release", "input": "/input",
   "timeout": "20s", "retry": {"attempts": 100, "cap": "200ms"}, "compensation_retry": {"cap": "200ms"}},
  {"kind": "pivot", "action": "depot.%s", "input": {"shelf": "/steps/depot.keep/shelf"}}]}`

// town is a broker in a process of its own, and the program that starts sagas.
type town struct {
	*skald.Engine
	broker string
	file   string // the definition
}

func openTown(t *testing.T, definition string) town {
	t.Helper()
	address := freePort(t)
	start(t, "broker", nil, t.TempDir(), address)
	w := town{broker: "nats://" + address, file: filepath.Join(t.TempDir(), "parcel.json")}
	if err := os.WriteFile(w.file, []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	saga, err := skald.ReadDefinition([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	b, err := natsbroker.Open(t.Context(), natsbroker.Config{URL: w.broker, User: "skald", Password: "secret", Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	w.Engine, err = skald.Open(t.Context(), skald.Config{Mode: skald.Choreographed, Broker: b, Store: memstore.New(), Sagas: []skald.Registered{saga}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w town) sidecar(t *testing.T, d *depot, data string) *process {
	return start(t, "skald", []string{sidecar.PasswordVariable + "=secret"}, "sidecar", "--name=depot", "--user=skald", "--broker="+w.broker, "--service="+d.URL, "--data="+data, "--definitions="+w.file)
}

// F35: the sidecar dies between the service's answer and its own record. It asks again under the same key, and so there is one effect at a service that honours it.
func TestF35_ASidecarThatDiesBeforeItsRecordAsksAgainUnderTheSameKey(t *testing.T) {
	for held, run := range map[string]struct{ last, state string }{
		"v-1/depot.keep/action":       {"stamp", "completed"},
		"v-1/depot.keep/compensation": {"strike", "compensated"},
	} {
		t.Run(held, func(t *testing.T) {
			w := openTown(t, fmt.Sprintf(parcel, run.last))
			d, data := newDepot(t, held), t.TempDir()
			first := w.sidecar(t, d, data)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, err := w.Start(ctx, skald.StartRequest{ID: "v-1", Definition: "parcel", Input: []byte(`{"weight":2}`)}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-d.acted:
			case <-ctx.Done():
				t.Fatal("the service was not asked")
			}
			first.kill()
			close(d.release)
			w.sidecar(t, d, data)
			status, err := w.Wait(ctx, "v-1")
			if err != nil || string(status.State) != run.state {
				t.Fatalf("it ended as %s, %v", status.State, err)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			for key, n := range d.effects {
				want := 1
				if key == held {
					want = 2
				}
				if n != 1 || d.calls[key] != want {
					t.Errorf("%s: %d effects of %d calls, want 1 of %d", key, n, d.calls[key], want)
				}
			}
		})
	}
}

// A sidecar that is told to stop ends well, says so, and its address was the one it printed.
func TestASidecarStopsWhenItIsTold(t *testing.T) {
	d := newDepot(t, "")
	file := filepath.Join(t.TempDir(), "parcel.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, parcel, "stamp"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "skald", nil, "sidecar", "--name=depot", "--service="+d.URL, "--data="+t.TempDir(), "--definitions="+file)
	address, _, ok := strings.Cut(strings.TrimPrefix(p.line, "depot listens on "), " ")
	if !ok || !strings.HasSuffix(p.line, "(level L1)") {
		t.Fatalf("it said %q", p.line)
	}
	c := http.Client{Timeout: patience}
	res, err := c.Get(address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var parts map[string]string
	if err := json.NewDecoder(res.Body).Decode(&parts); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"level": participant.L1.String(), "sidecar": "ok", "database": "ok", "service": "ok"}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("readiness (-want +got):\n%s", diff)
	}
	p.stop()
	if code := p.cmd.ProcessState.ExitCode(); code != sidecar.ExitStopped {
		t.Errorf("it ended with %d", code)
	}
}

// Whoever stops a watch, of one saga or of all, is told so by the exit code.
func TestAWatchThatIsStoppedEndsAsStopped(t *testing.T) {
	w, err := openTheatre(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := w.engine.Start(t.Context(), skald.StartRequest{ID: "visit-1", Definition: "visit", Input: []byte(`{"show":"busy"}`)}); err != nil {
		t.Fatal(err)
	}
	for _, of := range [][]string{{"watch"}, {"watch", "visit-1"}} {
		p := start(t, "skald", []string{"SKALD_ADDRESS=" + w.server.URL}, of...)
		p.stop()
		if code := p.cmd.ProcessState.ExitCode(); code != exitStopped {
			t.Errorf("%v ended with %d, want %d", of, code, exitStopped)
		}
	}
	w.mended.Store(true)
}
