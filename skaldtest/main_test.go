package skaldtest

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage lie longer: a run makes much of it, and little of it is left when the run is over.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
