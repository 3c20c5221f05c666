package traces

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/skaldhq/skald/participant"
)

// Invoker wraps what makes a coordinator's calls: a span for each attempt, which travels with the call so that what the participant does stands below it. One that is a participant.Desk stays one.
func (t *Tracer) Invoker(i participant.Invoker) participant.Invoker {
	traced := invoker{i, t}
	if desk, ok := i.(participant.Desk); ok {
		return struct {
			invoker
			participant.Desk
		}{traced, desk}
	}
	return traced
}

type invoker struct {
	next participant.Invoker
	t    *Tracer
}

// Invoke implements participant.Invoker.
func (i invoker) Invoke(ctx context.Context, c participant.Call) participant.Answer {
	ctx = parented(ctx, c.Trace)
	options := append(i.t.links(ctx, &c), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(of(&c)...))
	ctx, span := i.t.tracer.Start(ctx, name("call", c.Operation), options...)
	defer span.End()
	i.t.past.put(c.Key(), span.SpanContext())
	if made := parentOf(ctx); made != "" {
		c.Trace = made
	}
	a := i.next.Invoke(ctx, c)
	answered(span, &a)
	return a
}

// Handlers wraps a participant's handlers, for either mode: a span for each time that one runs, whose context the handler gets, so that what it does outside (Prepare) and in its database stands below it. A
// stored answer runs none.
func (t *Tracer) Handlers(handlers ...participant.Handler) []participant.Handler {
	traced := make([]participant.Handler, len(handlers))
	for i, h := range handlers {
		traced[i] = t.handler(h)
	}
	return traced
}

func (t *Tracer) handler(h participant.Handler) participant.Handler {
	prepare, do, undo := h.Prepare, h.Do, h.Undo
	if prepare != nil {
		h.Prepare = func(ctx context.Context, input []byte) (prepared context.Context, err error) {
			_ = t.within(ctx, "prepare", h.Action, func(inner context.Context) error {
				prepared, err = prepare(inner, input)
				return err
			})
			return prepared, err
		}
	}
	if do != nil {
		h.Do = func(ctx context.Context, tx participant.Tx, input []byte) (result []byte, err error) {
			_ = t.within(ctx, "do", h.Action, func(ctx context.Context) error {
				result, err = do(ctx, tx, input)
				return err
			})
			return result, err
		}
	}
	if undo != nil {
		h.Undo = func(ctx context.Context, tx participant.Tx, input, result []byte) error {
			return t.within(ctx, "undo", h.Compensation, func(ctx context.Context) error { return undo(ctx, tx, input, result) })
		}
	}
	return h
}

// within runs a handler in a span.
func (t *Tracer) within(ctx context.Context, verb, operation string, run func(ctx context.Context) error) error {
	c, _ := participant.CallOf(ctx)
	ctx = parented(ctx, c.Trace)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(of(&c)...)}
	key := "handled/" + verb + "/" + c.Key()
	if before, ok := t.past.get(key); ok {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: before}))
	} else if c.Attempt > 1 {
		options = append(options, trace.WithAttributes(attrResumed.Bool(true)), trace.WithLinks(trace.LinkFromContext(ctx)))
	}
	ctx, span := t.tracer.Start(ctx, name(verb, operation), options...)
	defer span.End()
	t.past.put(key, span.SpanContext())
	err := run(ctx)
	var refusal *participant.Refusal
	var later *participant.Postponement
	switch {
	case err == nil:
	case errors.As(err, &refusal):
		span.SetAttributes(attrReason.String(refusal.Reason))
	case errors.As(err, &later):
		span.SetAttributes(attrReason.String(later.Reason))
	default:
		span.SetStatus(codes.Error, "the handler failed") // its words are for the log
	}
	return err
}
