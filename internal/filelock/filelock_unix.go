//go:build unix

package filelock

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Acquire takes the lock that a file stands for, or says who has it; what names for people what it guards. The operating system frees it when the process ends, however it ends.
func Acquire(path, what string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w; make its folder, or choose another path", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }() // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return nil, fmt.Errorf("%s is open in %s; stop it first, or choose another path", what, holder(f))
	}
	// The holder's number is for the words of the error above; the lock is the lock.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return &Lock{f}, nil
}

func holder(f *os.File) string {
	b := make([]byte, 20)
	if n, _ := f.ReadAt(b, 0); n > 0 {
		return "process " + strings.TrimSpace(string(b[:n]))
	}
	return "another process"
}

// Release frees the lock. The file stays: removing it would let two processes lock two files of the same name.
func (l *Lock) Release() error { return l.file.Close() }
