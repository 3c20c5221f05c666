//go:build unix

package ownfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/internal/ownfile"
)

func TestAFileIsItsOwnersUnlessItWasThere(t *testing.T) {
	folder := t.TempDir()
	shared := filepath.Join(folder, "shared")
	if err := os.WriteFile(shared, []byte("text"), 0o644); err != nil { //nolint:gosec // as others make files
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o644); err != nil { //nolint:gosec // whatever the mask of this process is
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{filepath.Join(folder, "new"): 0o600, shared: 0o644} {
		if err := ownfile.Make(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v (%v), want %v", filepath.Base(path), info.Mode(), err, want)
		}
	}
	if text, err := os.ReadFile(shared); err != nil || string(text) != "text" {
		t.Errorf("what was there is now %q (%v)", text, err)
	}
	if err := ownfile.Make(filepath.Join(folder, "no", "folder")); err == nil {
		t.Error("it was made in a folder that does not exist")
	}
}
