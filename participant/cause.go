package participant

import "context"

type causeKey struct{}

// WithCause returns a context for work that follows from something that may not be decided or durable yet. durable waits until it is; it may be called more than once, and by several goroutines.
func WithCause(ctx context.Context, durable func(context.Context) error) context.Context {
	return context.WithValue(ctx, causeKey{}, durable)
}

// AwaitCause returns when that which the context's work follows from is durable. After an error it may be lost, or something else be decided in its place: then nothing of the work may last.
func AwaitCause(ctx context.Context) error {
	if durable, ok := ctx.Value(causeKey{}).(func(context.Context) error); ok {
		return durable(ctx)
	}
	return nil
}
