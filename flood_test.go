package skald_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker/membroker"
)

// alive is how much memory is held on to now.
func alive() int64 {
	runtime.GC()
	runtime.GC() // what pools keep for one cycle more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A participant that is too slow and clients that do not stop asking: what is taken is bounded, and what is refused leaves nothing behind.
func TestF29AFloodOfStartsWhileAParticipantIsSlowTakesBoundedMemory(t *testing.T) {
	const (
		open    = 32
		flood   = 4000
		payload = 16 << 10 // of each: 62 MiB, if they were kept
		most    = 8 << 20
	)
	for _, mode := range bothModes {
		t.Run(string(mode), func(t *testing.T) {
			x := openBox(t)
			x.held.Store(true)
			e := openBoth(t, openStore(t), membroker.New(membroker.Config{}), x, func(c *skald.Config) { c.MaxOpen = open })
			for i := range open {
				begin(t, e, x, skald.SagaID(fmt.Sprint("first-", i)), mode)
			}
			eventually(t, "those that were taken are seen", func() bool { return e.Health().InFlight == open })
			before := alive()
			for i := range flood {
				var overload *skald.OverloadError
				large := SeatRequest{Show: strings.Repeat("x", payload)}
				if _, err := x.saga.Start(t.Context(), e, large, skald.InMode(mode)); !errors.As(err, &overload) || overload.RetryAfter <= 0 {
					t.Fatalf("start %d gives %v", i, err)
				}
			}
			if grown := alive() - before; grown > most {
				t.Errorf("%d starts that were refused hold on to %d KiB", flood, grown>>10)
			}
			x.held.Store(false)
			for i := range open {
				ended(t, e, skald.SagaID(fmt.Sprint("first-", i)))
			}
		})
	}
}
