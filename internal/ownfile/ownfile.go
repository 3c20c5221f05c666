// Package ownfile makes files that only their owner reads, for those who keep payloads or secrets in them, and replaces them whole.
package ownfile

import "os"

// Make makes a file, empty and readable for its owner only, unless there is one, which stays as it is. A database is made so before SQLite would, which lets everybody read it; what SQLite puts beside it has the same mode.
func Make(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
