package skaldtest

import (
	"os"
	"runtime/debug"
	"testing"
)

// maxMemory is far more than runs need that end, whatever garbage lies about.
const maxMemory = 1 << 30

// TestMain lets garbage lie longer: a run makes much of it, and little of it is left when the run is over. Beyond maxMemory it is swept at once.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(maxMemory)
	os.Exit(m.Run())
}
