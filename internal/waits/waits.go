// Package waits lets tests wait for what other goroutines, processes and files come to.
package waits

import (
	"testing"
	"time"
)

// Until asks again and again whether something is so, and fails the test if it is not within a time.
func Until(t testing.TB, within time.Duration, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
		}
	}
}
