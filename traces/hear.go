package traces

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/skaldhq/skald/participant"
)

// Hear begins the span of what a participant does about a token that it heard over the broker, which began at a time: it is known only then that there is something to do. What is done stands below the traceparent, which is empty if the saga is
// not traced. The caller calls end, with what kept it from doing it, or nil.
func (t *Tracer) Hear(ctx context.Context, token *participant.Token, began time.Time) (traceparent string, end func(error)) {
	if token.Trace == "" {
		return "", func(error) {}
	}
	ctx, span := t.tracer.Start(parented(ctx, token.Trace), name("consume", "skald.token."+string(token.Kind)), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(began), trace.WithAttributes(
		attribute.String("messaging.message.id", token.ID), attrSaga.String(string(token.Saga)), attrDefinition.String(token.Definition), attrStep.String(token.Step)))
	return parentOf(ctx), func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "not dealt with")
		}
		span.End()
	}
}

// Publisher wraps what takes events from an outbox: a span for each event, below the trace that it carries.
func (t *Tracer) Publisher(p participant.Publisher) participant.Publisher { return publisher{p, t} }

type publisher struct {
	next participant.Publisher
	t    *Tracer
}

// Publish implements participant.Publisher.
func (p publisher) Publish(ctx context.Context, messages []participant.Message) error {
	spans := make([]trace.Span, 0, len(messages))
	for i := range messages {
		m := &messages[i]
		if m.Trace == "" {
			continue
		}
		_, span := p.t.tracer.Start(parented(ctx, m.Trace), name("publish", m.Type), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
			attribute.String("messaging.message.id", m.ID), attrSaga.String(string(m.Saga)), attrStep.String(m.Step)))
		spans = append(spans, span)
	}
	err := p.next.Publish(ctx, messages)
	for _, span := range spans {
		if err != nil {
			span.SetStatus(codes.Error, "not published")
		}
		span.End()
	}
	return err
}
