package e2e_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/killtest"
)

// TestMain fails if any test leaves a goroutine behind.
func TestMain(m *testing.M) {
	if err := killtest.Crowd(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}
