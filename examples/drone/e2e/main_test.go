package e2e_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/skaldhq/skald/examples/browsertest"
	"github.com/skaldhq/skald/examples/killtest"
)

// chromium is the browser that the tests share.
var chromium = browsertest.New()

func TestMain(m *testing.M) {
	if err := killtest.Crowd(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(chromium.Tests(m)) // no test leaves a goroutine behind
}
