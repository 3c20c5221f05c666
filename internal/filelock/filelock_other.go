//go:build !unix

package filelock

import (
	"errors"
	"fmt"
	"os"
)

// Acquire takes the lock that a file stands for, or says that it is taken; what names for people what it guards. Here the operating system has no lock that this package
// uses, so the file itself is the lock: it must be new, and a process that is killed leaves it behind.
func Acquire(path, what string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("%s exists: another process has %s open; stop it first, or remove the file if none runs", path, what)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; make its folder, or choose another path", err)
	}
	return &Lock{f}, nil
}

// Release frees the lock.
func (l *Lock) Release() error {
	return errors.Join(l.file.Close(), os.Remove(l.file.Name()))
}
