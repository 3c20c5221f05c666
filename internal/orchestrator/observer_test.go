package orchestrator_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/internal/orchestrator"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/store"
)

// witness is an observer that notes the events it sees.
type witness struct {
	mu   sync.Mutex
	seen []string
}

func (w *witness) Recorded(s *store.Summary, e *journal.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, s.Definition+" "+e.Kind.String())
}

func (w *witness) Committed(int, time.Duration) {}

func (w *witness) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

func TestObserverSeesNothingOfAStartThatHadBeenMadeBefore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := &witness{}
		s := begin(t, func(c *orchestrator.Config) { c.Observer = w })
		defer s.end()
		s.start("one")
		s.outcome("one")
		first := w.take()
		if diff := cmp.Diff([]string{"order saga started", "order step asked"}, first[:2]); diff != "" {
			t.Errorf("the beginning (-want +got):\n%s", diff)
		}
		if journaled, err := s.Events(t.Context(), "one", 0); err != nil || len(journaled) != len(first) {
			t.Errorf("%d events are in the journal (%v), %d were seen", len(journaled), err, len(first))
		}
		s.start("one")
		if again := w.take(); len(again) != 0 {
			t.Errorf("a repeated start showed %v", again)
		}
	})
}
