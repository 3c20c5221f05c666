package traces_test

import (
	"context"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/participant"
	"github.com/skaldhq/skald/participant/sqlparticipant"
	"github.com/skaldhq/skald/traces"
)

// parts are what a program that is traced is made of.
type parts struct {
	engine *skald.Engine
	broker broker.Broker
	caller participant.Invoker
	client skald.Client
}

// provide sends spans to a collector on this machine.
func provide(ctx context.Context) (*sdktrace.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL("http://127.0.0.1:4318/v1/traces"))
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	return provider, nil
}

func traced(provider *sdktrace.TracerProvider, x *parts, config *skald.Config, c *sqlparticipant.Config, handlers []participant.Handler) (*sqlparticipant.Participant, error) {
	tracer := traces.New(provider)
	x.client = tracer.Client(x.engine)                                                                         // who starts sagas
	config.Participants["stock"] = skald.Participant{Invoker: tracer.Invoker(x.caller), Level: participant.L2} // a coordinator's calls
	config.Broker = tracer.Broker(x.broker)                                                                    // what goes over the broker
	return sqlparticipant.New(*c, tracer.Handlers(handlers...)...)                                             // what a service does
}

var _, _ = provide, traced // are in docs/traces.md
