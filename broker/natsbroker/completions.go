package natsbroker

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// completions are messages that are done with, and nobody waits until the server has heard it. They are sent many at a time: each by itself would wake the server, which would write the subscription's state
// to the disk ten times a second, beside the messages that somebody does wait for. Whatever a crash loses of them is handed out again.
type completions struct {
	mu      sync.Mutex
	waiting []*nats.Msg
	timer   *time.Timer
}

// How completions gather.
const (
	completeAfter = time.Second
	completeMost  = 512
)

// patient says whether messages may be left in flight for a moment longer: their locks last, and there is room for others.
func (s *subscription) patient() bool {
	return !s.sessions && s.lock >= 4*completeAfter && s.maxInFlight >= 4*completeMost
}

// complete completes a message without waiting until the server has heard it.
func (b *Broker) complete(s *subscription, msg *nats.Msg) {
	if !s.patient() {
		b.sendCompletion(msg)
		return
	}
	c := &b.completions
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, msg)
	switch {
	case len(c.waiting) >= completeMost:
		b.sendCompletionsLocked()
	case len(c.waiting) == 1 && c.timer == nil:
		c.timer = time.AfterFunc(completeAfter, b.sendCompletions)
	case len(c.waiting) == 1:
		c.timer.Reset(completeAfter)
	}
}

// sendCompletions sends what waits.
func (b *Broker) sendCompletions() {
	b.completions.mu.Lock()
	defer b.completions.mu.Unlock()
	b.sendCompletionsLocked()
}

func (b *Broker) sendCompletionsLocked() {
	for _, msg := range b.completions.waiting {
		b.sendCompletion(msg)
	}
	clear(b.completions.waiting)
	b.completions.waiting = b.completions.waiting[:0]
	if b.completions.timer != nil {
		b.completions.timer.Stop()
	}
}

func (b *Broker) sendCompletion(msg *nats.Msg) {
	if err := msg.Respond([]byte(ackDone)); err != nil {
		b.log.Debug("a settlement was not sent; the message comes again", "subject", msg.Subject, "error", err)
	}
}
