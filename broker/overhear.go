package broker

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Overhearing is how drivers implement Overhearer: those who overhear, by topic and moment. The zero value is ready; it must not be copied.
type Overhearing struct {
	mu    sync.RWMutex
	next  int
	heard map[occasion]map[int]func(Message, func(context.Context) error)
}

type occasion struct {
	topic string
	when  Moment
}

// Overhear implements Overhearer.
func (o *Overhearing) Overhear(topic string, when Moment, heard func(m Message, durable func(context.Context) error)) (stop func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := occasion{topic, when}
	if o.heard == nil {
		o.heard = make(map[occasion]map[int]func(Message, func(context.Context) error))
	}
	if o.heard[at] == nil {
		o.heard[at] = make(map[int]func(Message, func(context.Context) error))
	}
	id := o.next
	o.next++
	o.heard[at][id] = heard
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.heard[at], id)
	}
}

func (o *Overhearing) tell(topic string, when Moment, m Message, durable func(context.Context) error) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, heard := range o.heard[occasion{topic, when}] {
		heard(m, durable)
	}
}

// Propose begins to tell of a message. A driver calls it in Decide before anything is sent, and Close when Decide returns.
func (o *Overhearing) Propose(topic string, m Message) *Proposal {
	p := &Proposal{told: o, topic: topic, message: m, known: make(chan struct{})}
	o.tell(topic, Proposed, m, p.wait)
	return p
}

// Proposal is a message that is being decided, for those who overhear it. Its methods are for the goroutine that decides.
type Proposal struct {
	told    *Overhearing
	topic   string
	message Message

	once    sync.Once
	known   chan struct{} // closed when it is known whether it has won
	durable func(context.Context) error
}

// Won says that the message was decided as it is; durable waits until it is durable, too.
func (p *Proposal) Won(durable func(context.Context) error) {
	p.settle(durable)
	p.told.tell(p.topic, Decided, p.message, durable)
}

// WonBefore says that a message with the id was decided before, perhaps with other words, and is durable. What was proposed is forgotten for it.
func (p *Proposal) WonBefore(winner Message) {
	p.settle(notWon)
	p.message = winner
	p.told.tell(p.topic, Decided, winner, isDurable)
}

// Durable says that what has won is durable.
func (p *Proposal) Durable() {
	p.told.tell(p.topic, Durable, p.message, isDurable)
}

// Close says that nothing more is known of the message. Whoever waits for one that has not won gets an error.
func (p *Proposal) Close() {
	p.settle(notWon)
}

func isDurable(context.Context) error { return nil }

func notWon(context.Context) error { return errNotWon }

var errNotWon = errors.New("the message is not known to be decided")

func (p *Proposal) settle(durable func(context.Context) error) {
	p.once.Do(func() {
		p.durable = durable
		close(p.known)
	})
}

// decideFor is how long those who wait for a message wait until it is decided, while they keep transactions open: longer than a broker takes that works. They hear of it again when it is.
const decideFor = 50 * time.Millisecond

func (p *Proposal) wait(ctx context.Context) error {
	select {
	case <-p.known:
		return p.durable(ctx)
	default:
	}
	late := time.NewTimer(decideFor)
	defer late.Stop()
	select {
	case <-p.known:
		return p.durable(ctx)
	case <-late.C:
		return errNotWon
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
