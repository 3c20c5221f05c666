package choreographer

import (
	"sync"
	"time"

	"github.com/skaldhq/skald/participant"
)

// memory remembers what came last, for speed only: whatever it forgets is read, or done, again. It keeps at least the last so many entries, and at most twice as many.
type memory[K comparable, V any] struct {
	mu         sync.Mutex
	most       int
	young, old map[K]V
}

func newMemory[K comparable, V any](most int) *memory[K, V] {
	return &memory[K, V]{most: most, young: make(map[K]V)}
}

func (x *memory[K, V]) put(k K, v V) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.young) >= x.most {
		x.young, x.old = make(map[K]V), x.young
	}
	x.young[k] = v
}

func (x *memory[K, V]) get(k K) (v V, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if v, ok = x.young[k]; !ok {
		v, ok = x.old[k]
	}
	return v, ok
}

// glance is what a process remembers of a token that it has dealt with.
type glance struct {
	kind participant.TokenKind
	at   time.Time
}

// fresh says whether it is that token still. The tokens of an ended saga are purged, and its id may be used again; until then far more time passes.
func (g glance) fresh(now time.Time) bool { return now.Sub(g.at) < glanced }

// glanced is how long tokens are remembered: longer than their way through the broker takes unless there is a backlog, and shorter than anything is purged.
const glanced = 20 * time.Second

func (x *memory[K, V]) drop(k K) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.young, k)
	delete(x.old, k)
}

func (x *memory[K, V]) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.young, x.old = make(map[K]V), nil
}
