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
	counts := f.Rage(t.Context(), killtest.Havoc{Seed: 1, Kills: 12, Pause: 5 * time.Millisecond, Down: time.Millisecond, Names: []string{"a", "b"}})
	if counts["a"]+counts["b"] != 12 || counts["a"] == 0 || counts["b"] == 0 || counts["spared"] != 0 {
		t.Errorf("killed: %v", counts)
	}
	f.WaitReady(t)
	if err := f.Stop(); err != nil || f.Err() != nil {
		t.Errorf("stopping: %v, %v", err, f.Err())
	}
}

func TestProgramThatEndsByItselfIsNoted(t *testing.T) {
	f := killtest.Start(t, itself(t, "clumsy", "fall"))
	for deadline := time.Now().Add(2 * time.Minute); f.Err() == nil; {
		if time.Now().After(deadline) {
			t.Fatal("nobody noticed")
		}
	}
	if err := f.Err(); !strings.Contains(err.Error(), "clumsy ended by itself") || !strings.Contains(err.Error(), "over my own feet") {
		t.Errorf("it says %v", err)
	}
}
