package orchestrator

import (
	"context"
	"sync"
	"time"

	"github.com/skaldhq/skald/participant"
)

// lane bounds the concurrent calls to one participant, in the order in which they were asked for. Waiting calls cost no goroutine.
type lane struct {
	o       *Orchestrator
	to      participant.Invoker
	breaker *breaker

	mu    sync.Mutex
	width int
	free  int
	queue []*call
}

// call is a call that is to be made.
type call struct {
	participant.Call // its deadline is set when it is its turn
	run              *run
	lane             *lane
	step             int
}

// reply is what came of a call.
type reply struct {
	participant.Answer
	unmapped bool // its input could not be made, so no call was
	unsaid   bool // none was made, because the participant is left alone, and the words are no cause
}

// lanes are the two lanes of a participant: a flood of actions never holds compensations up.
type lanes struct{ actions, compensations lane }

func newLanes(o *Orchestrator, p Participant) *lanes {
	width := p.MaxCalls
	if width == 0 {
		width = 256
	}
	b := newBreaker(p.Breaker, o.Clock)
	return &lanes{
		actions:       lane{o: o, to: p.Invoker, breaker: b, width: width, free: width},
		compensations: lane{o: o, to: p.Invoker, breaker: b, width: width, free: width},
	}
}

func (l *lanes) of(phase participant.Phase) *lane {
	if phase == participant.Compensation {
		return &l.compensations
	}
	return &l.actions
}

// admit takes a place for the call, or queues it. Who gets true serves it.
func (l *lane) admit(c *call) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.free == 0 {
		l.queue = append(l.queue, c)
		return false
	}
	l.free--
	return true
}

// leave gives a place back: to the call that has waited longest, which is returned, or for a later one.
func (l *lane) leave() *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 || l.o.stopping() {
		l.free++
		return nil
	}
	c := l.queue[0]
	l.queue[0] = nil
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return c
}

// serve makes a call that has its place, and those that follow from it one after the other: the saga's next step, or what waited for the place. A goroutine with a stack
// that has grown to what a call needs is worth keeping.
func (o *Orchestrator) serve(c *call) {
	for c != nil {
		next := c.run.answered(c.step, c.Phase == participant.Compensation, c.lane.invoke(c))
		c = c.lane.leave()
		switch {
		case next == nil:
		case o.stopping():
			next.lane.leave()
		case c == nil:
			c = next
		default:
			o.begin(next)
		}
	}
}

// begin serves a call on a goroutine of its own, unless it is nil. A coordinator that stops makes none; the call is made after the restart.
func (o *Orchestrator) begin(c *call) {
	if c != nil && !o.spawn(func() { o.serve(c) }) {
		c.lane.leave()
	}
}

// invoke makes a call, unless it is needed no more or the participant is left alone.
func (l *lane) invoke(c *call) reply {
	if !c.run.prepare(c) {
		return reply{Answer: participant.Answer{NotAsked: true}}
	}
	wait, probe := l.breaker.admit()
	if wait > 0 {
		return l.breaker.refuse(wait)
	}
	ctx, cancel := context.WithDeadline(l.o.ctx, c.Deadline)
	defer cancel()
	a := l.to.Invoke(ctx, c.Call)
	l.breaker.report(&a, probe)
	return reply{Answer: a}
}

// crowded says whether so many calls wait that more would wait too long: eight times as many as are made at a time.
func (l *lane) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) >= 8*l.width
}

// waiting counts the calls that wait for room.
func (l *lane) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Breaker says when a participant that fails is left alone. After Failures unknown results in a row it is not called for Pause; then one
// call tries it, and its result decides. Calls that are not made count as attempts with an unknown result.
type Breaker struct {
	Failures int           // 20; negative: never
	Pause    time.Duration // 2 s
}

type breaker struct {
	Breaker
	clock Clock

	mu       sync.Mutex
	failures int
	until    time.Time // left alone until then
	probing  bool
	cause    string // why there was no connection, if that was the last failure
}

func newBreaker(b Breaker, clock Clock) *breaker {
	if b.Failures == 0 {
		b.Failures = 20
	}
	if b.Pause == 0 {
		b.Pause = 2 * time.Second
	}
	return &breaker{Breaker: b, clock: clock}
}

// admit returns how long to leave the participant alone, or 0 to call it; probe says that this call tries whether it is back.
func (b *breaker) admit() (wait time.Duration, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return 0, false
	}
	if left := b.until.Sub(b.clock.Now()); left > 0 {
		return left, false
	}
	if b.probing {
		return b.Pause, false
	}
	b.probing = true
	return 0, true
}

// report takes in how a call went. While the participant is left alone only the probe counts: other answers are from before.
func (b *breaker) report(a *participant.Answer, probe bool) {
	ok := a.Class != participant.Unknown || a.Working
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	} else if !b.until.IsZero() {
		return
	}
	if ok {
		b.failures, b.until = 0, time.Time{}
		return
	}
	b.failures++
	if b.cause = ""; a.NotAsked { // a participant's own words are about another saga
		b.cause = a.Detail
	}
	if b.Failures > 0 && b.failures >= b.Failures {
		b.until = b.clock.Now().Add(b.Pause)
	}
}

// refuse is what comes of a call that is not made. It says why none can be, as far as that is known and no other saga's affair.
func (b *breaker) refuse(wait time.Duration) reply {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := reply{Answer: participant.Answer{NotAsked: true, Detail: b.cause, RetryAfter: wait}}
	if b.cause == "" {
		r.unsaid, r.Detail = true, "not asked: the participant has failed repeatedly and is left alone for a moment"
	}
	return r
}

// open says whether the participant is left alone now.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.probing || b.until.After(b.clock.Now())
}
