// Package otlptraces sends the spans of package traces to a collector over OTLP/HTTP, for programs that say where by a flag. The variables of the environment that OpenTelemetry's specification has for exporters (headers, certificates), samplers and resources count, too.
package otlptraces

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/skaldhq/skald/traces"
)

// Config says where spans go.
type Config struct {
	// URL is the collector's, such as "http://127.0.0.1:4318/v1/traces". Required.
	URL string
	// Service is the name of the program among those whose spans a collector gets; OTEL_SERVICE_NAME goes before it. Required.
	Service string
	// Logger hears of spans that cannot be sent. Required.
	Logger *slog.Logger
}

// Sender makes spans and sends them, some at a time. It is used concurrently.
type Sender struct {
	*traces.Tracer
	provider *sdktrace.TracerProvider
}

// patience is how long the last spans may take.
const patience = 5 * time.Second

// Open makes a sender. Nothing is connected to yet: a collector that is away costs its spans and a warning, and nothing else. The error says what is wrong with the configuration or the environment.
func Open(ctx context.Context, c Config) (*Sender, error) {
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no collector's address: write it as http://127.0.0.1:4318/v1/traces", c.URL)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.URL))
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", c.Service)), resource.WithFromEnv())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err), exporter.Shutdown(ctx))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(logged{exporter, c.Logger}), sdktrace.WithResource(about))
	return &Sender{traces.New(provider), provider}, nil
}

// Close sends what is left, for a few seconds at most. What cannot be sent is logged, and is no reason for a program to fail.
func (s *Sender) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = s.provider.Shutdown(ctx)
}

// logged is an exporter whose failures are said in the program's own log, and not to whatever the process has for all errors of OpenTelemetry.
type logged struct {
	sdktrace.SpanExporter
	log *slog.Logger
}

// ExportSpans implements sdktrace.SpanExporter.
func (x logged) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := x.SpanExporter.ExportSpans(ctx, spans); err != nil {
		x.log.WarnContext(ctx, "spans are not sent", "spans", len(spans), "error", err)
	}
	return nil
}
