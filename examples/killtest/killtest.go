// Package killtest starts real programs as processes, kills them at random instants with SIGKILL, and starts them again, for tests of what survives. Programs keep their addresses and their
// folders; what they promise is the test's to check. None of them may end by itself: who killed what is known, or the kills would show nothing.
//
// It does not tell why a program lost something: the seed repeats which program is killed when, and no more than that, for processes run as they like.
package killtest

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a program may take until it is ready or has stopped.
const patience = 60 * time.Second

// Program is what is run as a process.
type Program struct {
	Name string   // for logs; each has its own
	Path string   // of the executable, such as Build returns
	Args []string // the same at each start
	Env  []string // beside the environment of the test, as "KEY=value"
	// Ready is what the program prints on its standard output when it serves, such as "listens on".
	Ready string
}

// Build builds packages, by import path or relative to the test's folder, whose last elements differ, and returns their executables by the same words. They are deleted when the test ends.
func Build(t testing.TB, packages ...string) map[string]string {
	t.Helper()
	folder, built := t.TempDir()+string(filepath.Separator), make(map[string]string, len(packages))
	for _, p := range packages {
		built[p] = filepath.Join(folder, filepath.Base(p))
	}
	if out, err := exec.CommandContext(t.Context(), "go", append([]string{"build", "-ldflags=-w", "-o", folder}, packages...)...).CombinedOutput(); err != nil {
		t.Fatalf("building %v: %v\n%s", packages, err, out)
	}
	return built
}

// Crowd lets twice as many parallel tests run at a time as there are processors, unless -parallel says otherwise: tests of real processes wait more than they work. It parses the flags, and is for a TestMain.
func Crowd() error {
	flag.Parse()
	if atOnce := flag.Lookup("test.parallel"); atOnce.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		return atOnce.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	return nil
}

// Address returns a loopback address that nobody listens on, for a program that keeps it when it is killed and started again. Its port is none that operating systems give to whoever asks for any port or
// calls somebody: one of those could be taken while the program is down.
func Address(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)) //nolint:gosec // chance spreads tests that run side by side
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free between 10000 and 30000")
	return ""
}

// Fleet is programs that run as processes. Its methods may be called concurrently.
type Fleet struct {
	members []*member
	mu      sync.Mutex
	faults  []error
}

// member is a program with the process that it has now.
type member struct {
	Program
	mu      sync.Mutex
	cmd     *exec.Cmd
	killed  bool // on purpose
	out     *output
	ended   chan struct{}
	stopped bool // it is not to be started again
}

// Start starts programs, in this order and without waiting for any, and makes sure that none is left when the test ends.
func Start(t testing.TB, programs ...Program) *Fleet {
	t.Helper()
	f := &Fleet{}
	t.Cleanup(f.end)
	for _, p := range programs {
		m := &member{Program: p}
		f.members = append(f.members, m)
		if err := f.launch(m); err != nil {
			t.Fatalf("starting %s: %v", p.Name, err)
		}
	}
	return f
}

// launch starts a member's process. If that ends by itself, this is noted.
func (f *Fleet) launch(m *member) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return nil
	}
	out := &output{}
	cmd := exec.Command(m.Path, m.Args...) //nolint:gosec,noctx // the test's own programs, which it kills itself
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), m.Env...), out, &out.problems
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	m.cmd, m.out, m.ended, m.killed = cmd, out, ended, false
	go func() {
		_ = cmd.Wait() // its state says how it ended
		m.mu.Lock()
		meant := m.stopped || m.killed && wasKilled(cmd)
		m.mu.Unlock()
		if !meant {
			f.fault(fmt.Errorf("%s ended by itself: %s\n%s", m.Name, cmd.ProcessState, out.tail()))
		}
		close(ended)
	}()
	return nil
}

func (f *Fleet) fault(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, err)
}

// Err says which programs ended by themselves, or nil.
func (f *Fleet) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.faults...)
}

// kill sends SIGKILL and waits for the end. It says whether the process died of it: one that had ended by itself, or did so first, was not killed.
func (m *member) kill() bool {
	m.mu.Lock()
	cmd, ended := m.cmd, m.ended
	if cmd == nil || isOver(ended) {
		m.mu.Unlock()
		return false
	}
	m.killed = true
	_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended already
	m.mu.Unlock()
	<-ended
	return wasKilled(cmd)
}

// wasKilled says whether a process that has ended died of SIGKILL.
func wasKilled(cmd *exec.Cmd) bool {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func isOver(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

// WaitReady waits until all programs serve.
func (f *Fleet) WaitReady(t testing.TB) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, m := range f.members {
		for !m.ready() {
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%s is not ready:\n%s\n%v", m.Name, m.output().tail(), f.Err())
			}
		}
	}
}

func (m *member) ready() bool { return strings.Contains(m.output().text(), m.Ready) }

func (m *member) output() *output {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out
}

// Havoc says how programs are killed.
type Havoc struct {
	Seed  uint64
	Kills int
	// Pause is how long it is until the next kill, and Down how long a program stays dead, each on average. Kills do not wait for programs to be ready again, so that they also meet
	// programs that are starting.
	Pause, Down time.Duration
	// Names are those of the programs to kill; empty: all.
	Names []string
}

// Rage kills and restarts until there were as many kills, and returns how often each program was killed. It goes in rounds: in each, every program is killed once, in an order of its own. It returns early when
// ctx ends. A program that ended by itself is started again and not counted; Err tells of it.
func (f *Fleet) Rage(ctx context.Context, h Havoc) map[string]int {
	r := rand.New(rand.NewPCG(h.Seed, 1)) //nolint:gosec // repeatable on purpose
	victims := f.named(h.Names)
	counts := make(map[string]int)
	for k := range h.Kills {
		turn := k % len(victims)
		if turn == 0 {
			r.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		}
		m := victims[turn]
		pause, down := random(r, h.Pause), random(r, h.Down)
		if !Pause(ctx, pause) {
			return counts
		}
		if m.kill() {
			counts[m.Name]++
		}
		Pause(ctx, down)
		if err := f.launch(m); err != nil {
			f.fault(fmt.Errorf("starting %s again: %w", m.Name, err))
		}
	}
	return counts
}

// Wrought says what is missing of a havoc in what Rage returned: kills, or those of a program that was spared in a round.
func (f *Fleet) Wrought(h Havoc, counts map[string]int) error {
	victims, all := f.named(h.Names), 0
	var faults []error
	for _, m := range victims {
		n := counts[m.Name]
		if all += n; n < h.Kills/len(victims) {
			faults = append(faults, fmt.Errorf("%s was killed %d times in %d rounds", m.Name, n, h.Kills/len(victims)))
		}
	}
	if all != h.Kills {
		faults = append(faults, fmt.Errorf("there were %d kills, want %d", all, h.Kills))
	}
	return errors.Join(faults...)
}

// random is anything up to four times the average, most of it short.
func random(r *rand.Rand, average time.Duration) time.Duration {
	return min(time.Duration(r.ExpFloat64()*float64(average)), 4*average)
}

// named are the members with these names, or all if there are none. The caller owns the slice.
func (f *Fleet) named(names []string) []*member {
	if len(names) == 0 {
		return slices.Clone(f.members)
	}
	var some []*member
	for _, m := range f.members {
		for _, n := range names {
			if m.Name == n {
				some = append(some, m)
			}
		}
	}
	return some
}

// Pause lets a time pass, and says whether the context did not end before.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Stop tells the programs to stop, in the order in which they were started, and waits for each. The error says which did not end well.
func (f *Fleet) Stop() error {
	var faults []error
	for _, m := range f.members {
		m.mu.Lock()
		m.stopped = true
		cmd, ended := m.cmd, m.ended
		m.mu.Unlock()
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-ended:
			if code := cmd.ProcessState.ExitCode(); code != 0 {
				faults = append(faults, fmt.Errorf("%s stopped with code %d:\n%s", m.Name, code, m.output().tail()))
			}
		case <-time.After(patience):
			faults = append(faults, fmt.Errorf("%s did not stop", m.Name))
		}
	}
	return errors.Join(faults...)
}

// end leaves no process behind.
func (f *Fleet) end() {
	for _, m := range f.members {
		m.mu.Lock()
		m.stopped = true
		m.mu.Unlock()
		m.kill()
	}
}

// output is what a process wrote, as far as it is of use.
type output struct {
	lines    buffer
	problems buffer
}

// Write implements io.Writer, for the standard output.
func (o *output) Write(p []byte) (int, error) { return o.lines.Write(p) }

func (o *output) text() string { return o.lines.String() }

func (o *output) tail() string { return o.lines.String() + o.problems.String() }

// buffer keeps the last part of what was written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// kept is how much of an output is kept at most.
const kept = 16 << 10

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len() > kept {
		b.buf.Next(b.buf.Len() - kept/2)
	}
	return b.buf.Write(p)
}

// String returns what is kept.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var _ io.Writer = (*buffer)(nil)
