package waits_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/internal/waits"
)

func TestUntilWaitsNoLongerThanItMust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		waits.Until(t, time.Minute, "a second has passed", func() bool { return time.Since(began) >= time.Second })
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
