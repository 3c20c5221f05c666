//go:build linux || darwin

package sqlitestore

import "syscall"

// roomAt is how many bytes can still be written where a folder lies, as far as the file system says.
func roomAt(folder string) (bytes int64, known bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(folder, &s) != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // the types differ between systems
}
