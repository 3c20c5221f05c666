package main

import (
	"fmt"
	"time"
)

// length is a length of time as it is typed. None is negative.
type length time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *length) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < 0 {
		return fmt.Errorf("%.40q is no length of time: write it as 90s, 15m or 720h", text)
	}
	*l = length(d)
	return nil
}
