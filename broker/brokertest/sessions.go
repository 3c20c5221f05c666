package brokertest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
)

func testSessions(t *testing.T, d Driver) {
	d.run(t, "OneKeyOneAtATimeOthersBeside", func(t *testing.T) {
		b := open(t, d, queue("q", sessions))
		publish(t, b, "q", message("a1", "a"), message("a2", "a"), message("b1", "b"), message("c1", "c"), message("b2", "b"))
		first, second := receiver(t, b, "q", "q"), receiver(t, another(t, d, b), "q", "q")
		held := map[broker.Key]*broker.Delivery{}
		for range 3 {
			got := next(t, first)
			held[got.Message.Key] = got
		}
		if held["a"].Message.ID != "a1" || held["b"].Message.ID != "b1" || held["c"].Message.ID != "c1" {
			t.Fatalf("%v", held)
		}
		nothing(t, first)
		nothing(t, second)
		complete(t, held["b"])
		got := nextOf(t, first, second)
		if got.Message.ID != "b2" {
			t.Errorf("got %s", got.Message.ID)
		}
		complete(t, held["a"])
		if got := nextOf(t, first, second); got.Message.ID != "a2" {
			t.Errorf("got %s", got.Message.ID)
		}
	})
	d.timed(t, "AnAbandonedMessageKeepsItsPlace", func(t *testing.T) {
		b := open(t, d, queue("q", sessions))
		publish(t, b, "q", message("a1", "a"), message("a2", "a"), message("b1", "b"))
		r := receiver(t, b, "q", "q")
		got := next(t, r)
		begin := time.Now()
		abandon(t, got, 300*time.Millisecond, broker.Problem{Reason: "Busy"})
		for _, want := range []string{"b1", "a1", "a2"} {
			got := next(t, r)
			if got.Message.ID != want {
				t.Fatalf("got %s, want %s", got.Message.ID, want)
			}
			if want == "a1" && time.Since(begin) < 300*time.Millisecond {
				t.Error("it came before its delay was over")
			}
			complete(t, got)
		}
	})
	d.run(t, "ASetAsideMessageFreesItsSession", func(t *testing.T) {
		b := open(t, d, queue("q", sessions))
		publish(t, b, "q", message("a1", "a"), message("a2", "a"))
		r := receiver(t, b, "q", "q")
		if err := next(t, r).DeadLetter(limited(t), broker.Problem{Reason: "Bad"}); err != nil {
			t.Fatal(err)
		}
		if got := next(t, r); got.Message.ID != "a2" || got.Count != 1 {
			t.Errorf("got %s, handed out %d times", got.Message.ID, got.Count)
		}
	})
	d.timed(t, "ADeadHoldersMessageComesFirst", func(t *testing.T) {
		b := open(t, d, queue("q", sessions, lock(300*time.Millisecond)))
		publish(t, b, "q", message("a1", "a"), message("a2", "a"))
		next(t, receiver(t, b, "q", "q")) // and never settles it
		r := receiver(t, another(t, d, b), "q", "q")
		for _, want := range []string{"a1", "a2"} {
			got := next(t, r)
			if got.Message.ID != want {
				t.Fatalf("got %s, want %s", got.Message.ID, want)
			}
			complete(t, got)
		}
	})
	d.timed(t, "AMessageThatKillsItsHoldersIsSetAside", func(t *testing.T) {
		const most = 3
		b := open(t, d, queue("q", sessions, deliveries(most), lock(200*time.Millisecond)))
		publish(t, b, "q", message("a1", "a"), message("a2", "a"))
		handedOut := 0
		for _, r := range []broker.Receiver{receiver(t, b, "q", "q"), receiver(t, another(t, d, b), "q", "q")} {
			if got := next(t, r); got.Message.ID != "a1" { // and it is never settled
				t.Fatalf("got %s", got.Message.ID)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			handedOut++
		}
		last := receiver(t, b, "q", "q")
		for {
			got := next(t, last)
			if got.Message.ID == "a2" {
				complete(t, got)
				break
			}
			if handedOut++; handedOut > most+1 { // after a holder's death it may count one less
				t.Fatalf("%s was handed out %d times, the last time as number %d", got.Message.ID, handedOut, got.Count)
			}
		}
		if got := onlyLetter(t, b); got.Message.ID != "a1" || got.Reason != broker.ReasonExhausted {
			t.Errorf("the letter is %+v", got)
		}
	})
	d.timed(t, "WaitingBehindAnotherIsNoAttempt", func(t *testing.T) {
		b := open(t, d, queue("q", sessions, deliveries(2), lock(300*time.Millisecond)))
		publish(t, b, "q", numbered(40, "a")...)
		r := receiver(t, b, "q", "q")
		for i := range 40 {
			got := next(t, r)
			if i%4 == 0 {
				if got.Count != 1 {
					t.Fatalf("%s was handed out %d times", got.Message.ID, got.Count)
				}
				abandon(t, got, 20*time.Millisecond, broker.Problem{Reason: "Busy"})
				got = next(t, r)
			}
			if got.Message.ID != fmt.Sprintf("m%d", i) || i%4 == 0 && got.Count != 2 {
				t.Fatalf("delivery %d is %s, handed out %d times", i, got.Message.ID, got.Count)
			}
			complete(t, got)
		}
		if page, err := b.Letters(limited(t), broker.LetterFilter{}); err != nil || len(page.Letters) != 0 {
			t.Errorf("%d letters (%v)", len(page.Letters), err)
		}
	})
	d.run(t, "ReplaysGoToTheEndOfTheSession", func(t *testing.T) {
		b := open(t, d, queue("q", sessions))
		publish(t, b, "q", numbered(3, "a")...)
		r := receiver(t, b, "q", "q")
		if err := next(t, r).DeadLetter(limited(t), broker.Problem{Reason: "Bad"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Replay(limited(t), broker.LetterID("q", "q", "m0"), "test"); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"m1", "m2", "m0"} {
			got := next(t, r)
			if got.Message.ID != want {
				t.Fatalf("got %s, want %s", got.Message.ID, want)
			}
			complete(t, got)
		}
	})
	d.run(t, "ManyKeysOverManyReceivers", func(t *testing.T) { testManySessions(t, d) })
}

// nextOf returns the next delivery of either of two receivers.
func nextOf(t *testing.T, a, b broker.Receiver) *broker.Delivery {
	t.Helper()
	ctx, cancel := context.WithCancel(limited(t))
	defer cancel()
	type result struct {
		d   *broker.Delivery
		err error
	}
	results := make(chan result, 2)
	for _, r := range []broker.Receiver{a, b} {
		go func() {
			all, err := r.Receive(ctx, 1)
			if err != nil {
				results <- result{err: err}
				return
			}
			results <- result{d: all[0]}
		}()
	}
	first := <-results
	cancel()
	second := <-results
	if first.d == nil {
		first = second
	} else if second.d != nil {
		t.Fatalf("both receivers got a message: %s and %s", first.d.Message.ID, second.d.Message.ID)
	}
	if first.d == nil {
		t.Fatal(first.err)
	}
	return first.d
}

// testManySessions lets three consumers handle many sessions, one of which is stuck: every session in its order, never two at a time, and only the stuck one waits.
func testManySessions(t *testing.T, d Driver) {
	b := open(t, d, queue("q", sessions))
	brokers := []Broker{b, another(t, d, b), another(t, d, b)}
	const keys, each = 20, 5
	stuck := make(chan struct{})
	var mu sync.Mutex
	handled, busy := make(map[broker.Key][]string), make(map[broker.Key]bool)
	done := func(key broker.Key) int {
		mu.Lock()
		defer mu.Unlock()
		return len(handled[key])
	}
	ctx, stop := context.WithCancel(t.Context())
	var consuming sync.WaitGroup
	for _, b := range brokers {
		consuming.Go(func() {
			err := broker.Consume(ctx, b, broker.ConsumerConfig{Log: slog.New(slog.DiscardHandler), Topic: "q", Subscription: "q", Parallel: 4}, func(_ context.Context, d *broker.Delivery) error {
				key := d.Message.Key
				mu.Lock()
				if busy[key] {
					t.Errorf("two messages of %s at a time", key)
				}
				busy[key] = true
				mu.Unlock()
				if key == "0" {
					<-stuck
				}
				mu.Lock()
				defer mu.Unlock()
				busy[key] = false
				handled[key] = append(handled[key], d.Message.ID)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	var want []string
	for i := range each {
		want = append(want, fmt.Sprint(i))
		for k := range keys {
			key := broker.Key(fmt.Sprint(k))
			m := message(fmt.Sprintf("%d", i), key)
			m.ID = fmt.Sprintf("%d/%d", k, i)
			publish(t, b, "q", m)
		}
	}
	for k := 1; k < keys; k++ {
		key := broker.Key(fmt.Sprint(k))
		eventually(t, "session "+string(key)+" is done", func() bool { return done(key) == each })
	}
	if n := done("0"); n != 0 {
		t.Errorf("%d messages of the stuck session were handled", n)
	}
	close(stuck)
	eventually(t, "the stuck session is done", func() bool { return done("0") == each })
	stop()
	consuming.Wait()
	for k := range keys {
		key := broker.Key(fmt.Sprint(k))
		var in []string
		for _, i := range want {
			in = append(in, string(key)+"/"+i)
		}
		if diff := cmp.Diff(in, handled[key]); diff != "" {
			t.Errorf("session %s: %s", key, diff)
		}
	}
}
