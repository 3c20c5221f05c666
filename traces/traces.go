// Package traces lets OpenTelemetry follow a saga: from whoever starts it, over the coordinator's calls or the broker's tokens, to what participants do and undo, all in one trace. It stands on the seams
// that everything has: a client, an invoker, handlers, a broker, each wrapped; what is not wrapped passes the trace on as it is.
//
// A saga may sleep and outlive processes, so no span stays open for as long as it runs: each attempt is a span of its own below the saga's start. A later attempt, and a compensation, has a link to
// what came before as far as this process remembers it, and otherwise to the saga's start, with the attribute skald.resumed. Spans carry names, numbers and reason codes, never payloads or the words of errors.
package traces

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/skaldhq/skald/participant"
)

// scope names this package among what makes spans.
const scope = "github.com/skaldhq/skald/traces"

// Attributes of spans, beside those of OpenTelemetry's conventions.
const (
	attrSaga       = attribute.Key("skald.saga")
	attrDefinition = attribute.Key("skald.definition")
	attrStep       = attribute.Key("skald.step")
	attrPhase      = attribute.Key("skald.phase") // action or compensation
	attrAttempt    = attribute.Key("skald.attempt")
	attrClass      = attribute.Key("skald.class")  // done, refused or unknown
	attrReason     = attribute.Key("skald.reason") // reason code
	attrResumed    = attribute.Key("skald.resumed")
	attrToken      = attribute.Key("skald.token") // what a message says of its step
)

// Tracer makes spans. It is used concurrently.
type Tracer struct {
	tracer trace.Tracer
	past   past
}

// New makes a tracer whose spans go to a provider.
func New(provider trace.TracerProvider) *Tracer {
	return &Tracer{tracer: provider.Tracer(scope)}
}

// traceparent is the header of the W3C's trace context, as OpenTelemetry's propagator calls it.
const traceparent = "traceparent"

// parented is a context whose span is the one that a traceparent names. What is none changes nothing.
func parented(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceparent: parent})
}

// parentOf is the traceparent of a context's span, or the empty text without one.
func parentOf(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// of are the attributes of a call.
func of(c *participant.Call) []attribute.KeyValue {
	return []attribute.KeyValue{attrSaga.String(string(c.Saga)), attrStep.String(c.Step), attrPhase.String(string(c.Phase)), attrAttempt.Int64(int64(c.Attempt))}
}

// answered writes what came of a call into its span. That it is not known is an error, a refusal is not: it is business.
func answered(span trace.Span, a *participant.Answer) {
	span.SetAttributes(attrClass.String(a.Class.String()))
	if a.Reason != "" {
		span.SetAttributes(attrReason.String(a.Reason))
	}
	if a.Class == participant.Unknown && !a.Working {
		span.SetStatus(codes.Error, "the result is not known")
	}
}

// links are what a call follows: its attempt before, or the action that it undoes.
func (t *Tracer) links(ctx context.Context, c *participant.Call) []trace.SpanStartOption {
	if before, ok := t.past.get(c.Key()); ok {
		return []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: before, Attributes: []attribute.KeyValue{attribute.String("skald.link", "attempt")}})}
	}
	action := *c
	action.Phase = participant.Action
	if before, ok := t.past.get(action.Key()); ok && c.Phase == participant.Compensation {
		return []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: before, Attributes: []attribute.KeyValue{attribute.String("skald.link", "action")}})}
	}
	if start := trace.SpanContextFromContext(ctx); start.IsValid() && (c.Attempt > 1 || c.Phase == participant.Compensation) {
		return []trace.SpanStartOption{trace.WithLinks(trace.Link{SpanContext: start, Attributes: []attribute.KeyValue{attribute.String("skald.link", "start")}}), trace.WithAttributes(attrResumed.Bool(true))}
	}
	return nil
}

// name is the name of a span about an operation; the phase and the attempt are attributes.
func name(verb, operation string) string { return verb + " " + operation }
