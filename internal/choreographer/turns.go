package choreographer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/skaldhq/skald/journal"
)

// turns lets one goroutine of this process work on a saga at a time. Nothing depends on it but speed: the desk is what makes processes wait.
type turns struct {
	mu    sync.Mutex
	taken map[journal.SagaID]chan struct{}
}

var errWaiting = errors.New("waiting for the saga's turn")

func (x *turns) enter(ctx context.Context, id journal.SagaID) (leave func(), err error) {
	for {
		x.mu.Lock()
		busy := x.taken[id]
		if busy == nil {
			if x.taken == nil {
				x.taken = make(map[journal.SagaID]chan struct{})
			}
			mine := make(chan struct{})
			x.taken[id] = mine
			x.mu.Unlock()
			return func() {
				x.mu.Lock()
				defer x.mu.Unlock()
				delete(x.taken, id)
				close(mine)
			}, nil
		}
		x.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errWaiting, context.Cause(ctx))
		}
	}
}

func (x *turns) busy(id journal.SagaID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.taken[id] != nil
}
