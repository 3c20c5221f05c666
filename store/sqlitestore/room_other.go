//go:build !linux && !darwin

package sqlitestore

// roomAt does not know: a commit that finds no room will tell.
func roomAt(string) (bytes int64, known bool) { return 0, false }
