//go:build !unix

package sidecar

import (
	"errors"
	"fmt"
	"os"
)

// fileLock keeps other processes from using the same folder. Here the operating system has no lock that this package
// uses, so the file itself is the lock: it must be new, and a process that is killed leaves it behind.
type fileLock struct {
	file *os.File
}

func acquireLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s exists: another process uses the folder; stop it first, or remove the file if none runs", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; make its folder, or choose another path", err)
	}
	return &fileLock{file: f}, nil
}

func (l *fileLock) release() error {
	return errors.Join(l.file.Close(), os.Remove(l.file.Name()))
}
