package main

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzTimes reads texts as lengths of time and as times, as they are typed: a length is none that is negative, so many days ago are so many, and what is refused is said with how it is written.
func FuzzTimes(f *testing.F) {
	for _, seed := range []string{"90s", "-1s", "3d", "-3d", "106751d", "106752d", "768614336404564651d", "2026-01-31T12:00:00Z", "0001-01-01T00:00:00+23:59", "1h2d", "d", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l length
		if err := l.UnmarshalText([]byte(text)); err != nil && !strings.Contains(err.Error(), "write it as") || l < 0 {
			t.Errorf("%q is the length %s (%v)", text, time.Duration(l), err)
		}
		var m moment
		before := time.Now()
		err := m.UnmarshalText([]byte(text))
		if err != nil {
			if !strings.Contains(err.Error(), "say how long ago") {
				t.Errorf("%q is refused with %v", text, err)
			}
			return
		}
		if days, found := strings.CutSuffix(text, "d"); found {
			n, err := strconv.ParseFloat(days, 64)
			if ago := before.Sub(time.Time(m)).Hours() / 24; err != nil || ago > n || ago < n-1 {
				t.Errorf("%q is %f days ago (%v)", text, ago, err)
			}
		}
	})
}
