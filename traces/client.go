package traces

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/skaldhq/skald"
)

// Client wraps who starts sagas: an engine, or a client of one elsewhere. The span of a start is what all of its saga hangs below; it stands below the caller's own span, if the context has one, or below the
// traceparent that the start names.
func (t *Tracer) Client(c skald.Client) skald.Client { return client{c, t} }

type client struct {
	skald.Client
	t *Tracer
}

// Start implements skald.Client.
func (c client) Start(ctx context.Context, q skald.StartRequest) (skald.Started, error) {
	ctx, span := c.t.tracer.Start(parented(ctx, q.Trace), name("start", q.Definition), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrDefinition.String(q.Definition)))
	defer span.End()
	if made := parentOf(ctx); made != "" {
		q.Trace = made
	}
	started, err := c.Client.Start(ctx, q)
	span.SetAttributes(attrSaga.String(string(started.ID)))
	if err != nil {
		span.SetStatus(codes.Error, "not started")
	}
	return started, err
}
