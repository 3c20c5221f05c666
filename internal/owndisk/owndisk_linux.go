package owndisk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec" //nolint:depguard // only tests import this package, which the rules of architecture hold
	"path/filepath"
	"syscall"
	"testing"
)

// folder names, in the environment of a process that may mount disks, the folder to mount one at.
const folder = "SKALD_OWN_DISK"

// Run runs a test in a process of its own, which is this test's program once more, on a disk of that size, such as "64m". It skips the test where processes may not mount disks.
func Run(t *testing.T, size string, test func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(folder); dir != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Fatal(err)
		}
		test(t, dir)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), folder+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("this system does not let a process mount a disk of its own: ", err)
	}
	t.Logf("in a process with a disk of its own:\n%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// Fill takes the room that is left on a disk, and returns what gives it back.
func Fill(dir string) (empty func() error, err error) {
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return nil, errors.Join(fmt.Errorf("filling the disk: %w", err), f.Close())
	}
	_ = f.Close() // the disk is full, as it should be
	return func() error { return os.Remove(path) }, nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
