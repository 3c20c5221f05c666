package choreographer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/skaldhq/skald/participant"
)

// Relay tells what was written before a time and is not known to be decided: what a crash, or a broker that was away, left. It returns how many tokens it told.
func (a *Agent) Relay(ctx context.Context, before time.Time) (int, error) {
	untold, err := a.Desk.Untold(ctx, before, relayBatch)
	if err != nil {
		return 0, err
	}
	told, inARow := 0, 0
	for i := range untold {
		var decided participant.Token
		decided, err = a.tell(ctx, &untold[i])
		if err == nil {
			err = a.work(ctx, decided.Saga, []participant.Token{decided})
		}
		if err == nil {
			told, inARow = told+1, 0
			continue
		}
		if inARow++; inARow == relayDown || ctx.Err() != nil { // the broker or the database is away; otherwise it is this token only
			return told, err
		}
	}
	return told, err
}

// How the relay works.
const (
	relayBatch = 256
	relayDown  = 3 // so many tokens in a row that cannot be told are the broker's fault, not theirs
)

// relay tells what was left behind until the context ends.
func (a *Agent) relay(ctx context.Context) {
	for grace := time.Duration(0); ctx.Err() == nil; grace = a.Poll {
		n, err := a.Relay(ctx, a.Now().Add(-grace))
		if err != nil && ctx.Err() == nil {
			a.Logger.WarnContext(ctx, "tokens not told yet; trying again", "error", err)
		}
		if err != nil || n < relayBatch {
			sleep(ctx, a.Poll, nil)
		}
	}
}

// sleep waits until the time has passed, something wakes it, or the context ends.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

func (a *Agent) rouse() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// alarm makes calls again when they are due, until the context ends.
func (a *Agent) alarm(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	places := make(chan struct{}, a.Parallel)
	passed := 0 // calls that are due for others, and would otherwise hide what is due here
	for ctx.Err() == nil {
		due, err := a.Desk.Due(ctx, dueBatch+passed)
		if err != nil && ctx.Err() == nil {
			a.Logger.WarnContext(ctx, "calls to be made again cannot be read; trying again", "error", err)
		}
		pause := a.Poll
		passed = 0
		for _, w := range due {
			if until := w.At.Sub(a.Now()); until > 0 {
				pause = min(pause, until)
				break
			}
			if _, others := a.others.get(w.Saga); others {
				passed++
				continue
			}
			if a.turns.Busy(w.Saga) {
				continue
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			working.Go(func() {
				defer func() { <-places }()
				if err := a.work(ctx, w.Saga, nil); err != nil && ctx.Err() == nil {
					a.Logger.WarnContext(ctx, "call not made again yet; trying again", "saga", w.Saga, "step", w.Step, "error", err)
				}
			})
		}
		sleep(ctx, max(pause, time.Millisecond), a.wake)
	}
}

const dueBatch = 1000

// declareAgain declares a subscription from time to time: another process that declared it at the same moment may have overlooked this one's filters.
func declareAgain(ctx context.Context, declare func(context.Context) error, log *slog.Logger) {
	for {
		sleep(ctx, declareEvery, nil)
		if ctx.Err() != nil {
			return
		}
		if err := declare(ctx); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "subscription not declared again; trying again in a while", "error", err)
		}
	}
}

const declareEvery = 30 * time.Second
