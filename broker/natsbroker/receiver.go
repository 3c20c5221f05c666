package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// subscription is what a receiver needs to know of one.
type subscription struct {
	topic         topic
	name          string
	lock          time.Duration
	maxDeliveries int
	maxInFlight   int
	sessions      bool
}

// Receiver implements broker.Broker.
func (b *Broker) Receiver(ctx context.Context, name, subscription string) (broker.Receiver, error) {
	leave, err := b.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	s, err := b.subscription(ctx, name, subscription)
	if err != nil {
		return nil, err
	}
	r := &receiver{b: b, s: s, puller: newPuller(b.conn, s.topic.stream, s.name), done: make(chan struct{})}
	var opened broker.Receiver = r
	if s.topic.kept && b.syncs() != nil {
		r.puller.syncs = b.syncs
	}
	if !s.sessions {
		r.puller.lock = s.lock
	} else if opened, err = newSessions(r); err != nil { // which renew the locks of what waits there
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.Join(broker.ErrClosed, opened.Close())
	}
	b.receivers[opened] = true
	return opened, nil
}

// Backlog implements broker.Gauge.
func (b *Broker) Backlog(ctx context.Context, name, subscription string) (broker.Backlog, error) {
	leave, err := b.enter(ctx)
	if err != nil {
		return broker.Backlog{}, err
	}
	defer leave()
	_, info, err := b.consumerOf(ctx, name, subscription)
	if err != nil {
		return broker.Backlog{}, err
	}
	return broker.Backlog{Waiting: int(info.NumPending), InFlight: info.NumAckPending}, nil
}

// subscription looks one up.
func (b *Broker) subscription(ctx context.Context, name, subscriptionName string) (subscription, error) {
	t, info, err := b.consumerOf(ctx, name, subscriptionName)
	if err != nil {
		return subscription{}, err
	}
	cfg := info.Config
	s := subscription{topic: t, name: subscriptionName, lock: cfg.AckWait, sessions: hasSessions(cfg)}
	s.maxDeliveries, err = strconv.Atoi(cfg.Metadata[metaMaxDeliveries])
	if err == nil {
		s.maxInFlight, err = strconv.Atoi(cfg.Metadata[metaMaxInFlight])
	}
	if err != nil {
		return subscription{}, fmt.Errorf("natsbroker: consumer %s of stream %s was not made by Declare: %w", subscriptionName, t.stream, broker.ErrConflict)
	}
	return s, nil
}

// consumerOf returns what the server knows of a subscription now, or an error that wraps ErrNotDeclared.
func (b *Broker) consumerOf(ctx context.Context, name, subscription string) (topic, *jetstream.ConsumerInfo, error) {
	t, err := b.topic(ctx, name)
	if err != nil {
		return topic{}, nil, err
	}
	unknown := fmt.Errorf("natsbroker: subscription %.80q of topic %s: %w", subscription, name, broker.ErrNotDeclared)
	if (broker.Topic{Name: subscription}).Check() != nil {
		return topic{}, nil, unknown
	}
	var info *jetstream.ConsumerInfo
	err = b.retry(ctx, func(ctx context.Context) error {
		consumer, err := b.js.Consumer(ctx, t.stream, subscription)
		if err == nil {
			info = consumer.CachedInfo()
		}
		return err
	})
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDoesNotExist) {
		return topic{}, nil, unknown
	}
	if err != nil {
		return topic{}, nil, fmt.Errorf("natsbroker: looking up subscription %s of %s: %w", subscription, name, err)
	}
	return t, info, nil
}

// receiver implements broker.Receiver for a subscription without sessions.
type receiver struct {
	b      *Broker
	s      subscription
	puller *puller
	done   chan struct{} // closed when the receiver is
	once   sync.Once
}

var _ broker.Ignorer = (*receiver)(nil)

// Ignore implements broker.Ignorer.
func (r *receiver) Ignore(nothing func(e broker.Envelope) bool, overheard bool) {
	overheard = overheard && r.s.lock >= 4*putOffFor
	r.puller.rests = func() bool { return overheard && r.s.patient() && r.b.cfg.Server != nil && r.b.cfg.Server.alone() }
	r.puller.rested = r.b.sendCompletions // with the rest of what changes a subscription's state
	r.puller.fate = func(a arrival) fate {
		switch {
		case nothing(broker.Envelope{Key: r.b.names.key(r.s.topic.name, a.Subject), Type: broker.TypeOf(a.first), Header: a.first}):
			r.b.complete(&r.s, a.Msg)
			return done
		case overheard && r.b.telling.has(a.Subject):
			return putOff
		}
		return handedOut
	}
}

// Receive implements broker.Receiver.
func (r *receiver) Receive(ctx context.Context, max int) ([]*broker.Delivery, error) {
	for {
		if err := r.ended(ctx); err != nil {
			return nil, err
		}
		arrived, err := r.arrived(ctx, max)
		if err != nil {
			continue
		}
		var deliveries []*broker.Delivery
		for _, a := range arrived {
			if d := r.b.handOut(ctx, r.s, a); d != nil {
				deliveries = append(deliveries, d)
			}
		}
		if len(deliveries) > 0 {
			return deliveries, nil
		}
		again, err := r.puller.want(max)
		if err != nil {
			return nil, fmt.Errorf("natsbroker: receiving: %w", err)
		}
		r.wait(ctx, again)
	}
}

// arrived returns up to max messages that have come and are on the disk. After an error, which it has waited for a moment on, they wait here as before, but those that come again anyhow, because their server has ended.
func (r *receiver) arrived(ctx context.Context, max int) ([]arrival, error) {
	popped := r.puller.pop(max)
	if r.puller.syncs == nil || len(popped) == 0 {
		return popped, nil
	}
	for i, a := range popped {
		err := r.onDisk(ctx, a)
		if err == nil {
			continue
		}
		r.puller.back(slices.DeleteFunc(popped, func(a arrival) bool { return a.by.over() }))
		if ctx.Err() == nil {
			r.b.log.Warn("messages not handed out yet", "topic", r.s.topic.name, "subscription", r.s.name, "messages", len(popped)-i, "error", err)
			r.b.suspect()
			r.wait(ctx, syncedAgain)
		}
		return nil, err
	}
	select {
	case <-r.done: // meanwhile
		r.puller.back(popped)
		return nil, broker.ErrClosed
	default:
	}
	held := popped[:0]
	for _, a := range popped {
		if time.Since(a.at) < r.s.lock { // else somebody else may have it
			a.renewAfter(r.s.lock / 4)
			held = append(held, a)
		}
	}
	return held, nil
}

// onDisk returns when a message is on the disk. The first of many waits for all that have come.
func (r *receiver) onDisk(ctx context.Context, a arrival) error {
	meta, err := a.Metadata()
	if err != nil {
		return nil //nolint:nilerr // whoever hands it out says so
	}
	return a.by.await(ctx, meta.Stream, meta.Sequence.Stream)
}

// syncedAgain is how long what could not be synced waits until it is tried again.
const syncedAgain = 100 * time.Millisecond

// ended says whether there is nothing to receive any more, and withdraws what was asked for.
func (r *receiver) ended(ctx context.Context) error {
	err := ctx.Err()
	select {
	case <-r.done:
		err = broker.ErrClosed
		r.returnAll()
	default:
	}
	if err != nil {
		if withdrawing := r.puller.withdraw(); withdrawing != nil {
			r.b.log.Warn("withdrawing a request for messages", "error", withdrawing)
		}
	}
	return err
}

// wait waits until something may have changed.
func (r *receiver) wait(ctx context.Context, atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.done:
	case <-r.puller.wake:
	case <-timer.C:
	}
}

// Close implements broker.Receiver.
func (r *receiver) Close() error {
	var err error
	r.once.Do(func() {
		close(r.done)
		err = r.puller.withdraw()
		r.returnAll()
		r.b.forget(r)
	})
	return err
}

// returnAll gives back what waits here.
func (r *receiver) returnAll() {
	for _, a := range r.puller.pop(math.MaxInt) {
		_ = a.Respond([]byte(ackNak)) // else its lock expires
	}
}

// forget drops a closed receiver.
func (b *Broker) forget(r interface{ Close() error }) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.receivers, r)
}

// handOut makes a delivery of what a consumer sent, or sets it aside and returns nil. What cannot be set aside now comes again.
func (b *Broker) handOut(ctx context.Context, s subscription, a arrival) *broker.Delivery {
	if b.names.foreign(s.topic.name, s.name, a.Subject) {
		b.complete(&s, a.Msg)
		return nil
	}
	d, h, err := b.delivery(s, a)
	if err != nil {
		b.log.Error("a message that no consumer can have sent", "subject", a.Subject, "error", err)
		return nil
	}
	if p, ok := h.unfit(time.Now()); ok {
		b.setAsideLogged(ctx, h, p)
		return nil
	}
	return d
}

// delivery reads what a consumer sent. A message that cannot be decoded is in the holder, with the reason.
func (b *Broker) delivery(s subscription, a arrival) (*broker.Delivery, *holder, error) {
	meta, err := a.Metadata()
	if err != nil {
		return nil, nil, err
	}
	m, unreadable := decode(a.Header, a.Data, b.names.key(s.topic.name, a.Subject))
	h := &holder{b: b, s: s, msg: a.Msg, seq: meta.Sequence.Stream, count: int(meta.NumDelivered), m: m, unreadable: unreadable}
	h.lockedFrom(a.at)
	d := &broker.Delivery{Message: m, Topic: s.topic.name, Subscription: s.name, Sequence: h.seq, Count: h.count, Published: meta.Timestamp.UTC(), Lock: s.lock, Settlement: h}
	return d, h, nil
}
