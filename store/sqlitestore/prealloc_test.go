package sqlitestore

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/skaldhq/skald/store/storetest"
)

// A log that grows makes each sync three times as slow, so it has its length before the first commit, and keeps it through checkpoints.
func TestLogHasItsLengthFromTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skald.db")
	s := openAt(t, Config{Path: path})
	epoch := acquire(t, s)
	for round := range 3 {
		commit(t, s, epoch, storetest.NewSaga(string(rune('a'+round))).Append(2, 200))
		s.check.checkpoint()
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != logBytes {
			t.Errorf("round %d: the log has %d bytes, want %d", round, info.Size(), logBytes)
		}
	}
}
