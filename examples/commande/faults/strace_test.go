//go:build linux

package faults_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// syncs are the calls that make a file durable.
const syncs = "fsync,fdatasync"

// underStrace launches the program under strace, which does something to each of its syncs (see strace's --inject), of all files or only of those named in its folder. What strace tells goes to
// report as it comes; told waits until that has all of it.
func underStrace(t *testing.T, data, what string, files []string, report func(p *process) io.Writer) (p *process, told func()) {
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	watcher := []string{"strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--signal=none", "--decode-fds=path", "--output=/dev/fd/3", "--trace=" + syncs, "--inject=" + syncs + ":" + what}
	for _, f := range files {
		watcher = append(watcher, "--trace-path="+filepath.Join(data, f))
	}
	c := command(t, data, watcher...)
	c.ExtraFiles = []*os.File{to}
	p = run(t, c)
	_ = to.Close() // the process has it
	var reading sync.WaitGroup
	reading.Go(func() {
		_, _ = io.Copy(report(p), from) // until nothing is left of the process
		_ = from.Close()
	})
	t.Cleanup(func() {
		p.kill()
		reading.Wait()
	})
	return p, reading.Wait
}

// needStrace skips the test where it cannot be run.
func needStrace(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "strace", "--follow-forks", "--seccomp-bpf", "--output=/dev/null", "true").CombinedOutput()
	if err != nil {
		t.Skipf("strace is not there or may not trace (%v %s): on Debian and Ubuntu, scripts/setup.sh tests installs it as root", err, out)
	}
}

// counter calls then when a word was written for the n-th time.
type counter struct {
	word string
	n    int
	then func()
	seen int
	rest []byte // of what was written, as long as the word can have begun in it
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	all := slices.Concat(c.rest, b)
	for {
		at := bytes.Index(all, []byte(c.word))
		if at < 0 {
			break
		}
		all = all[at+len(c.word):]
		if c.seen++; c.seen == c.n {
			c.then()
		}
	}
	c.rest = bytes.Clone(all[max(0, len(all)-len(c.word)+1):])
	return len(b), nil
}
