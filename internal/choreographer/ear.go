package choreographer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/internal/turns"
	"github.com/skaldhq/skald/participant"
)

// ear is how agents, initiators and trackers hear tokens. Those that are decided through a broker that lets it overhear them it takes in at once, without waiting until they are handed out; when they
// are, there is nothing left to do. That only saves time: a token may be heard any number of times, in any order, and whatever is overheard in vain is handed out all the same.
type ear struct {
	broker       broker.Broker
	topic        string
	subscription string
	parallel     int
	name         string                               // whose tokens it need not overhear: its own; empty if it needs all
	from         func(m broker.Message) broker.Moment // the first moment at which a token may be taken in
	remember     func(m broker.Message) bool          // takes in at once what is only to be remembered, so that nobody need be woken for it, and says whether that was all; nil: nothing is
	idle         func() bool                          // whether there is nothing else to do; nil: so it is
	ignores      func(e broker.Envelope) bool         // whether there is nothing to do about a token; nil: there always is
	deliver      func(ctx context.Context, d *broker.Delivery) error
	now          func() time.Time
	log          *slog.Logger

	heard *memory[broker.Key, glance] // tokens from which nothing follows any more that is not done
	turns turns.Turns[broker.Key]     // so that what is overheard is not worked on once more when it is handed out meanwhile
}

// listen hears tokens until the context ends, and returns what kept it from that, or nil. It waits for what it began.
func (e *ear) listen(ctx context.Context) error {
	from, tells := e.broker.(broker.Overhearer)
	if tells {
		// What was begun outlives the context, or the receiving, by the grace that handlers of deliveries have.
		var working sync.WaitGroup
		grace, abort := context.WithCancel(context.WithoutCancel(ctx))
		defer abort()
		defer working.Wait()
		crew := &crew{most: e.parallel}
		ending, end := context.WithCancel(ctx)
		context.AfterFunc(ending, func() {
			crew.end()
			time.AfterFunc(overhearGrace, abort)
		})
		defer end()
		work := func(o overheard) { e.overheard(grace, o) }
		defer e.overhear(from, func(m broker.Message, when broker.Moment, durable func(context.Context) error) {
			switch {
			case ctx.Err() != nil || m.Source == e.name || !e.timely(m, when) || e.ignored(m.Envelope()):
			case when == broker.Proposed && !(crew.idle() && (e.idle == nil || e.idle())): // who has other work does not wait for what may lose
			case when == broker.Durable && e.remember != nil && e.remember(m):
				e.heard.put(m.Key, glance{kindOf(m.Type), e.now()})
			case when == broker.Durable:
				crew.give(&working, overheard{m, nil}, work) // if there is no room it is handed out
			default:
				crew.give(&working, overheard{m, durable}, work)
			}
		})()
	}
	return broker.Consume(ctx, e.broker, broker.ConsumerConfig{
		Topic: e.topic, Subscription: e.subscription, Parallel: e.parallel, Unconfirmed: true, Ignore: e.ignored, Overheard: tells, Backoff: backoff, Log: e.log,
	}, e.take)
}

// overhear lets take be called with what is decided, at each moment of it, until stop is called.
func (e *ear) overhear(from broker.Overhearer, take func(m broker.Message, when broker.Moment, durable func(context.Context) error)) (stop func()) {
	var stops []func()
	for _, when := range []broker.Moment{broker.Proposed, broker.Decided, broker.Durable} {
		stops = append(stops, from.Overhear(e.topic, when, func(m broker.Message, durable func(context.Context) error) { take(m, when, durable) }))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// overheard is a message that was overheard.
type overheard struct {
	broker.Message
	durable func(context.Context) error // waits until it is; nil: it is
}

// timely says whether a token is to be taken in at a moment: from the first that it may be at, unless somebody is at it already.
func (e *ear) timely(m broker.Message, when broker.Moment) bool {
	first := e.from(m)
	return when >= first && (first == broker.Durable || !e.turns.Busy(m.Key))
}

// crew are goroutines that work on what was overheard. Those that have nothing to do rest until there is more, and whoever worked last is the first to go on: the stack of a new one has to grow first, and so does that of one that has
// rested for long, which costs as much as a step's own work.
type crew struct {
	most int // that work or rest

	mu      sync.Mutex
	members int
	resting []chan overheard // of each that rests, where it waits
	over    bool             // nobody rests any more
}

// give hands a message to one that rests, or to a new one, if there is room for it.
func (c *crew) give(working *sync.WaitGroup, o overheard, work func(overheard)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.resting) - 1; last >= 0 {
		c.resting[last] <- o
		c.resting = c.resting[:last]
		return
	}
	if c.members == c.most || c.over {
		return
	}
	c.members++
	todo := make(chan overheard, 1)
	todo <- o
	working.Go(func() {
		for o := range todo {
			if work(o); !c.rest(todo) {
				return
			}
		}
	})
}

// idle says whether nobody works.
func (c *crew) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.resting) == c.members
}

// rest says where one that has nothing to do waits. It is false when it need not.
func (c *crew) rest(todo chan overheard) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.resting = append(c.resting, todo)
	return true
}

// end lets everybody go who rests, and those who work when they are done.
func (c *crew) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, todo := range c.resting {
		close(todo)
	}
	c.resting = nil
}

// overhearGrace is how long what was begun may go on after the end of the context.
const overhearGrace = 10 * time.Second

// overheard takes a token in before it is handed out. A panic is left to whoever it is handed out to then.
func (e *ear) overheard(ctx context.Context, o overheard) {
	defer func() {
		if p := recover(); p != nil {
			e.log.ErrorContext(ctx, "panic while a token was overheard; it is handed out", "token", o.ID, "panic", fmt.Sprint(p))
		}
	}()
	if o.durable != nil {
		ctx = participant.WithCause(ctx, o.durable)
	}
	err := e.take(ctx, &broker.Delivery{Message: o.Message, Topic: e.topic, Subscription: e.subscription, Count: 1, Published: e.now()})
	if err != nil && ctx.Err() == nil && !errors.As(err, new(*broker.Retry)) {
		e.log.DebugContext(ctx, "overheard in vain; it is handed out", "token", o.ID, "error", err)
	}
}

// take takes a token in, once for all that this process remembers.
func (e *ear) take(ctx context.Context, d *broker.Delivery) error {
	leave, err := e.turns.Enter(ctx, d.Message.Key)
	if err != nil {
		return err
	}
	defer leave()
	if d.Count == 1 && e.knows(d.Message.Key) {
		return nil
	}
	switch err := e.deliver(ctx, d); {
	case errors.Is(err, errNoPart):
		return nil
	case err != nil:
		return err
	}
	if err := participant.AwaitCause(ctx); err != nil { // another may take its place
		return err
	}
	e.heard.put(d.Message.Key, glance{kindOf(d.Message.Type), e.now()})
	return nil
}

// errNoPart says that a token is of a definition that nobody here has a part in, so far: nothing is to be done about it, and it is not remembered, since the definition may be registered the next moment.
var errNoPart = errors.New("the token's definition is not known here")

// ignored says whether there is nothing to do about the token under a key.
func (e *ear) ignored(x broker.Envelope) bool {
	return e.knows(x.Key) || e.ignores != nil && e.ignores(x)
}

func (e *ear) knows(k broker.Key) bool {
	g, ok := e.heard.get(k)
	return ok && g.fresh(e.now())
}
