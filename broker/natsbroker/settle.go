package natsbroker

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skaldhq/skald/broker"
)

// What is sent to settle a message.
const (
	ackDone     = "+ACK"
	ackProgress = "+WPI"
	ackNak      = "-NAK"
	ackTerm     = "+TERM"
)

// holder implements broker.Settlement for one hand-out.
type holder struct {
	b          *Broker
	s          subscription
	msg        *nats.Msg
	m          broker.Message
	seq        uint64
	count      int // hand-outs, this one included
	unreadable error
	settled    func() // told when the message was settled or given back; nil if nobody wants to know
	until      atomic.Int64
}

// lockedFrom says when the lock began.
func (h *holder) lockedFrom(at time.Time) { h.until.Store(at.Add(h.s.lock).UnixNano()) }

func (h *holder) lost() bool { return time.Now().UnixNano() > h.until.Load() }

// unfit says why the message must not be handed out, if so.
func (h *holder) unfit(now time.Time) (broker.Problem, bool) {
	h.count-- // it is not handed out this time
	switch {
	case h.unreadable != nil:
		return broker.Problem{Reason: broker.ReasonUnreadable, Description: h.unreadable.Error()}, true
	case h.m.Expired(now):
		return broker.Problem{Reason: broker.ReasonExpired, Description: "it was to be handled by " + h.m.Expires.Format(time.RFC3339Nano)}, true
	case h.count >= h.s.maxDeliveries:
		h.count = h.s.maxDeliveries // the server also counted those that were on their way here, while the one before was being set aside
		return broker.Problem{Reason: broker.ReasonExhausted, Description: fmt.Sprintf("handed out %d times; the last one did not say what became of it", h.count)}, true
	}
	h.count++
	return broker.Problem{}, false
}

// say sends a settlement and waits until it was heard. It sends it again only if nobody was there to hear it, as when a cluster has no leader for a moment.
func (h *holder) say(ctx context.Context, what string) error {
	for {
		_, err := h.b.conn.RequestWithContext(ctx, h.msg.Reply, []byte(what))
		if err == nil {
			return nil
		}
		if !unsent(err) || h.lost() || ctx.Err() != nil || h.b.closing.Err() != nil {
			return fmt.Errorf("natsbroker: settling message %s: %w", h.m.ID, err)
		}
		select {
		case <-ctx.Done():
		case <-h.b.closing.Done():
		case <-time.After(unheard):
		}
	}
}

// unheard is the pause after something that nobody was there to hear.
const unheard = 50 * time.Millisecond

// insist says what is harmless to say twice until it was heard: when a leader changes, an answer is lost.
func (h *holder) insist(ctx context.Context, what string) error {
	return h.b.retry(ctx, func(ctx context.Context) error { return h.say(ctx, what) })
}

// enter begins a settlement; strict ones need the lock.
func (h *holder) enter(ctx context.Context, strict bool) (leave func(), err error) {
	if leave, err = h.b.enter(ctx); err != nil {
		return nil, err
	}
	if strict && h.lost() {
		leave()
		h.release()
		return nil, broker.ErrLockLost
	}
	return leave, nil
}

// release lets go of the session.
func (h *holder) release() {
	if h.settled != nil {
		h.settled()
	}
}

// quickest is the least time for which the answer to a renewal is waited for.
const quickest = 500 * time.Millisecond

// Renew implements broker.Settlement. It insists, too, until the lock is lost.
func (h *holder) Renew(ctx context.Context) error {
	leave, err := h.enter(ctx, true)
	if err != nil {
		return err
	}
	defer leave()
	return h.b.retry(ctx, func(ctx context.Context) error {
		trying, cancel := context.WithTimeout(ctx, max(h.s.lock/3, quickest))
		defer cancel()
		at := time.Now()
		err := h.say(trying, ackProgress)
		switch {
		case err == nil:
			h.lockedFrom(at)
		case h.lost():
			return fmt.Errorf("%w (%s)", broker.ErrLockLost, err.Error())
		}
		return err
	})
}

// Complete implements broker.Settlement. A late one is sent all the same: it does no harm, and may save the work of doing it again.
func (h *holder) Complete(ctx context.Context) error {
	leave, err := h.enter(ctx, false)
	if err != nil {
		return err
	}
	defer leave()
	defer h.release()
	return h.insist(ctx, ackDone)
}

// Completed implements broker.Settlement.
func (h *holder) Completed() {
	leave, err := h.enter(context.Background(), false)
	if err != nil {
		return
	}
	defer leave()
	defer h.release()
	h.b.complete(&h.s, h.msg)
}

// Abandon implements broker.Settlement.
func (h *holder) Abandon(ctx context.Context, delay time.Duration, p broker.Problem) error {
	return h.fail(ctx, p, func(n failures) error {
		if h.count >= h.s.maxDeliveries {
			return h.b.setAside(ctx, h, n, broker.Problem{Reason: broker.ReasonExhausted, Description: p.Reason + ": " + p.Description})
		}
		if err := h.b.putNote(ctx, h, n); err != nil {
			return err
		}
		nak := ackNak
		if delay > 0 {
			nak = fmt.Sprintf(`%s {"delay":%d}`, ackNak, delay.Nanoseconds())
		}
		return h.say(ctx, nak)
	})
}

// DeadLetter implements broker.Settlement.
func (h *holder) DeadLetter(ctx context.Context, p broker.Problem) error {
	return h.fail(ctx, p, func(n failures) error { return h.b.setAside(ctx, h, n, p) })
}

// fail settles a message that was handed out in vain: then gets what is noted of it, with this problem.
func (h *holder) fail(ctx context.Context, p broker.Problem, then func(failures) error) error {
	leave, err := h.enter(ctx, true)
	if err != nil {
		return err
	}
	defer leave()
	defer h.release()
	n, err := h.b.note(ctx, h)
	if err != nil {
		return err
	}
	n.fail(h, p)
	return then(n)
}

// setAsideLogged sets aside what is not handed out.
func (b *Broker) setAsideLogged(ctx context.Context, h *holder, p broker.Problem) {
	n, err := b.note(ctx, h)
	if err == nil {
		if n.First.At.IsZero() {
			n.fail(h, p)
		}
		err = b.setAside(ctx, h, n, p)
	}
	h.release()
	if err != nil {
		b.log.Warn("message not set aside; it comes again", "topic", h.s.topic.name, "subscription", h.s.name, "message", h.m.ID, "reason", p.Reason, "error", err)
	}
}
