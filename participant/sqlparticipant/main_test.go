package sqlparticipant_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary also be the service that crash tests kill.
func TestMain(m *testing.M) {
	if address := os.Getenv(crashAddress); address != "" {
		victim(address, os.Getenv(crashDialect), os.Getenv(crashPoint))
		return
	}
	goleak.VerifyTestMain(m) // no test leaves a goroutine behind
}
