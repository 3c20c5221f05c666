package filelock_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/internal/filelock"
)

func TestOneHasTheLockAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := filelock.Acquire(path, "the till")
	if err != nil {
		t.Fatal(err)
	}
	_, err = filelock.Acquire(path, "the till")
	if want := fmt.Sprintf("the till is open in process %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("taken twice: %v, want %q", err, want)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := filelock.Acquire(path, "the till")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
	if _, err := filelock.Acquire(filepath.Join(path, "none", "lock"), "nothing"); err == nil || !strings.Contains(err.Error(), "make its folder") {
		t.Errorf("in no folder: %v", err)
	}
}
