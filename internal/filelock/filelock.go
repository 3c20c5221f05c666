// Package filelock lets one process at a time use a folder or a file, with a lock of the operating system where there is one. It does not help between machines that share a file
// system.
package filelock

import "os"

// Lock is a lock that is held.
type Lock struct{ file *os.File }
