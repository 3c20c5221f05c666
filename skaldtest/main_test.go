package skaldtest

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

// maxMemory is far more than runs need that end, whatever garbage lies about.
const maxMemory = 1 << 30

// TestMain lets garbage lie longer: a run makes much of it, and little of it is left when the run is over. Beyond maxMemory it is swept at once. It fails if any test leaves a goroutine behind.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(maxMemory)
	goleak.VerifyTestMain(m)
}
