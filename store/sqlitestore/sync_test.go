//go:build linux

package sqlitestore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/journal"
)

// The calls that make a file durable, and those that change it.
const (
	syncs   = "fsync,fdatasync"
	changes = "write,writev,pwrite64,pwritev,ftruncate"
)

// traced lets a writer make so many commits under strace, and returns what it acknowledged, the calls that it made on one file, and how it ended. What is to be done to the calls is told to strace, too.
func traced(t *testing.T, path, file string, commits int, what ...string) (acknowledged map[journal.SagaID]uint64, calls []string, ended error) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "strace", "--follow-forks", "--seccomp-bpf", "--output=/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("strace is not there or may not trace (%v %s): on Debian and Ubuntu, scripts/setup.sh tests installs it as root", err, out)
	}
	report := filepath.Join(t.TempDir(), "calls")
	args := append([]string{"--follow-forks", "--seccomp-bpf", "--quiet=all", "--signal=none", "--output=" + report, "--trace=" + syncs + "," + changes, "--trace-path=" + file}, what...)
	cmd := exec.CommandContext(t.Context(), "strace", append(args, os.Args[0])...)
	cmd.Env = append(os.Environ(), crashWriter+"="+path, fmt.Sprintf("%s=%d", crashCommits, commits))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		ended = fmt.Errorf("%w: %s", err, errs.String())
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, call, _ := strings.Cut(line, " ")
		call = strings.TrimSpace(call)
		resumed := strings.HasPrefix(call, "<...")
		unmade := strings.HasPrefix(call, "???(") // the process ended with this thread at the door of a call, before strace could see which
		if !resumed && !unmade {
			calls = append(calls, call)
		}
	}
	acknowledged = map[journal.SagaID]uint64{}
	acknowledge(t, acknowledged, strings.SplitAfter(string(out), "\n"))
	return acknowledged, calls, ended
}

// isOneOf says whether a line of strace is one of some calls.
func isOneOf(line, calls string) bool {
	name, _, _ := strings.Cut(line, "(")
	for call := range strings.SplitSeq(calls, ",") {
		if name == call {
			return true
		}
	}
	return false
}

// made makes a store and closes it: what follows is a start like any other.
func made(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "skald.db")
	s := openAt(t, Config{Path: path})
	acquire(t, s)
	closed(t, s)
	return path
}

// The first sync of the file is a checkpoint's. It fails once, and would not again. Closing the store leaves the file alone, too, and what was acknowledged is in the log.
func TestF21_AFileThatCouldNotBeSyncedIsLeftAlone(t *testing.T) {
	path := made(t)
	const enough = 4000 // for several checkpoints
	acknowledged, calls, ended := traced(t, path, path, enough, "--inject="+syncs+":error=EIO:when=1")
	if exit := new(exec.ExitError); !errors.As(ended, &exit) || exit.ExitCode() != 1 || !strings.Contains(ended.Error(), "folding the log into the file failed") {
		t.Errorf("after %d sagas the writer ended so: %v", len(acknowledged), ended)
	}
	failed := 0
	for failed < len(calls) && !strings.Contains(calls[failed], "EIO") {
		failed++
	}
	if failed == len(calls) {
		t.Fatalf("no sync of the file failed in %d calls, after %d sagas", len(calls), len(acknowledged))
	}
	for _, call := range calls[failed+1:] {
		t.Errorf("after a sync had failed there was %s", call)
	}
	verify(t, path, acknowledged)
}

// The length of the log is durable before its first byte is: else each of its syncs would still have to write where its blocks lie.
func TestTheLengthOfTheLogIsSynced(t *testing.T) {
	path := made(t)
	_, calls, ended := traced(t, path, path+"-wal", 1)
	if ended != nil {
		t.Fatal(ended)
	}
	last := -1
	for i, call := range calls {
		if strings.Contains(call, fmt.Sprintf(" 4096, %d)", logBytes-4096)) {
			last = i
		}
	}
	if last < 0 || last+1 == len(calls) || !isOneOf(calls[last+1], syncs) {
		t.Errorf("the log was lengthened by call %d of %d, and no sync followed: %q", last, len(calls), calls[max(last, 0):])
	}
}

// Some file systems find out that there is no room only when a file is synced: until then it is no ballast.
func TestTheBallastIsSynced(t *testing.T) {
	path := made(t)
	if err := os.Remove(path + "-ballast"); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	const enough = 100 // for the ballast to be made meanwhile
	_, calls, ended := traced(t, path, path+"-ballast", enough)
	if ended != nil {
		t.Fatal(ended)
	}
	if len(calls) == 0 || !isOneOf(calls[len(calls)-1], syncs) {
		t.Errorf("after %d calls the ballast was not synced: %.200q", len(calls), calls)
	}
}
