package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skaldhq/skald/examples/drone/node"
)

// program writes a stand-in for node that only says a version.
func program(t *testing.T, says string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+says+"\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	return path
}

func TestNodeIsTakenInAVersionThatTheServiceRunsOnOnly(t *testing.T) {
	for says, want := range map[string]string{"echo v18.0.0": "v18.0.0", "echo v24.1.3": "v24.1.3"} {
		if got, err := node.Version(t.Context(), program(t, says)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %s", says, got, err, want)
		}
	}
	for says, why := range map[string]string{"echo v16.20.2": "18 or newer", "echo hello": "18 or newer", "exit 3": "does not say"} {
		if got, err := node.Version(t.Context(), program(t, says)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %q, %v, want an error with %q", says, got, err, why)
		}
	}
	if _, err := node.Version(t.Context(), filepath.Join(t.TempDir(), "node")); err == nil || !strings.Contains(err.Error(), "not there") {
		t.Errorf("a program that is not there: %v", err)
	}
}
