package bus

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/participant"
)

// ReasonUnknownType sets aside a message of a type that its receiver has no operation for: two programs spell it differently, or one is newer.
const ReasonUnknownType = "drone.unknown_type"

// Route says which operation handles a type of messages.
type Route struct {
	messageType string
	operation   string
	check       func(data []byte) error
}

// On routes a type of messages to an operation. Data that does not fit the operation's input to the letter, a renamed member included, is not handled but set aside with
// skald.ReasonMalformed.
func On[In, Out any](messageType string, op skald.Operation[In, Out]) Route {
	return Route{messageType, op.Name(), func(data []byte) error {
		if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
			return errors.New("it is null: send the operation's input") // else it would be read as the zero value
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		var in In
		if err := d.Decode(&in); err != nil {
			return err
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return errors.New("something follows the document")
		}
		return nil
	}}
}

// Serving says what a service hears.
type Serving struct {
	Broker       broker.Broker
	Topic        string
	Subscription string
	// Invoker carries the operations out: once for each message, however often it comes.
	Invoker participant.Invoker
	Routes  []Route
	Log     *slog.Logger
}

// again is when a subscription that cannot be received from is tried again.
const again = time.Second

// Serve hears messages and carries them out until the context ends; what is under way is waited for. A subscription that cannot be received from is tried again.
//
// A message whose operation is done, or refuses it, is settled: the refusal is stored, and told by the operation's own event. One without a known result comes again. What can
// never be handled is set aside as a dead letter.
func Serve(ctx context.Context, s Serving) {
	routes := make(map[string]Route, len(s.Routes))
	for _, r := range s.Routes {
		routes[r.messageType] = r
	}
	Listen(ctx, s.Broker, s.Topic, s.Subscription, s.Log, func(ctx context.Context, d *broker.Delivery) error {
		r, ok := routes[d.Message.Type]
		if !ok {
			return rejected(ReasonUnknownType, "%s of %s has no operation for type %q: spell it as its contract does", d.Subscription, d.Topic, d.Message.Type)
		}
		return s.carryOut(ctx, r, d)
	})
}

// Listen hands the messages of a subscription to a handler until the context ends; see broker.Consume. A subscription that cannot be received from is tried again.
func Listen(ctx context.Context, b broker.Broker, topic, subscription string, log *slog.Logger, handle broker.Handler) {
	log = cmp.Or(log, slog.Default())
	for ctx.Err() == nil {
		err := broker.Consume(ctx, b, broker.ConsumerConfig{Topic: topic, Subscription: subscription, Log: log}, handle)
		if ctx.Err() != nil || errors.Is(err, broker.ErrClosed) {
			return
		}
		log.WarnContext(ctx, "a subscription cannot be received from; it is tried again", "topic", topic, "subscription", subscription, "error", err)
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (s *Serving) carryOut(ctx context.Context, r Route, d *broker.Delivery) error {
	m := d.Message
	call := participant.Call{
		Saga: m.Saga, Step: m.Step, Phase: participant.Action, Operation: r.operation, Attempt: uint32(d.Count), Input: m.Data, Trace: m.Trace,
	}
	if err := errors.Join(r.check(m.Data), call.Check()); err != nil {
		return rejected(skald.ReasonMalformed, "%s: %v", m.Type, err)
	}
	a := s.Invoker.Invoke(ctx, call)
	switch {
	case a.Class == participant.Done:
		return nil
	case a.Class == participant.Refused && a.Reason == skald.ReasonMalformed:
		return rejected(a.Reason, "%s", a.Detail)
	case a.Class == participant.Refused:
		return nil // the operation's own event says so
	case a.RetryAfter > 0:
		return &broker.Retry{Problem: broker.Problem{Reason: cmp.Or(a.Reason, broker.ReasonFailed), Description: a.Detail}, After: a.RetryAfter}
	}
	return fmt.Errorf("%s: %s", r.operation, a.Detail)
}

func rejected(reason, format string, args ...any) error {
	return &broker.Rejection{Problem: broker.Problem{Reason: reason, Description: fmt.Sprintf(format, args...)}}
}
