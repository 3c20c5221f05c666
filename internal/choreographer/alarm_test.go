package choreographer_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

// countedDesk counts how often the calls that wait are read.
type countedDesk struct {
	participant.Desk
	reads atomic.Int64
}

func (d *countedDesk) Due(ctx context.Context, limit int) ([]participant.Waiting, error) {
	d.reads.Add(1)
	return d.Desk.Due(ctx, limit)
}

// Fifty sagas that get nowhere are asked again every second, and what waits is not read for each of them: that would be so many rows for each that it would cost the others. Nor is each asked at a moment of its own: those of a moment share a transaction.
func TestCallsThatWaitAreNotReadForEachOfThem(t *testing.T) {
	const sagas, seconds = 50, 10
	play(t, chain, func(s *scene) {
		desk := &countedDesk{Desk: s.services["issue"]}
		s.down("issue")
		s.inFront = map[string]participant.Desk{"issue": desk}
		s.up("issue")
		var moments sync.Map
		working := func(context.Context) participant.Answer {
			moments.Store(time.Now(), true)
			return participant.Answer{Class: participant.Unknown, Working: true, RetryAfter: time.Second}
		}
		for range sagas * (seconds + 5) {
			s.says("issues.do", working)
		}
		for i := range sagas {
			s.start(journal.SagaID(fmt.Sprintf("s-%d", i)))
			s.pass(7 * time.Millisecond)
		}
		s.pass(2 * time.Second)
		reads, asked := desk.reads.Load(), s.count("issues.do")
		moments.Clear()
		s.pass(seconds * time.Second)
		if n := s.count("issues.do") - asked; n < sagas*(seconds-1) || n > sagas*(seconds+1) {
			s.t.Errorf("%d sagas were asked %d times in %d s", sagas, n, seconds)
		}
		if n := desk.reads.Load() - reads; n > 3*seconds {
			s.t.Errorf("what waits was read %d times in %d s", n, seconds)
		}
		different := 0
		moments.Range(func(any, any) bool { different++; return true })
		if different > 20*seconds+1 {
			s.t.Errorf("they were asked at %d moments in %d s", different, seconds)
		}
	})
}
