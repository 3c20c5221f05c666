package broker

import (
	"context"
	"time"
)

// Reason codes that brokers themselves give to dead letters.
const (
	ReasonExpired    = "skald.expired"           // Message.Expires passed before it was handed out
	ReasonExhausted  = "skald.retries-exhausted" // handed out MaxDeliveries times
	ReasonUnreadable = "skald.unreadable"        // poison: not a message in the wire format
	ReasonPanic      = "skald.panic"             // the handler panicked; given by Consume
	ReasonFailed     = "skald.failed"            // the handler returned an error without a reason; given by Consume
)

// Problem says why a message was not handled.
type Problem struct {
	Reason      string // reason code: short and stable; programs act on it
	Description string // for people; cut to 1 KiB
}

// Failure is a problem and when it was met.
type Failure struct {
	Problem
	At time.Time
}

// Delivery is a message that was handed out. Whoever has it settles it with one of Complete, Abandon and DeadLetter; if nobody does before its lock
// expires, it is handed out again. The receiver of a delivery owns the message's slice and map.
type Delivery struct {
	Message      Message
	Topic        string
	Subscription string
	Sequence     uint64        // position on the topic; the same whenever the message is handed out again
	Count        int           // how often it was handed out, this time included. It may be one more where a receiver was stopped at that moment, and in a session one less after its holder died
	Published    time.Time     // when the broker stored it
	Lock         time.Duration // how long the lock holds from the hand-out or the last Renew, as the subscription was declared
	Settlement
}

// Settlement is what can be done with a delivery. Its methods may be called concurrently. Renew, while the lock may hold, and Complete are tried again
// as long as the context allows, the others are not; after an error that wraps none of this package's the call may have taken effect, and the worst is that the message is handed out again. A settlement after the lock was lost either
// gets ErrLockLost or is taken although somebody else has the message by then: so it never means that an effect took place.
type Settlement interface {
	// Renew starts the lock anew: it expires Subscription.Lock from now. Consume does it by itself. ErrLockLost says that it has expired for sure.
	Renew(ctx context.Context) error

	// Complete says that the message was handled: the subscription has done with it. When it returns nil, the message is handed out again only if
	// the broker loses the last moments before a crash.
	Complete(ctx context.Context) error

	// Completed is Complete without waiting until the broker has heard it: if it is lost, the message is handed out again.
	Completed()

	// Abandon gives the message back, to be handed out again no earlier than after the delay; if the broker is restarted meanwhile, it may take Subscription.Lock longer. The problem becomes the first, or the last, failure of a dead letter. If the
	// message was handed out MaxDeliveries times, it is set aside with ReasonExhausted instead. In a session the messages behind it wait.
	Abandon(ctx context.Context, delay time.Duration, p Problem) error

	// DeadLetter sets the message aside for this subscription: first the dead letter is made durable, then the message is completed. In between, a crash or a lost lock can
	// only lead to the same dead letter again.
	DeadLetter(ctx context.Context, p Problem) error
}

// Receiver receives from one subscription. It hands out messages in the order of the topic, apart from those that are handed out again; only
// sessions keep their order through that. A message that is too late, was handed out too often or cannot be read is never handed out: it becomes
// a dead letter, and the rest flows.
type Receiver interface {
	// Receive waits until there is a message and returns at least one and at most max of them. No more is taken from the broker than max asks for, but for a
	// bounded number of messages whose session is busy: a receiver that does not ask gets nothing. It is called by one goroutine at a time. The
	// context ends the waiting, with its error; nothing is lost then. It tries again by itself while the broker cannot be reached.
	Receive(ctx context.Context, max int) ([]*Delivery, error)

	// Close ends the receiving and waits for what the receiver itself does; a Receive that waits gets ErrClosed. Deliveries that were handed out can still be settled.
	Close() error
}

// Ignorer is a receiver that can be told in advance what there is nothing to do about, and does not even decode that. It is optional.
type Ignorer interface {
	// Ignore sets what completes by itself, as ConsumerConfig.Ignore says it, and whether the topic is overheard, as ConsumerConfig.Overheard does. It is called once, before the first Receive.
	Ignore(nothing func(e Envelope) bool, overheard bool)
}
