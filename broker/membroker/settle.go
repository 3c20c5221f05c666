package membroker

import (
	"context"
	"time"

	"github.com/skaldhq/skald/broker"
)

// settlement implements broker.Settlement for one holder of an item.
type settlement struct {
	b      *Broker
	s      *subscription
	i      *item
	holder int
}

// do runs a settlement if it gets through and its holder may make it.
func (h *settlement) do(ctx context.Context, settle func(now time.Time)) error {
	if err := h.b.enter(ctx); err != nil {
		return err
	}
	defer h.b.mu.Unlock()
	if h.b.happens(LostAck) {
		return errFault
	}
	now := h.b.cfg.Now()
	if (h.i.gone || h.i.holder != h.holder || !h.i.locked.After(now)) && !h.b.happens(LateAck) {
		return broker.ErrLockLost
	}
	if !h.i.gone {
		settle(now)
		h.b.notify()
	}
	if h.b.happens(LostAckReply) {
		return errFault
	}
	return nil
}

// Renew implements broker.Settlement.
func (h *settlement) Renew(ctx context.Context) error {
	return h.do(ctx, func(now time.Time) { h.i.locked = now.Add(h.s.Lock) })
}

// Complete implements broker.Settlement.
func (h *settlement) Complete(ctx context.Context) error {
	return h.do(ctx, func(time.Time) { h.s.remove(h.i) })
}

// Completed implements broker.Settlement.
func (h *settlement) Completed() {
	_ = h.Complete(context.Background()) // if it is lost, the message is handed out again
}

// Abandon implements broker.Settlement.
func (h *settlement) Abandon(ctx context.Context, delay time.Duration, p broker.Problem) error {
	return h.do(ctx, func(now time.Time) {
		if h.i.fail(p, now); h.i.count >= h.s.MaxDeliveries {
			h.b.setAside(h.s, h.i, broker.Problem{Reason: broker.ReasonExhausted, Description: p.Reason + ": " + p.Description})
			return
		}
		h.i.locked, h.i.from = time.Time{}, now.Add(delay)
		delete(h.s.out, h.i)
	})
}

// DeadLetter implements broker.Settlement.
func (h *settlement) DeadLetter(ctx context.Context, p broker.Problem) error {
	return h.do(ctx, func(now time.Time) {
		h.i.fail(p, now)
		h.b.setAside(h.s, h.i, p)
	})
}

// fail records that an item was not handled.
func (i *item) fail(p broker.Problem, now time.Time) {
	i.last = broker.Failure{Problem: p.Cut(), At: now.UTC()}
	if i.first.At.IsZero() {
		i.first = i.last
	}
}
