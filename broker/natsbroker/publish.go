package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// wire returns a message as it is sent to a subject.
func wire(subject string, m broker.Message) (*nats.Msg, error) {
	headers, err := broker.Encode(m)
	if err != nil {
		return nil, err
	}
	msg := &nats.Msg{Subject: subject, Header: make(nats.Header, len(headers)+2), Data: m.Data}
	for _, h := range headers {
		msg.Header[h.Name] = []string{h.Value} // not Set, which changes the case of some
	}
	if len(msg.Data) == 0 && msg.Header.Get("Status") == strconv.Itoa(http.StatusServiceUnavailable) {
		return nil, fmt.Errorf("%w: message %.200q: without data, its header Status reads like a server's word that nobody answers: give it data, or the header another name", broker.ErrInvalid, m.ID)
	}
	return msg, nil
}

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, name string, messages ...broker.Message) error {
	out := make([]*nats.Msg, 0, len(messages))
	for _, m := range messages {
		msg, err := b.outgoing(name, m)
		if err != nil {
			return fmt.Errorf("natsbroker: %w", err)
		}
		out = append(out, msg)
	}
	leave, err := b.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	t, err := b.topic(ctx, name)
	if err != nil {
		return err
	}
	if t.kept {
		return fmt.Errorf("natsbroker: topic %s is kept: use Decide: %w", name, broker.ErrInvalid)
	}
	if err := b.room(); err != nil {
		return err
	}
	unknown, err := b.retryKnowing(ctx, func(ctx context.Context) error { return b.publishAll(ctx, out) })
	return b.outcome("publishing to "+name, unknown, err)
}

// outgoing returns a message to be published, delayed or not.
func (b *Broker) outgoing(topic string, m broker.Message) (*nats.Msg, error) {
	if m.NotBefore.After(time.Now()) {
		msg, err := wire(b.names.delay(topic), m)
		if err != nil {
			return nil, err
		}
		msg.Header[nats.MsgIdHdr] = []string{topic + "/" + msg.Header["ce-id"][0]}
		msg.Header[headerDue] = []string{m.NotBefore.UTC().Format(time.RFC3339Nano)}
		msg.Header[headerKey] = []string{string(m.Key)}
		return msg, nil
	}
	msg, err := wire(b.names.message(topic, m.Key), m)
	if err != nil {
		return nil, err
	}
	msg.Header[nats.MsgIdHdr] = msg.Header["ce-id"]
	return msg, nil
}

// publishAll sends messages in their order and waits until all are stored.
func (b *Broker) publishAll(ctx context.Context, out []*nats.Msg) error {
	if len(out) == 1 {
		_, err := b.js.PublishMsg(ctx, out[0], jetstream.WithRetryAttempts(0))
		return err
	}
	futures := make([]jetstream.PubAckFuture, 0, len(out))
	for _, msg := range out {
		future, err := b.js.PublishMsgAsync(msg)
		if err != nil {
			return err
		}
		futures = append(futures, future)
	}
	var faults []error
	for _, future := range futures {
		select {
		case <-future.Ok():
		case err := <-future.Err():
			faults = append(faults, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, err := range faults {
		if !transient(err) {
			return err
		}
	}
	return errors.Join(faults...)
}

// outcome is a publish's error as the contract has it: an earlier attempt may have taken effect, whatever the last one says.
func (b *Broker) outcome(what string, unknown bool, err error) error {
	if err == nil {
		return nil
	}
	if explained := b.explain(err); !unknown || !errors.Is(explained, broker.ErrFull) {
		return fmt.Errorf("natsbroker: %s: %w", what, explained)
	}
	return fmt.Errorf("natsbroker: %s: an attempt did not say what became of it, and then: %s", what, err.Error())
}

// Decide implements broker.Broker.
func (b *Broker) Decide(ctx context.Context, name string, m broker.Message) (broker.Decision, error) {
	msg, err := wire(b.names.message(name, m.Key), m)
	if err != nil {
		return broker.Decision{}, fmt.Errorf("natsbroker: %w", err)
	}
	leave, err := b.enter(ctx)
	if err != nil {
		return broker.Decision{}, err
	}
	defer leave()
	t, err := b.topic(ctx, name)
	if err != nil {
		return broker.Decision{}, err
	}
	if !t.kept || !m.NotBefore.IsZero() {
		return broker.Decision{}, fmt.Errorf("natsbroker: topic %s is not kept, or the message is delayed: use Publish: %w", name, broker.ErrInvalid)
	}
	if err := b.room(); err != nil {
		return broker.Decision{}, err
	}
	proposed := decided(m)
	proposal := b.overhearing.Propose(name, proposed)
	defer proposal.Close()
	var decision broker.Decision
	b.telling.put(msg.Subject)
	unknown, err := b.retryKnowing(ctx, func(ctx context.Context) error {
		decision, err = b.decide(ctx, t, proposed, msg, proposal)
		return err
	})
	if err == nil && decision.Won {
		proposal.Durable()
	} else {
		b.telling.drop(msg.Subject)
	}
	return decision, b.outcome("deciding "+string(m.Key)+" on "+name, unknown, err)
}

// Overhear implements broker.Overhearer.
func (b *Broker) Overhear(topic string, when broker.Moment, heard func(m broker.Message, durable func(context.Context) error)) (stop func()) {
	return b.overhearing.Overhear(topic, when, heard)
}

func (b *Broker) decide(ctx context.Context, t topic, m broker.Message, msg *nats.Msg, proposal *broker.Proposal) (broker.Decision, error) {
	by := b.syncs()
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0), jetstream.WithRetryAttempts(0))
	if err == nil {
		proposal.Won(func(ctx context.Context) error { return by.await(ctx, t.stream, ack.Sequence) })
		b.saw(t.name, ack.Sequence)
		return broker.Decision{Won: true, Message: m}, by.sync(ctx, t.stream, ack.Sequence)
	}
	switch codeOf(err) {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
	default:
		return broker.Decision{}, err
	}
	stored, err := b.getMsg(ctx, t.stream, msgRequest{LastFor: msg.Subject})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return broker.Decision{}, errUndecided // purged in between: try again
	}
	if err != nil {
		return broker.Decision{}, err
	}
	if err := by.await(ctx, t.stream, stored.seq); err != nil {
		return broker.Decision{}, err
	}
	b.saw(t.name, stored.seq)
	winner, err := stored.message(b.names.key(t.name, stored.subject))
	if err != nil {
		return broker.Decision{}, fmt.Errorf("what was decided cannot be read: %w", err)
	}
	d := broker.Decision{Won: winner.ID == m.ID, Message: winner}
	if d.Won { // an attempt before did not say so
		proposal.WonBefore(d.Message)
	}
	return d, nil
}

// syncs are those of the server that runs now, to be asked before anything is heard of a kept topic from it. They are nil where the server says nothing of a message before that is on the disk.
func (b *Broker) syncs() *syncs {
	if b.cfg.Server == nil {
		return nil
	}
	return b.cfg.Server.syncs.Load()
}

// errUndecided is temporary.
var errUndecided = fmt.Errorf("the key was decided and purged: %w", nats.ErrTimeout)

// decided returns a message as a reader would get it.
func decided(m broker.Message) broker.Message {
	m = m.Clone()
	m.Time, m.Expires = m.Time.UTC(), m.Expires.UTC()
	if m.ContentType == "" {
		m.ContentType = broker.DefaultContentType
	}
	return m
}

// saw remembers that a message of a kept topic is known to be there.
func (b *Broker) saw(topic string, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.decided[topic] = max(b.decided[topic], seq)
}
