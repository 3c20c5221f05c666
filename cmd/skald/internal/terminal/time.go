package terminal

import (
	"fmt"
	"strconv"
	"time"
)

// Duration writes a duration in at most two units: <1ms, 12ms, 1.5s, 3m10s, 2h5m, 4d3h.
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d > 0 && d < time.Millisecond:
		return "<1ms"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', -1, 64) + "s"
	case d < time.Minute:
		return two(d, time.Second, "s", time.Second, "")
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return two(d, time.Hour, "h", time.Minute, "m")
	}
	return two(d, day, "d", time.Hour, "h")
}

func two(d, large time.Duration, name string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d%s", d/large, name)
	if rest := d % large / small; rest > 0 && smallName != "" {
		text += fmt.Sprintf("%d%s", rest, smallName)
	}
	return text
}

// Clock writes a time of day, with the date if it was not today. It is in UTC, as journals and logs are, so that what is compared fits.
func Clock(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	if at.Truncate(24 * time.Hour).Equal(now.Truncate(24 * time.Hour)) {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04:05")
}
