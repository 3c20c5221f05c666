package membroker

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/skaldhq/skald/broker"
)

// receiver implements broker.Receiver. It holds nothing: messages are taken when they are asked for.
type receiver struct {
	b      *Broker
	t      *topic
	s      *subscription
	closed chan struct{}
}

// Receiver implements broker.Broker.
func (b *Broker) Receiver(ctx context.Context, topic, subscription string) (broker.Receiver, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	t, s, err := b.find(topic, subscription)
	if err != nil {
		return nil, err
	}
	return &receiver{b: b, t: t, s: s, closed: make(chan struct{})}, nil
}

func (b *Broker) find(topic, subscription string) (*topic, *subscription, error) {
	t, err := b.topic(topic)
	if err != nil {
		return nil, nil, err
	}
	s := t.sub(subscription)
	if s == nil {
		return nil, nil, fmt.Errorf("membroker: subscription %q of topic %q: %w", subscription, topic, broker.ErrNotDeclared)
	}
	return t, s, nil
}

// Receive implements broker.Receiver.
func (r *receiver) Receive(ctx context.Context, max int) ([]*broker.Delivery, error) {
	for {
		select {
		case <-r.closed:
			return nil, broker.ErrClosed
		default:
		}
		if err := r.b.enter(ctx); err != nil {
			return nil, err
		}
		deliveries, next := r.b.take(r.t, r.s, max)
		changed, now := r.b.changed, r.b.cfg.Now()
		r.b.mu.Unlock()
		if len(deliveries) > 0 {
			return deliveries, nil
		}
		if err := r.wait(ctx, changed, next, now); err != nil {
			return nil, err
		}
	}
}

// wait waits until something changes or is due.
func (r *receiver) wait(ctx context.Context, changed <-chan struct{}, next, now time.Time) error {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(next.Sub(now))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-r.closed:
		return broker.ErrClosed
	case <-changed:
	case <-due:
	}
	return nil
}

// Close implements broker.Receiver.
func (r *receiver) Close() error {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	select {
	case <-r.closed:
	default:
		close(r.closed)
	}
	return nil
}

// Take hands out one message without waiting, or returns nil if none is ready. It is for simulators; others use a Receiver.
func (b *Broker) Take(topic, subscription string) (*broker.Delivery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, s, err := b.find(topic, subscription)
	if err != nil {
		return nil, err
	}
	deliveries, _ := b.take(t, s, 1)
	if len(deliveries) == 0 {
		return nil, nil
	}
	return deliveries[0], nil
}

// Pending returns how many messages a subscription has not settled, delayed ones and copies included.
func (b *Broker) Pending(topic, subscription string) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, s, err := b.find(topic, subscription)
	if err != nil {
		return 0, err
	}
	n := len(s.items)
	for _, d := range t.delayed {
		if s.wants(d.message.Key) {
			n++
		}
	}
	return n, nil
}

// Backlog implements broker.Gauge.
func (b *Broker) Backlog(ctx context.Context, topic, subscription string) (broker.Backlog, error) {
	if err := b.enter(ctx); err != nil {
		return broker.Backlog{}, err
	}
	defer b.mu.Unlock()
	_, s, err := b.find(topic, subscription)
	if err != nil {
		return broker.Backlog{}, err
	}
	return broker.Backlog{Waiting: len(s.items) - len(s.out), InFlight: len(s.out)}, nil
}

// NextDue returns the earliest time, not before now, at which a message may become ready by the mere passing of time, and false if there is none. A simulator in
// which nobody can do anything else goes on there.
func (b *Broker) NextDue() (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var due time.Time
	now := b.cfg.Now()
	for _, t := range b.topics {
		for _, s := range t.subs {
			ready, next := s.candidates(now, 1, func(*item) bool { return false })
			if len(ready) > 0 {
				next = now
			}
			due = earlier(due, next)
		}
		if len(t.delayed) > 0 {
			due = earlier(due, t.delayed[0].due)
		}
	}
	return due, !due.IsZero()
}

// earlier returns the earlier of two times, of which zero means none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// take hands out up to max messages. If there are none it returns the time at which there may be some.
func (b *Broker) take(t *topic, s *subscription, max int) (deliveries []*broker.Delivery, next time.Time) {
	now := b.cfg.Now()
	for len(t.delayed) > 0 && !t.delayed[0].due.After(now) {
		m := t.delayed[0].message
		t.delayed = t.delayed[1:]
		t.count(m, -1)
		b.store(t, m, now)
	}
	limit := 1
	if b.cfg.Chance != nil {
		limit = math.MaxInt // Reorder chooses among all
	}
	for len(deliveries) < max {
		var ready []*item
		ready, next = s.candidates(now, limit, func(*item) bool { return b.happens(EarlyExpiry) })
		if len(ready) == 0 {
			break
		}
		i := ready[0]
		if len(ready) > 1 && b.happens(Reorder) {
			i = ready[1+b.pick(len(ready)-1)]
		}
		if d := b.handOut(s, i, now); d != nil {
			deliveries = append(deliveries, d)
		}
	}
	if len(t.delayed) > 0 {
		next = earlier(next, t.delayed[0].due)
	}
	return deliveries, next
}

// handOut locks an item for a new holder, or sets it aside and returns nil.
func (b *Broker) handOut(s *subscription, i *item, now time.Time) *broker.Delivery {
	switch {
	case i.message.Expired(now):
		b.setAside(s, i, broker.Problem{Reason: broker.ReasonExpired, Description: "it was to be handled by " + i.message.Expires.UTC().Format(time.RFC3339Nano)})
		return nil
	case i.count >= s.MaxDeliveries:
		b.setAside(s, i, broker.Problem{Reason: broker.ReasonExhausted, Description: fmt.Sprintf("handed out %d times; the last one did not say what became of it", i.count)})
		return nil
	}
	i.count++
	s.handouts++
	i.holder, i.locked = s.handouts, now.Add(s.Lock)
	s.out[i] = true
	return &broker.Delivery{Message: i.message.Clone(), Topic: s.topic.Name, Subscription: s.Name, Sequence: i.seq, Count: i.count, Published: i.published, Lock: s.Lock,
		Settlement: &settlement{b: b, s: s, i: i, holder: i.holder}}
}
