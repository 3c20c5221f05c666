// Package turns lets one goroutine of this process at a time work on what a key stands for, while others go on with other keys. It is no lock between processes, and not fair.
package turns

import (
	"context"
	"sync"
)

// Turns hands out turns by key. The zero value is ready; it must not be copied, and may be used concurrently.
type Turns[K comparable] struct {
	mu    sync.Mutex
	taken map[K]chan struct{} // closed when the turn is over
}

// Enter waits for the key's turn, or returns the cause of ctx's end. The caller calls leave, once.
func (x *Turns[K]) Enter(ctx context.Context, key K) (leave func(), err error) {
	for {
		x.mu.Lock()
		busy := x.taken[key]
		if busy == nil {
			if x.taken == nil {
				x.taken = make(map[K]chan struct{})
			}
			mine := make(chan struct{})
			x.taken[key] = mine
			x.mu.Unlock()
			return func() {
				x.mu.Lock()
				defer x.mu.Unlock()
				delete(x.taken, key)
				close(mine)
			}, nil
		}
		x.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Busy says whether somebody has the key's turn now.
func (x *Turns[K]) Busy(key K) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.taken[key] != nil
}
