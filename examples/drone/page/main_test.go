package page_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/browsertest"
)

// chromium is the browser that the tests share.
var chromium = browsertest.New()

// TestMain fails if any test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(chromium.Tests(m)) }
