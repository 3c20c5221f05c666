package journal_test

import (
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
)

func TestABeginningEndsWithACharacter(t *testing.T) {
	for _, x := range []struct {
		text  string
		bytes int
		want  string
	}{{"", 0, ""}, {"saga", 4, "saga"}, {"saga", 3, "sag"}, {"é", 1, ""}, {"aé", 2, "a"}, {"aé", 3, "aé"}, {"a…b", 3, "a"}, {"a…b", 4, "a…"}} {
		if got := journal.Beginning(x.text, x.bytes); got != x.want {
			t.Errorf("%d bytes of %q are %q, want %q", x.bytes, x.text, got, x.want)
		}
	}
}

func TestATimeIsWritableIfItsYearInUTCHasFourDigits(t *testing.T) {
	zone := func(hours int) *time.Location { return time.FixedZone("", hours*3600) }
	for _, x := range []struct {
		at   time.Time
		want bool
	}{
		{time.Time{}, true},
		{time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), true},
		{time.Date(0, 1, 1, 0, 0, 0, 0, zone(1)), false},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), true},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, zone(-1)), false},
	} {
		if got := journal.Writable(x.at); got != x.want {
			t.Errorf("%s is writable: %v, want %v", x.at, got, x.want)
		}
	}
}
