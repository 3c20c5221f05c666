package choreography

import (
	"context"
	"errors"
	"sync"
	"time"
)

// load does something over and over on so many lanes, each one after the other, for a time. It returns how long each took.
func load(ctx context.Context, lanes int, d time.Duration, one func(ctx context.Context) error) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var running sync.WaitGroup
	end := time.Now().Add(d)
	for range lanes {
		running.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				began := time.Now()
				err := one(ctx)
				mu.Lock()
				if took = append(took, time.Since(began)); err != nil {
					failed = errors.Join(failed, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	running.Wait()
	return took, failed
}
