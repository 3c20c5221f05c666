package owndisk_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/skaldhq/skald/internal/owndisk"
)

func TestADiskIsFullUntilItIsEmptied(t *testing.T) {
	owndisk.Run(t, "1m", func(t *testing.T, dir string) {
		empty, err := owndisk.Fill(dir)
		if err != nil {
			t.Fatal(err)
		}
		write := func() error { return os.WriteFile(filepath.Join(dir, "data"), make([]byte, 1000), 0o600) }
		if err := write(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("writing to a full disk: %v", err)
		}
		if err := errors.Join(empty(), write()); err != nil {
			t.Errorf("writing to an emptied disk: %v", err)
		}
	})
}
