package natsbroker

import (
	"sync"
	"time"
)

// telling remembers, for a moment, what is being decided through a broker or was a moment ago: who overhears it hears of it without its being handed out.
type telling struct {
	mu         sync.Mutex
	young, old map[string]struct{} // subjects
	since      time.Time           // when the young ones began to be kept
}

// toldFor is how long at least it is remembered: longer than anybody rests who is handed it afterwards.
const toldFor = 2 * pullRest

func (t *telling) put(subject string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.since) > toldFor {
		t.young, t.old, t.since = make(map[string]struct{}), t.young, now
	}
	t.young[subject] = struct{}{}
}

func (t *telling) drop(subject string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.young, subject)
	delete(t.old, subject)
}

func (t *telling) has(subject string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.young[subject]
	if !ok {
		_, ok = t.old[subject]
	}
	return ok
}
