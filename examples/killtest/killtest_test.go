package killtest_test

import (
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/killtest"
)

// TestMain makes this program stand in for one that serves.
func TestMain(m *testing.M) {
	switch os.Getenv("KILLTEST") {
	case "serve":
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		_, _ = os.Stdout.WriteString("it listens on nothing\n")
		<-told
		os.Exit(0)
	case "fall":
		_, _ = os.Stderr.WriteString("over my own feet\n")
		os.Exit(3)
	}
	goleak.VerifyTestMain(m) // no test leaves a goroutine behind
}

func itself(t *testing.T, name, does string) killtest.Program {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return killtest.Program{Name: name, Path: path, Env: []string{"KILLTEST=" + does}, Ready: "listens on"}
}

func TestProgramsAreKilledAndStartedAgain(t *testing.T) {
	f := killtest.Start(t, itself(t, "a", "serve"), itself(t, "b", "serve"), itself(t, "spared", "serve"))
	f.WaitReady(t)
	h := killtest.Havoc{Seed: 1, Kills: 12, Pause: 5 * time.Millisecond, Down: time.Millisecond, Names: []string{"a", "b"}}
	counts := f.Rage(t.Context(), h)
	if err := f.Wrought(h, counts); err != nil || counts["a"] != 6 || counts["b"] != 6 || counts["spared"] != 0 {
		t.Errorf("killed: %v, %v", counts, err)
	}
	f.WaitReady(t)
	if err := f.Stop(); err != nil || f.Err() != nil {
		t.Errorf("stopping: %v, %v", err, f.Err())
	}
}

func TestProgramThatEndsByItselfIsNotedAndNoKill(t *testing.T) {
	f := killtest.Start(t, itself(t, "clumsy", "fall"))
	awaitFault(t, f, 1)
	if err := f.Err(); !strings.Contains(err.Error(), "clumsy ended by itself: exit status 3") || !strings.Contains(err.Error(), "over my own feet") {
		t.Errorf("it says %v", err)
	}
	h := killtest.Havoc{Kills: 1}
	counts := f.Rage(t.Context(), h)
	if err := f.Wrought(h, counts); len(counts) != 0 || err == nil || !strings.Contains(err.Error(), "clumsy was killed 0 times") || !strings.Contains(err.Error(), "0 kills, want 1") {
		t.Errorf("killed: %v, %v", counts, err)
	}
	awaitFault(t, f, 2) // Rage started it again
}

// awaitFault waits until so many programs have ended by themselves.
func awaitFault(t *testing.T, f *killtest.Fleet, n int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); f.Err() == nil || strings.Count(f.Err().Error(), "ended by itself") < n; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("nobody noticed: %v", f.Err())
		}
	}
}
