//go:build unix

package sqlitestore

import (
	"os"
	"path/filepath"
	"testing"
)

// Journals have payloads in them, and a folder that somebody else made lets everybody look in.
func TestWhatIsKeptIsReadableForItsOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // as folders are made elsewhere
		t.Fatal(err)
	}
	s, err := Open(Config{Path: filepath.Join(dir, "journals.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "there is ballast", func() bool { return hasBallast(s) })
	for _, part := range []string{"", "-wal", "-shm", "-lock", "-ballast"} {
		info, err := os.Stat(s.path + part)
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has the mode %s", info.Name(), info.Mode())
		}
	}
}
