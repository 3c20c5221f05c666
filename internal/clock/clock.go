// Package clock tells the time as nobody can set it back or ahead while a process lives.
package clock

import "time"

// Steady returns a clock that is read once, now, and counted on from there: whoever sets the computer's clock does not make it jump, and so fires no deadline early and holds no retry up.
func Steady() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(time.Since(began)) } // since is monotonic
}
