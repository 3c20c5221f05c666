package program_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/examples/program"
)

// work is what a process runs; it ends so long after it was told to.
type work struct {
	failed chan error
	takes  time.Duration
	cutOff error
	told   bool
}

func (w *work) Failed() <-chan error { return w.failed }

func (w *work) Stop(ctx context.Context) error {
	w.told = true
	select {
	case <-time.After(w.takes):
		return nil
	case <-ctx.Done():
		return w.cutOff
	}
}

func TestServeEndsSoftlyWhenItIsToldTo(t *testing.T) {
	cutOff := errors.New("cut off")
	for takes, want := range map[time.Duration]error{9 * time.Second: nil, 11 * time.Second: cutOff} {
		synctest.Test(t, func(t *testing.T) {
			ctx, tell := context.WithCancel(t.Context())
			w, stops := &work{takes: takes, cutOff: cutOff}, 0
			go func() {
				time.Sleep(time.Hour)
				tell()
			}()
			if err := program.Serve(ctx, func() { stops++ }, w); !errors.Is(err, want) || stops != 1 {
				t.Errorf("what takes %v: %v, and %d times signals were given back", takes, err, stops)
			}
		})
	}
}

func TestServeStopsWhatFailed(t *testing.T) {
	broken := errors.New("broken")
	w := &work{failed: make(chan error, 1)}
	w.failed <- broken
	if err := program.Serve(t.Context(), func() { t.Error("signals are given back before one came") }, w); !errors.Is(err, broken) || !w.told {
		t.Errorf("%v, stopped: %t", err, w.told)
	}
}
