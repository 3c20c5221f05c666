package skaldtest

import (
	"context"
	"time"

	"github.com/skaldhq/skald/participant"
)

// message is one call under way and its answer.
type message struct {
	answer *participant.Answer
	late   bool // the answer is coming although the caller's time is over
	until  time.Duration
}

// Invoke implements participant.Invoker: it carries the call over a network on which anything can happen to it.
func (l link) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	w, p, a := l.p.w, l.p, l.p.w.ledger.of(c.Saga)
	w.gate()
	w.checkCall(p, c)
	if c.Phase == participant.Action {
		a.flying++
		p.flying[l.owner]++
		defer func() {
			a.flying--
			p.flying[l.owner]--
		}()
	} else if w.maxCalls > 0 && p.flying[l.owner] >= w.maxCalls {
		w.saw("F16")
	}
	patience := c.Deadline.Sub(p.Now())
	m := &message{until: w.now + patience}
	if !l.send(m, c, patience) {
		w.sleep(time.Duration(1+w.random(20)) * time.Millisecond)
		w.site(atAnswer, p)
		return participant.Answer{Detail: "connection refused", RetryAfter: l.retryAfter(), NotAsked: true}
	}
	heard := func() bool { return m.answer != nil }
	if !w.until(patience, func() bool { return heard() || m.late || ctx.Err() != nil }) || m.late {
		w.park(func() bool { return heard() || !m.late || ctx.Err() != nil })
	}
	w.site(atAnswer, p)
	if m.answer == nil {
		if ctx.Err() == nil {
			w.saw("F08")
		}
		return participant.Answer{Detail: "no answer in time"}
	}
	return *m.answer
}

// retryAfter is what a participant that is down asks for, which may be more than it may.
func (l link) retryAfter() time.Duration {
	if l.p.w.random(4) == 0 {
		return time.Hour
	}
	return 0
}

// send puts the call on its way, or says that nobody listens.
func (l link) send(m *message, c participant.Call, patience time.Duration) bool {
	w := l.p.w
	f, draw := w.site(atCall, l.p)
	travel := w.latency()
	switch f {
	case outage:
		l.part.down = w.now + [...]time.Duration{time.Second, 20 * time.Second, 90 * time.Second, 40 * time.Minute}[draw%4]
	case lose:
		return true
	case delay:
		travel = max(patience, 0) + time.Duration(draw%600_000)*time.Millisecond
	case twice:
		if w.now < l.part.down {
			return false // of a call that never left there is no copy
		}
		w.deliver(l, &message{}, c, time.Duration(draw%30_000)*time.Millisecond*time.Duration(draw>>32%2))
	default:
	}
	if w.now < l.part.down {
		return false
	}
	w.deliver(l, m, c, travel)
	return true
}

func (w *world) latency() time.Duration {
	return time.Duration(500+w.random(20_000)) * time.Microsecond
}

// deliver lets a call arrive after a while, and its answer come back. Nothing that becomes of the caller changes that.
func (w *world) deliver(l link, m *message, c participant.Call, travel time.Duration) {
	w.spawn(nil, "message", func() {
		w.sleep(travel)
		a, late := l.part.arrive(l.p, c)
		if late {
			m.late = true
			w.sleep(m.until - w.now + time.Duration(w.random(3000))*time.Millisecond)
		} else {
			w.sleep(w.latency())
		}
		m.answer = &a
	})
}
