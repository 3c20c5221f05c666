package traces

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/skaldhq/skald/broker"
)

// Broker wraps a broker: a span for each message that is published or decided, below the trace that the message carries. The messages themselves stay as they are: their trace is that of their saga's start, whoever
// sends them how often. One that keeps dead letters goes on doing so, and one that also tells its backlog and lets others overhear, as drivers do, all of it.
func (t *Tracer) Broker(b broker.Broker) broker.Broker {
	traced := tracedBroker{b, t}
	switch x := b.(type) {
	case driver:
		return struct {
			tracedBroker
			driver
		}{traced, x}
	case broker.DeadLetters:
		return struct {
			tracedBroker
			broker.DeadLetters
		}{traced, x}
	}
	return traced
}

// driver is what drivers can do beyond what they must.
type driver interface {
	broker.DeadLetters
	broker.Gauge
	broker.Overhearer
}

type tracedBroker struct {
	broker.Broker
	t *Tracer
}

// Publish implements broker.Broker.
func (b tracedBroker) Publish(ctx context.Context, topic string, messages ...broker.Message) error {
	spans := make([]trace.Span, len(messages))
	for i := range messages {
		spans[i] = b.begin(ctx, "publish", topic, &messages[i])
	}
	err := b.Broker.Publish(ctx, topic, messages...)
	for _, span := range spans {
		if err != nil {
			span.SetStatus(codes.Error, "not published")
		}
		span.End()
	}
	return err
}

// Decide implements broker.Broker.
func (b tracedBroker) Decide(ctx context.Context, topic string, m broker.Message) (broker.Decision, error) {
	span := b.begin(ctx, "decide", topic, &m)
	defer span.End()
	d, err := b.Broker.Decide(ctx, topic, m)
	if err != nil {
		span.SetStatus(codes.Error, "not decided")
	}
	span.SetAttributes(attribute.Bool("skald.won", d.Won))
	return d, err
}

// begin begins the span of a message. One without a trace is nobody's.
func (b tracedBroker) begin(ctx context.Context, verb, topic string, m *broker.Message) trace.Span {
	if m.Trace == "" {
		return trace.SpanFromContext(context.Background())
	}
	_, span := b.t.tracer.Start(parented(ctx, m.Trace), name(verb, m.Type), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.destination.name", topic), attribute.String("messaging.message.id", m.ID),
		attrSaga.String(string(m.Saga)), attrStep.String(m.Step), attrToken.String(m.Type)))
	return span
}
