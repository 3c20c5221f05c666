//go:build unix

package sidecar

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// fileLock keeps other processes from using the same folder. The operating system frees it when the process ends, however it ends.
type fileLock struct {
	file *os.File
}

func acquireLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w; make its folder, or choose another path", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }() // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return nil, fmt.Errorf("%s is used by %s; stop it first, or choose another folder", filepath.Dir(path), lockedBy(f))
	}
	// The holder's number is for the words of the error above; the lock is the lock.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return &fileLock{file: f}, nil
}

func lockedBy(f *os.File) string {
	b := make([]byte, 20)
	if n, _ := f.ReadAt(b, 0); n > 0 {
		return "process " + strings.TrimSpace(string(b[:n]))
	}
	return "another process"
}

// release frees the lock. The file stays: removing it would let two processes lock two files of the same name.
func (l *fileLock) release() error { return l.file.Close() }
