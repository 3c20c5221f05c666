package choreographer

import (
	"context"
	"log/slog"
	"slices"
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

// bell says when the first of the calls is due that were planned since the alarm last read them.
type bell struct {
	mu    sync.Mutex
	first time.Time // zero: none was
	rung  chan struct{}
}

func newBell() *bell { return &bell{rung: make(chan struct{}, 1)} }

// plan says that a call is due at a time.
func (b *bell) plan(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.first.IsZero() && !at.Before(b.first) {
		return
	}
	b.first = at
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

func (b *bell) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first = time.Time{}
}

// before is a time, or that of the first call if that is due before.
func (b *bell) before(at time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.first.IsZero() && b.first.Before(at) {
		return b.first
	}
	return at
}

// alarm makes calls again when they are due, until the context ends. What it has read it works through, so that a thousand calls that are due one after the other are not read a thousand times.
func (a *Agent) alarm(ctx context.Context) {
	var working sync.WaitGroup
	defer working.Wait()
	places := make(chan struct{}, a.Parallel)
	passed := 0 // calls that are due for others, and would otherwise hide what is due here
	for ctx.Err() == nil {
		a.bell.reset() // what is planned from now on may not be in what is read
		due, err := a.Desk.Due(ctx, dueBatch+passed)
		if err != nil && ctx.Err() == nil {
			a.Logger.WarnContext(ctx, "calls to be made again cannot be read; trying again", "error", err)
		}
		again := a.Now().Add(a.Poll)
		if len(due) >= dueBatch+passed { // there are more of them
			again = a.Now().Add(a.Poll / 20)
		}
		passed = 0
		now := a.Now()
		slices.SortStableFunc(due, func(v, w participant.Waiting) int { return dueAt(&v, now).Compare(dueAt(&w, now)) })
		for _, w := range due {
			if !a.await(ctx, dueAt(&w, now), again) {
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
		a.await(ctx, again, again)
	}
}

// await waits until a call is due. It is false when what is due has to be read again: at a time, or before that because a call was planned meanwhile that is due now.
func (a *Agent) await(ctx context.Context, due, again time.Time) bool {
	for ctx.Err() == nil {
		now, end := a.Now(), a.bell.before(again)
		switch {
		case !due.After(now) && due.Before(again):
			return true
		case !end.After(now):
			return false
		case due.Before(end):
			end = due
		}
		sleep(ctx, end.Sub(now), a.bell.rung)
	}
	return false
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
