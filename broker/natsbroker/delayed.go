package natsbroker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// mover is the consumer that moves delayed messages to their topics. All brokers share it. The server's own schedules would need streams that throw away what is old
// when they are full, which ours must not.
const (
	mover     = "mover"
	moverLock = 10 * time.Second
)

// moveDelayed moves delayed messages when they are due, until the broker is closed. A message that is not due yet is given back to come again when it is.
func (b *Broker) moveDelayed() {
	p := newPuller(b.conn, b.names.delayed(), mover)
	r := &receiver{b: b, puller: p, done: make(chan struct{})}
	for b.closing.Err() == nil {
		for _, a := range p.pop(64) {
			if err := b.move(b.closing, a); err != nil && b.closing.Err() == nil {
				b.log.Warn("delayed message not moved; trying again", "error", err)
			}
		}
		again, err := p.want(64)
		if err != nil {
			if b.closing.Err() == nil {
				b.log.Warn("waiting for delayed messages; trying again", "error", err)
			}
			again = time.Second
		}
		r.wait(b.closing, again)
	}
	if err := p.withdraw(); err != nil {
		b.log.Warn("withdrawing a request for delayed messages", "error", err)
	}
}

// move publishes a message that is due, and then completes it.
func (b *Broker) move(ctx context.Context, a arrival) error {
	ctx, cancel := context.WithTimeout(ctx, moverLock/2)
	defer cancel()
	due, err := time.Parse(time.RFC3339Nano, headerOf(a.Header, headerDue))
	key := broker.Key(headerOf(a.Header, headerKey))
	if err != nil || key.Check() != nil {
		_ = a.Respond([]byte(ackTerm)) // only a foreign program can have put it there
		return fmt.Errorf("it says to be due at %q under %q", headerOf(a.Header, headerDue), key)
	}
	if wait := time.Until(due); wait > 0 {
		return a.Respond(fmt.Appendf(nil, `%s {"delay":%d}`, ackNak, wait.Nanoseconds()))
	}
	name := strings.TrimPrefix(a.Subject, b.names.delay(""))
	msg := &nats.Msg{Subject: b.names.message(name, key), Header: make(nats.Header), Data: a.Data}
	for name, values := range a.Header {
		if !ownHeader(name) {
			msg.Header[name] = values
		}
	}
	msg.Header[nats.MsgIdHdr] = a.Header["ce-id"]
	if _, err := b.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("%w (giving it back: %w)", err, a.Respond(fmt.Appendf(nil, `%s {"delay":%d}`, ackNak, time.Second)))
	}
	_, err = b.conn.RequestWithContext(ctx, a.Reply, []byte(ackDone))
	return err
}

// headerOf returns the first value of a header, with its case.
func headerOf(h nats.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}
