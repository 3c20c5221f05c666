package natsbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// failures are what is remembered of a message between its hand-outs, because the server only counts them.
type failures struct {
	ID    string  `json:"id"`    // of the message: a stream that was deleted and made anew counts from 1 again
	Count int     `json:"count"` // hand-outs; in a session the server also counts those to receivers where it had to wait
	First failure `json:"first"`
	Last  failure `json:"last"`
}

type failure struct {
	Reason      string    `json:"reason,omitempty"`
	Description string    `json:"description,omitempty"`
	At          time.Time `json:"at,omitzero"`
}

func imported(f broker.Failure) failure {
	p := f.Problem.Cut()
	return failure{p.Reason, p.Description, f.At}
}

func (f failure) exported() broker.Failure {
	return broker.Failure{Problem: broker.Problem{Reason: f.Reason, Description: f.Description}, At: f.At}
}

// fail adds a failure.
func (n *failures) fail(h *holder, p broker.Problem) {
	p = p.Cut()
	n.ID, n.Count = h.m.ID, h.count
	n.Last = failure{p.Reason, p.Description, time.Now().UTC()}
	if n.First.At.IsZero() {
		n.First = n.Last
	}
}

func (b *Broker) noteSubject(h *holder) string {
	return b.names.noteOf(h.s.topic.name, h.s.name, h.seq)
}

// note reads what is remembered of a message.
func (b *Broker) note(ctx context.Context, h *holder) (failures, error) {
	if meta, err := h.msg.Metadata(); err == nil && meta.NumDelivered == 1 {
		return failures{}, nil // there can be nothing
	}
	var n failures
	err := b.retry(ctx, func(ctx context.Context) error {
		s, err := b.getMsg(ctx, b.names.notes(), msgRequest{LastFor: b.noteSubject(h)})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err = readNote(s.data, h.m.ID)
		return err
	})
	if err != nil {
		return failures{}, fmt.Errorf("natsbroker: reading the failures of message %s: %w", h.m.ID, err)
	}
	return n, nil
}

// readNote reads what is remembered of a message; it is nothing if it is of another one.
func readNote(data []byte, id string) (failures, error) {
	var n failures
	if err := json.Unmarshal(data, &n); err != nil {
		return failures{}, err
	}
	switch {
	case n.ID != id:
		return failures{}, nil
	case n.Count < 0:
		return failures{}, fmt.Errorf("it was handed out %d times", n.Count)
	}
	return n, nil
}

func (b *Broker) putNote(ctx context.Context, h *holder, n failures) error {
	data, err := json.Marshal(n)
	if err != nil {
		return err
	}
	msg := &nats.Msg{Subject: b.noteSubject(h), Data: data}
	err = b.retry(ctx, func(ctx context.Context) error {
		_, err := b.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
		return err
	})
	if err != nil {
		return fmt.Errorf("natsbroker: storing the failures of message %s: %w", h.m.ID, b.explain(err))
	}
	return nil
}
