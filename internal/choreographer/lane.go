package choreographer

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/skaldhq/skald/broker"
)

// lane is the room for actions: when it is full, a few wait, and all others are given back to the broker for a moment, so that there is always room for what leads to compensations.
type lane struct {
	places  chan struct{}
	waiting chan struct{}
}

func newLane(places int) lane {
	return lane{make(chan struct{}, places), make(chan struct{}, max(places/2, 1))}
}

// busy is said of what comes back because all places for actions are taken. It is no failure, and ends no step.
const busy = "skald.busy"

// enter takes a place, waiting if not too many wait already. Otherwise the error gives the message back.
func (l lane) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-l.places }
	select {
	case l.places <- struct{}{}:
		return leave, nil
	default:
	}
	select {
	case l.waiting <- struct{}{}:
		defer func() { <-l.waiting }()
	default:
		const pause = 200 * time.Millisecond
		return nil, &broker.Retry{
			Problem: broker.Problem{Reason: busy, Description: "all places for actions are taken"}, After: pause + rand.N(pause), //nolint:gosec // only spreads load
		}
	}
	select {
	case l.places <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Actions says how many actions are under way, and how many there is room for.
func (a *Agent) Actions() (underWay, room int) { return len(a.actions.places), cap(a.actions.places) }
