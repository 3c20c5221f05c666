//go:build linux

package faults_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// The calls that make a file durable, and those that change it.
const (
	syncs  = "fsync,fdatasync"
	writes = "write,writev,pwrite64,pwritev,ftruncate"
)

// underStrace launches the program under strace, which does something to the syncs of files in its folder (see strace's --inject) and reports those and the writes to them; told waits until the report is whole.
func underStrace(t *testing.T, data, what string, files []string, report io.Writer) (p *process, told func()) {
	t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	watcher := []string{"strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--signal=none", "--decode-fds=path", "--output=/dev/fd/3", "--trace=" + syncs + "," + writes, "--inject=" + syncs + ":" + what}
	for _, f := range files {
		watcher = append(watcher, "--trace-path="+filepath.Join(data, f))
	}
	c := command(t, data, watcher...)
	c.ExtraFiles = []*os.File{to}
	p = run(t, c)
	_ = to.Close() // the process has it
	var reading sync.WaitGroup
	reading.Go(func() {
		_, _ = io.Copy(report, from) // until nothing is left of the process
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
