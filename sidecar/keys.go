package sidecar

import (
	"context"
	"fmt"
	"sync"

	"github.com/skaldhq/skald/journal"
)

// keys lets one call at a time work on a saga's step.
type keys struct {
	mu   sync.Mutex
	busy map[key]chan struct{} // closed when its call has ended
}

type key struct {
	saga journal.SagaID
	step string
}

// enter waits for the step's turn. The caller calls leave.
func (k *keys) enter(ctx context.Context, saga journal.SagaID, step string) (leave func(), err error) {
	of := key{saga, step}
	for {
		k.mu.Lock()
		other := k.busy[of]
		if other == nil {
			if k.busy == nil {
				k.busy = make(map[key]chan struct{})
			}
			mine := make(chan struct{})
			k.busy[of] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				defer k.mu.Unlock()
				delete(k.busy, of)
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for another call of step %s: %w", step, context.Cause(ctx))
		}
	}
}
