package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/embedded"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/traces/otlptraces"
)

// tracing sends spans to a collector. One that is nil leaves everything as it is.
type tracing struct{ *otlptraces.Sender }

// traced is the tracing that the flags ask for, or nil.
func (c *serveCommand) traced(ctx context.Context, log *slog.Logger) (*tracing, error) {
	if c.Traces == "" {
		return nil, nil //nolint:nilnil // nothing is traced
	}
	sender, err := otlptraces.Open(ctx, otlptraces.Config{URL: c.Traces, Service: "skald", Logger: log})
	if err != nil {
		return nil, usage(fmt.Errorf("--traces: %w", err))
	}
	return &tracing{sender}, nil
}

// stop sends what is left.
func (t *tracing) stop() error {
	if t != nil {
		t.Close()
	}
	return nil
}

func (t *tracing) invoker(i participant.Invoker) participant.Invoker {
	if t == nil {
		return i
	}
	return t.Invoker(i)
}

func (t *tracing) broker(b broker.Broker) broker.Broker {
	if t == nil {
		return b
	}
	return t.Broker(b)
}

// start starts sagas in a span.
func (t *tracing) start(e *embedded.Engine) func(context.Context, skald.StartRequest) (skald.Started, error) {
	if t == nil {
		return e.Start
	}
	return t.Client(e).Start
}
