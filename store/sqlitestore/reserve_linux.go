package sqlitestore

import (
	"errors"
	"os"
	"syscall"
)

// reserve has the file system set room for a file aside without writing it. It is false where it cannot.
func reserve(f *os.File, bytes int64) (bool, error) {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, bytes)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return false, nil
	}
	return err == nil, err
}
