package participant

import "context"

type callKey struct{}

// WithCall gives handlers access to the call they answer; drivers do this before they run a handler.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf returns the call that a handler answers. The second result is false outside a handler.
func CallOf(ctx context.Context) (Call, bool) {
	c, ok := ctx.Value(callKey{}).(Call)
	return c, ok
}
