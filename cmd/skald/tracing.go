package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/embedded"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/traces"
)

// tracing sends spans to a collector. One that is nil leaves everything as it is.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   *traces.Tracer
}

// traced is the tracing that the flags ask for, or nil.
func (c *serveCommand) traced(ctx context.Context, log *slog.Logger) (*tracing, error) {
	if c.Traces == "" {
		return nil, nil //nolint:nilnil // nothing is traced
	}
	if u, err := url.Parse(c.Traces); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usage(fmt.Errorf("--traces=%s: write it as http://127.0.0.1:4318/v1/traces", c.Traces))
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.Traces))
	if err != nil {
		return nil, usage(fmt.Errorf("--traces: %w", err))
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "skald")), resource.WithFromEnv())
	if err != nil {
		return nil, usage(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err))
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("spans are not sent", "error", err) }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return &tracing{provider, traces.New(provider)}, nil
}

// stop sends what is left.
func (t *tracing) stop() error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what cannot be sent was logged, and is no reason to fail
	return nil
}

func (t *tracing) invoker(i participant.Invoker) participant.Invoker {
	if t == nil {
		return i
	}
	return t.tracer.Invoker(i)
}

func (t *tracing) broker(b broker.Broker) broker.Broker {
	if t == nil {
		return b
	}
	return t.tracer.Broker(b)
}

// start starts sagas in a span.
func (t *tracing) start(e *embedded.Engine) func(context.Context, skald.StartRequest) (skald.Started, error) {
	if t == nil {
		return e.Start
	}
	return t.tracer.Client(e).Start
}
