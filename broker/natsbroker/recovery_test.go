package natsbroker

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatTheServerNotedIsDroppedAfterALossOfPower, and only then: finding it out from the blocks takes long.
func TestWhatTheServerNotedIsDroppedAfterALossOfPower(t *testing.T) {
	for _, last := range []struct {
		how, running string
		stays        bool
	}{{"the process was killed", bootOfSystem(), bootOfSystem() != ""}, {"the power was lost", "another boot", false}, {"it ended in peace", "", true}} {
		dir := t.TempDir()
		msgs := filepath.Join(streamsIn(dir), "x", "msgs")
		state := filepath.Join(msgs, "index.db")
		if err := errors.Join(os.MkdirAll(msgs, 0o700), os.WriteFile(state, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if last.running != "" {
			if err := os.WriteFile(filepath.Join(dir, runningFile), []byte(last.running), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := &Server{cfg: ServerConfig{Dir: dir, Log: slog.New(slog.DiscardHandler)}, fsync: (*os.File).Sync}
		if err := s.recoverData(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(state); errors.Is(err, fs.ErrNotExist) == last.stays {
			t.Errorf("%s: it stays: %t", last.how, !last.stays)
		}
		if running, err := os.ReadFile(filepath.Join(dir, runningFile)); err != nil || string(running) != bootOfSystem() {
			t.Errorf("%s: %q runs (%v)", last.how, running, err)
		}
	}
}
