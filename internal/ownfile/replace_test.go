package ownfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/internal/ownfile"
)

func TestAFileIsReplacedWholeOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := func(when, content string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%s: %q (%v), want %q", when, got, err, content)
		}
		if _, err := os.Stat(path + ownfile.Unfinished); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left behind: %v", when, err)
		}
	}
	for _, content := range []string{"long text", "text"} {
		if err := ownfile.Replace(path, []byte(content), (*os.File).Sync); err != nil {
			t.Fatal(err)
		}
		want("replaced", content)
	}
	broken := errors.New("input/output error")
	if err := ownfile.Replace(path, []byte("other"), func(*os.File) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a sync that fails: %v", err)
	}
	want("not replaced", "text")
	if err := ownfile.SyncFolder(filepath.Dir(path), (*os.File).Sync); err != nil {
		t.Error(err)
	}
	if err := ownfile.SyncFolder(path+"s", (*os.File).Sync); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
