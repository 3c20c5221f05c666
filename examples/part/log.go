package part

import (
	"context"
	"log/slog"
)

// everySo is how many failed attempts of one call are logged as one line, after the first.
const everySo = 10

// sparing is a log that says of a call that fails again and again only the first time and every tenth time after it, and nothing that another of its
// words says already: a service that is down must not bury what else happens. The coordinator logs how it ends.
type sparing struct{ slog.Handler }

// Handle passes the record on, shortened, or drops it.
func (s sparing) Handle(ctx context.Context, r slog.Record) error {
	attempt, step := uint64(0), ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "attempt":
			if n, ok := a.Value.Resolve().Any().(uint32); ok {
				attempt = uint64(n)
			} else if a.Value.Kind() == slog.KindUint64 {
				attempt = a.Value.Uint64()
			}
		case "step":
			step = a.Value.String()
		}
		return true
	})
	if attempt == 0 {
		return s.Handler.Handle(ctx, r)
	}
	if attempt > 1 && attempt%everySo != 0 {
		return nil
	}
	short := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		said := a.Key == "operation" && a.Value.String() == step || a.Key == "phase" && a.Value.String() == "action"
		if !said {
			short.AddAttrs(a)
		}
		return true
	})
	return s.Handler.Handle(ctx, short)
}

// WithAttrs keeps sparing.
func (s sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sparing{s.Handler.WithAttrs(attrs)}
}

// WithGroup keeps sparing.
func (s sparing) WithGroup(name string) slog.Handler { return sparing{s.Handler.WithGroup(name)} }
