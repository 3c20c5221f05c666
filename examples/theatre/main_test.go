package theatre_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/browsertest"
)

// TestMain fails if any test leaves a goroutine behind. The tests share a browser.
func TestMain(m *testing.M) { goleak.VerifyTestMain(browsertest.Tests{M: m}) }
