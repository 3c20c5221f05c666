// Package broker is the contract of what carries messages between participants when nobody sits in the middle. A driver (natsbroker,
// membroker) implements Broker and DeadLetters and shows with the suite of package brokertest that it does.
//
// A broker moves messages and decides one thing only: which message is the first under a key of a kept topic. It delivers at least once. Nothing
// in it makes an effect happen once: that is for the receiver's inbox, in the receiver's own transaction. An acknowledgement never carries
// meaning: commit first, publish what follows from it, then complete. It keeps no durable timers beyond a simple delayed publish, and no history: what
// was purged or settled is gone.
package broker

import (
	"context"
	"errors"
)

// Errors of brokers. Drivers wrap them; compare with errors.Is. Of all but ErrLockLost and ErrTooMany nothing took effect. An error that wraps
// none of them leaves it open whether the call took effect: make it again, with the same message.
var (
	// ErrFull says that a topic or a session holds as many messages as it was declared for, or that the disk is full. Publish again later: this is back-pressure.
	ErrFull = errors.New("broker: no room")
	// ErrInvalid says that a message, key, filter or declaration breaks the contract; the text says what. Repeating it is of no use.
	ErrInvalid = errors.New("broker: not usable")
	// ErrNotDeclared says that there is no such topic or subscription: declare it first.
	ErrNotDeclared = errors.New("broker: not declared")
	// ErrConflict says that a topic or subscription was declared before in a way that cannot be changed: give it another name.
	ErrConflict = errors.New("broker: declared differently")
	// ErrLockLost says that a delivery's lock expired: somebody else may have the message by now. Stop working on it.
	ErrLockLost = errors.New("broker: lock lost")
	// ErrTooMany says that more than MaxRead messages match: use a narrower filter, or a subscription.
	ErrTooMany = errors.New("broker: too many messages match")
	// ErrNotFound says that there is no such dead letter.
	ErrNotFound = errors.New("broker: no such dead letter")
	// ErrSettled says that a dead letter was settled in another way before.
	ErrSettled = errors.New("broker: dead letter settled otherwise")
	// ErrClosed says that the broker or the receiver was closed.
	ErrClosed = errors.New("broker: closed")
)

// MaxRead is the largest number of messages that Read returns.
const MaxRead = 1000

// Decision is what became of a Decide.
type Decision struct {
	// Won says that the message with the caller's id is the one that decided, now or in an earlier attempt.
	Won bool
	// Message is the one that decided, with its key.
	Message Message
}

// Broker carries messages. Its methods may be called concurrently, block for as long as the network or the disk does, return early with the context's error (which
// leaves open whether the call took effect), and retain no slice or map of their arguments. They retry only where a repetition is harmless and the context allows it; what they could not do, the caller does again.
//
// There are two sorts of topics. A *kept* topic holds at most one message under a key, for good, until it is purged: who comes first decides. From any other topic a
// message disappears once every subscription has settled it. A queue is a topic with one subscription.
type Broker interface {
	// Declare makes topics and their subscriptions, or changes those that exist; what it does not name stays as it is. A subscription gets every message that matches
	// and is published after it was declared, and of a kept topic also those that lie there already. So everybody who publishes to a topic declares it first, with all
	// its subscriptions. A topic that is declared otherwise in what cannot change gets ErrConflict.
	Declare(ctx context.Context, topics ...Topic) error

	// Publish stores messages on a topic that is not kept. It returns nil when all of them are durable: they survive kill -9, power loss and, in a
	// cluster, the loss of a minority. After an error any part of them may be stored; publish all of them again. A message whose id was published to the topic a
	// short while ago (two minutes) is stored once; later, and whenever the broker forgets, it is stored again, so receivers need an inbox. Messages of one
	// call are stored in their order, but for those that had to be sent again. With Message.NotBefore one is stored durably at once and takes its place on the topic no
	// earlier than then, within 100 ms if the broker is idle; a delayed message may be handed out again like any other.
	//
	// Back-pressure: a topic that holds Topic.MaxMessages or MaxBytes, and a key that holds Topic.MaxPerKey, gets ErrFull. Publish does not wait for room.
	Publish(ctx context.Context, topic string, messages ...Message) error

	// Decide stores a message on a kept topic if its key has none, durably as by Publish, and returns it; otherwise nothing is stored and the
	// message that lies there is returned. It is a compare-and-set: of all callers with different ids, at any time and in any process, exactly one wins. After an error call it again with the same message: if the lost attempt won, the
	// decision says so. ErrFull is as in Publish.
	Decide(ctx context.Context, topic string, m Message) (Decision, error)

	// Read returns the messages of a kept topic whose keys match, in the order in which they were decided; a filter without wildcards gives the message of one key, or none. It
	// sees everything that a Decide of this Broker value has returned, won or not, and may lag behind what others decided elsewhere. More than MaxRead get ErrTooMany, without messages.
	Read(ctx context.Context, topic string, f Filter) ([]Message, error)

	// Purge deletes the messages of a kept topic whose keys match, also where they have not been handed out yet, and returns how many were deleted. A key that was purged is undecided again: purge a
	// saga only when nobody can decide anything for it any more. It is idempotent.
	Purge(ctx context.Context, topic string, f Filter) (int, error)

	// Receiver opens a declared subscription for receiving. Any number of receivers, in any number of processes, compete for its messages.
	Receiver(ctx context.Context, topic, subscription string) (Receiver, error)

	// Probe stores a message durably where it disturbs nobody and returns an error if that fails: it says whether the broker can be written to now.
	// An error that wraps ErrFull says that the disk is full.
	Probe(ctx context.Context) error

	// Close ends all receivers, waits for the calls that are under way, and releases what the broker holds. Later calls get ErrClosed, a second Close gets nil. Messages that were
	// received but not settled are handed out again, elsewhere or after the next start.
	Close() error
}

// Backlog is how much a subscription has before it.
type Backlog struct {
	Waiting  int // not handed out yet; those that wait behind another of their session may be in InFlight
	InFlight int // handed out and not settled, or given back for a while
}

// Gauge tells how far subscriptions are behind, for metrics and alerts. Drivers implement it, too.
type Gauge interface {
	// Backlog returns about what it is now: what was published in the last moments may not be counted yet.
	Backlog(ctx context.Context, topic, subscription string) (Backlog, error)
}

// Overhearer is a Broker that tells what is decided through it before it hands it out. It is optional.
//
// It is a hint that saves whoever lives in the same process the way through the broker, and nothing else: it may be left out, and every subscription is handed the message all the same. The functions that are given may be called
// concurrently, return at once, call neither stop nor the broker, and do not change the message.
type Overhearer interface {
	// Overhear calls heard with the messages that this Broker value decides on a kept topic, each at the given moment, until stop is called; after stop has returned it is not called any more.
	//
	// durable returns nil when the message is decided and durable, which at the moment Durable is at once. An error says that another was decided in its place, or that it is open what became of it; if it stands it is handed out, and
	// may be told once more. Before durable has returned nil, nothing may follow from the message that outlives the process or that others see.
	Overhear(topic string, when Moment, heard func(m Message, durable func(context.Context) error)) (stop func())
}

// Moment is when an Overhearer tells of a message.
type Moment int

// The moments, in their order.
const (
	// Proposed is before it is decided. Of messages that were decided before, and of those that lose, is told, too.
	Proposed Moment = iota + 1
	// Decided is when it has won. If it was decided before under the same id, what is told is what was decided then.
	Decided
	// Durable is when what it says holds, whatever happens, and before Decide returns.
	Durable
)
