package broker

import "context"

type unhurried struct{}

// Unhurried returns a context for what nobody waits for. A driver may let it share the disk's syncs with what others wait for in the next moment, some 20 ms, instead of asking the disk for it; it is no less durable when the call returns.
func Unhurried(ctx context.Context) context.Context {
	return context.WithValue(ctx, unhurried{}, true)
}

// IsUnhurried says whether a context comes from Unhurried. It is for drivers.
func IsUnhurried(ctx context.Context) bool {
	is, _ := ctx.Value(unhurried{}).(bool)
	return is
}
