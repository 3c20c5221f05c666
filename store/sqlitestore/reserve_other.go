//go:build !linux

package sqlitestore

import "os"

// reserve cannot set room aside here: it has to be written.
func reserve(*os.File, int64) (bool, error) { return false, nil }
