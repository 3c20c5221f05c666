package brokertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
)

// consume runs a consumer until the test stops it.
func consume(t *testing.T, b Broker, cfg broker.ConsumerConfig, h broker.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- broker.Consume(ctx, b, cfg, h) }()
	return func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("consuming: %v", err)
			}
		case <-time.After(patience):
			t.Error("the consumer does not stop")
		}
	}
}

func testConsume(t *testing.T, d Driver) {
	quick := func(int) time.Duration { return 10 * time.Millisecond }
	d.timed(t, "WhatAHandlerReturnsSettles", func(t *testing.T) {
		b := open(t, d, queue("q", deliveries(3)))
		var calls atomic.Int32
		stop := consume(t, b, broker.ConsumerConfig{Log: slog.New(slog.DiscardHandler), Topic: "q", Subscription: "q", Backoff: quick}, func(_ context.Context, d *broker.Delivery) error {
			calls.Add(1)
			switch d.Message.ID {
			case "good":
				return nil
			case "rejected":
				return fmt.Errorf("wrapped: %w", &broker.Rejection{Problem: broker.Problem{Reason: "Package.TooHeavy", Description: "40 kg"}})
			case "panics":
				panic("poison")
			case "later":
				if d.Count == 1 {
					return &broker.Retry{Problem: broker.Problem{Reason: "Busy"}, After: time.Millisecond}
				}
				return nil
			}
			return errors.New("broken")
		})
		for _, id := range []string{"good", "rejected", "panics", "later", "fails"} {
			publish(t, b, "q", message(id, "k"))
		}
		reasons := make(map[string]string)
		eventually(t, "three dead letters", func() bool {
			page, err := b.Letters(limited(t), broker.LetterFilter{})
			for _, l := range page.Letters {
				reasons[l.Message.ID] = l.Reason + " after " + l.Last.Reason
			}
			return err == nil && len(page.Letters) == 3
		})
		want := map[string]string{"rejected": "Package.TooHeavy after Package.TooHeavy", "panics": broker.ReasonExhausted + " after " + broker.ReasonPanic, "fails": broker.ReasonExhausted + " after " + broker.ReasonFailed}
		if diff := cmp.Diff(want, reasons); diff != "" {
			t.Error(diff)
		}
		eventually(t, "all are handled", func() bool { return calls.Load() == 1+1+3+2+3 })
		stop()
		nothing(t, receiver(t, b, "q", "q"))
	})
	d.run(t, "WhatIsIgnoredIsCompletedUnseen", func(t *testing.T) {
		for name, subscription := range map[string][]func(*broker.Subscription){"plain": nil, "sessions": {sessions}} {
			b := open(t, d, queue(name, subscription...))
			var mu sync.Mutex
			var seen []string
			stop := consume(t, b, broker.ConsumerConfig{
				Log: slog.New(slog.DiscardHandler), Topic: name, Subscription: name, Parallel: 1, Ignore: func(e broker.Envelope) bool {
					return e.Key.Elements()[0] == "noise" && e.Type == "noise made" && e.Header("X-Sort") == "sound"
				},
			}, func(_ context.Context, d *broker.Delivery) error {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, d.Message.ID)
				return nil
			})
			for i := range 40 {
				m := message(fmt.Sprint("ignored", i), broker.NewKey("noise", fmt.Sprint(i)))
				m.Type, m.Headers = "noise made", map[string]string{"X-Sort": "sound"}
				publish(t, b, name, m)
			}
			publish(t, b, name, message("heard", "signal/1"))
			eventually(t, "the last one is handled", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(seen) > 0
			})
			stop()
			if diff := cmp.Diff([]string{"heard"}, seen); diff != "" {
				t.Errorf("%s: handled (-want +got):\n%s", name, diff)
			}
			nothing(t, receiver(t, b, name, name))
		}
	})
	d.timed(t, "F15_LocksAreRenewedWhileAHandlerWorks", func(t *testing.T) {
		const held = 600 * time.Millisecond
		b := open(t, d, queue("q", lock(held)))
		release, calls := make(chan struct{}), atomic.Int32{}
		stop := consume(t, b, broker.ConsumerConfig{Log: slog.New(slog.DiscardHandler), Topic: "q", Subscription: "q"}, func(ctx context.Context, _ *broker.Delivery) error {
			calls.Add(1)
			select {
			case <-release:
			case <-ctx.Done():
				t.Error("the lock was lost")
			}
			return nil
		})
		publish(t, b, "q", message("m", "k"))
		begin := time.Now()
		eventually(t, "two locks have passed", func() bool { return time.Since(begin) > 2*held })
		close(release)
		stop()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls", n)
		}
		nothing(t, receiver(t, b, "q", "q"))
	})
	d.run(t, "StoppingLetsHandlersFinish", func(t *testing.T) {
		b := open(t, d, queue("q"))
		entered, release := make(chan struct{}), make(chan struct{})
		stop := consume(t, b, broker.ConsumerConfig{Log: slog.New(slog.DiscardHandler), Topic: "q", Subscription: "q"}, func(context.Context, *broker.Delivery) error {
			close(entered)
			<-release
			return nil
		})
		publish(t, b, "q", message("m", "k"))
		<-entered
		time.AfterFunc(50*time.Millisecond, func() { close(release) })
		stop()
		nothing(t, receiver(t, b, "q", "q"))
	})
	d.timed(t, "StoppingInterruptsWhoDoesNot", func(t *testing.T) {
		b := open(t, d, queue("q", lock(500*time.Millisecond)))
		entered := make(chan struct{})
		stop := consume(t, b, broker.ConsumerConfig{Log: slog.New(slog.DiscardHandler), Topic: "q", Subscription: "q", Grace: 20 * time.Millisecond, Backoff: quick}, func(ctx context.Context, _ *broker.Delivery) error {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		})
		publish(t, b, "q", message("m", "k"))
		<-entered
		stop()
		if got := next(t, receiver(t, b, "q", "q")); got.Count != 2 {
			t.Errorf("count %d", got.Count)
		}
	})
}

// calls are all methods, with arguments that would do.
func calls(b Broker) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Declare": func(ctx context.Context) error { return b.Declare(ctx, queue("q")) },
		"Publish": func(ctx context.Context) error { return b.Publish(ctx, "q", message("cancelled", "k")) },
		"Decide": func(ctx context.Context) error {
			_, err := b.Decide(ctx, "tokens", message("cancelled", "k"))
			return err
		},
		"Read":     func(ctx context.Context) error { _, err := b.Read(ctx, "tokens", "**"); return err },
		"Purge":    func(ctx context.Context) error { _, err := b.Purge(ctx, "tokens", "x/**"); return err },
		"Receiver": func(ctx context.Context) error { _, err := b.Receiver(ctx, "q", "q"); return err },
		"Probe":    b.Probe,
		"Backlog":  func(ctx context.Context) error { _, err := b.Backlog(ctx, "q", "q"); return err },
		"Letters":  func(ctx context.Context) error { _, err := b.Letters(ctx, broker.LetterFilter{}); return err },
		"Letter":   func(ctx context.Context) error { _, err := b.Letter(ctx, broker.LetterID("q", "q", "m")); return err },
		"Replay":   func(ctx context.Context) error { return b.Replay(ctx, broker.LetterID("q", "q", "m"), "note") },
		"Discard":  func(ctx context.Context) error { return b.Discard(ctx, broker.LetterID("q", "q", "m"), "note") },
	}
}

func testLife(t *testing.T, d Driver) {
	d.run(t, "EndedContextDoesNothing", func(t *testing.T) {
		b := open(t, d, queue("q"), tokens())
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(b) {
			isErr(t, name, call(ended), context.Canceled)
		}
		r := receiver(t, b, "q", "q")
		_, err := r.Receive(ended, 1)
		isErr(t, "Receive", err, context.Canceled)
		nothing(t, r)
		if got := decide(t, b, "tokens", message("m", "k")); !got.Won {
			t.Errorf("%+v", got)
		}
	})
	d.run(t, "CallsAfterCloseFail", func(t *testing.T) {
		b := open(t, d, queue("q"), tokens())
		publish(t, b, "q", message("m", "k"))
		r := receiver(t, b, "q", "q")
		held := next(t, r)
		waiting := make(chan error, 1)
		go func() {
			_, err := r.Receive(t.Context(), 1)
			waiting <- err
		}()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-waiting:
			isErr(t, "Receive", err, broker.ErrClosed)
		case <-time.After(patience):
			t.Error("a receiver waits for ever")
		}
		for name, call := range calls(b) {
			isErr(t, name, call(t.Context()), broker.ErrClosed)
		}
		isErr(t, "Complete", held.Complete(t.Context()), broker.ErrClosed)
		isErr(t, "second Receive", func() error { _, err := r.Receive(t.Context(), 1); return err }(), broker.ErrClosed)
	})
	d.run(t, "AClosedReceiverLeavesItsDeliveriesUsable", func(t *testing.T) {
		b := open(t, d, queue("q"), queue("s", sessions))
		for _, name := range []string{"q", "s"} {
			publish(t, b, name, numbered(3, "k")...)
			r := receiver(t, b, name, name)
			held := next(t, r)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			_, err := r.Receive(limited(t), 1)
			isErr(t, "Receive", err, broker.ErrClosed)
			complete(t, held)
			// What the receiver had in hand for itself comes again soon, not after a lock.
			again := receiver(t, b, name, name)
			for _, want := range []string{"m1", "m2"} {
				got := next(t, again)
				if got.Message.ID != want || got.Count != 1 {
					t.Errorf("%s: got %s with count %d", name, got.Message.ID, got.Count)
				}
				complete(t, got)
			}
		}
	})
	d.run(t, "ItCanBeWrittenTo", func(t *testing.T) {
		b := open(t, d)
		for range 3 {
			if err := b.Probe(limited(t)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// testReopen restarts the broker: what was acknowledged is there.
func testReopen(t *testing.T, d Driver) {
	if d.Reopen == nil {
		t.Log("this driver keeps nothing")
		return
	}
	topics := []broker.Topic{queue("q", lock(time.Second)), queue("s", sessions), tokens(broker.Subscription{Name: "all"})}
	b := d.Open(t)
	declare(t, b, topics...)
	publish(t, b, "q", full(), message("done", "k"), message("held", "k"), message("dead", "k"))
	publish(t, b, "s", numbered(3, "k")...)
	soon := message("soon", "k")
	soon.NotBefore = time.Now().Add(time.Second)
	publish(t, b, "q", soon)
	decide(t, b, "tokens", message("token", "s/1"))
	r := receiver(t, b, "q", "q")
	got := receive(t, r, 4)
	abandon(t, got[0], 0, broker.Problem{Reason: "Busy", Description: "before"})
	complete(t, got[1])
	if err := got[3].DeadLetter(limited(t), broker.Problem{Reason: "Bad"}); err != nil {
		t.Fatal(err)
	}
	abandon(t, got[2], 0, broker.Problem{})
	complete(t, next(t, receiver(t, b, "s", "s")))

	b = d.Reopen(t, b)
	closing(t, b)
	declare(t, b, topics...)
	counts := make(map[string]int)
	r = receiver(t, b, "q", "q")
	for len(counts) < 3 {
		got := next(t, r)
		counts[got.Message.ID] = got.Count
		if got.Message.ID == full().ID {
			if err := got.DeadLetter(limited(t), broker.Problem{Reason: "Bad", Description: "after"}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		complete(t, got)
	}
	if counts["soon"] != 1 || counts["held"] != 2 || counts[full().ID] != 2 {
		t.Errorf("counts %v", counts)
	}
	nothing(t, r)
	if diff := cmp.Diff([]string{"token"}, readIDs(t, b, "**")); diff != "" {
		t.Error(diff)
	}
	if got := decide(t, b, "tokens", message("late", "s/1")); got.Won {
		t.Error("a decision was forgotten")
	}
	if got := next(t, receiver(t, b, "s", "s")); got.Message.ID != "m1" || got.Count != 1 {
		t.Errorf("got %s with count %d", got.Message.ID, got.Count)
	}
	letter, err := b.Letter(limited(t), broker.LetterID("q", "q", full().ID))
	if err != nil || letter.First.Description != "before" || letter.Last.Description != "after" || letter.Count != 2 {
		t.Errorf("%+v (%v)", letter, err)
	}
	if _, err := b.Letter(limited(t), broker.LetterID("q", "q", "dead")); err != nil {
		t.Error(err)
	}
}
