package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// listener is asked whether there is nothing to do about messages, and notes what it is handed.
type listener struct {
	mu      sync.Mutex
	asked   map[broker.Key]int
	handled map[broker.Key]bool
}

// ignore has nothing to do about overheard messages from the second time on.
func (l *listener) ignore(k broker.Key, _ func(string) string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[k]++
	return k.Elements()[0] == "overheard" && l.asked[k] > 1
}

func (l *listener) handle(_ context.Context, d *broker.Delivery) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handled[d.Message.Key] = true
	return nil
}

func (l *listener) all() []broker.Key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.handled))
}

func TestWhatIsDecidedHereIsAskedAboutAgainBeforeItIsHandedOut(t *testing.T) {
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	there := open(t, natsbroker.Config{Server: here.server})
	defer there.Close()
	topic := broker.Topic{Name: "tokens", Kept: true, Subscriptions: []broker.Subscription{{Name: "all", Lock: 5 * time.Second, MaxInFlight: 10_000}}}
	if err := here.Declare(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	l := &listener{asked: make(map[broker.Key]int), handled: make(map[broker.Key]bool)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- broker.Consume(ctx, here, broker.ConsumerConfig{Topic: "tokens", Subscription: "all", Ignore: l.ignore, Overheard: true, Unconfirmed: true, Log: quiet()}, l.handle)
	}()
	for key, by := range map[broker.Key]broker.Broker{"overheard/1": here, "overheard/2": here, "vain/1": here, "far/1": there} {
		m := broker.Message{ID: string(key), Type: "t", Source: "s", Key: key, Time: time.Now()}
		if d, err := by.Decide(t.Context(), "tokens", m); err != nil || !d.Won {
			t.Fatalf("%+v: %v", d, err)
		}
	}
	until(t, "what was overheard in vain, and what was decided elsewhere, is handled", func() bool { return len(l.all()) >= 2 })
	until(t, "nothing is left", func() bool {
		backlog, err := here.Backlog(t.Context(), "tokens", "all")
		return err == nil && backlog == broker.Backlog{}
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]broker.Key{"far/1", "vain/1"}, l.all()); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

// Whoever overhears everything asks the server twice a second, and not all the time, until somebody else can publish, too.
func TestWhoeverOverhearsEverythingRestsBetweenRequests(t *testing.T) {
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	topic := broker.Topic{Name: "tokens", Kept: true, Subscriptions: []broker.Subscription{{Name: "all", Lock: 5 * time.Second, MaxInFlight: 10_000}}}
	if err := here.Declare(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	l := &listener{asked: make(map[broker.Key]int), handled: make(map[broker.Key]bool)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- broker.Consume(ctx, here, broker.ConsumerConfig{Topic: "tokens", Subscription: "all", Ignore: l.ignore, Overheard: true, Unconfirmed: true, Log: quiet()}, l.handle)
	}()
	decide := func(by broker.Broker, key broker.Key) {
		t.Helper()
		if d, err := by.Decide(t.Context(), "tokens", broker.Message{ID: string(key), Type: "t", Source: "s", Key: key, Time: time.Now()}); err != nil || !d.Won {
			t.Fatalf("%+v: %v", d, err)
		}
	}
	for i := range 100 {
		decide(here, broker.NewKey("overheard", fmt.Sprint(i)))
	}
	decide(here, "vain/1")
	until(t, "what was overheard in vain is handled all the same", func() bool { return len(l.all()) > 0 })
	until(t, "nothing is left", func() bool {
		backlog, err := here.Backlog(t.Context(), "tokens", "all")
		return err == nil && backlog == broker.Backlog{}
	})
	for range 20 {
		if n := consumerInfo(t, here, "skald-tokens", "all").NumWaiting; n != 0 {
			t.Errorf("%d requests wait for messages", n)
		}
	}
	there := open(t, natsbroker.Config{Server: here.server})
	until(t, "a request waits for what another broker publishes", func() bool { return consumerInfo(t, here, "skald-tokens", "all").NumWaiting > 0 })
	decide(there, "far/1")
	until(t, "what was decided elsewhere is handled", func() bool { return len(l.all()) > 1 })
	cancel()
	if err := errors.Join(<-ended, there.Close()); err != nil {
		t.Error(err)
	}
}

func TestWhatIsKeptBackIsGivenBackByWhoStopsReceiving(t *testing.T) {
	b := openEmbedded(t, t.TempDir())
	defer b.Close()
	topic := broker.Topic{Name: "tokens", Kept: true, Subscriptions: []broker.Subscription{{Name: "all", Lock: time.Minute}}}
	if err := b.Declare(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	key := keptBack(t, b)
	r, err := b.Receiver(t.Context(), "tokens", "all")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // far less than the lock
	defer cancel()
	if all, err := r.Receive(ctx, 1); err != nil || len(all) != 1 || all[0].Message.Key != key || all[0].Count != 2 {
		t.Errorf("%d messages (%v), want the one that was given back", len(all), err)
	}
}

// keptBack closes a receiver that keeps a message back, and returns that one's key. A machine that is busy for longer than a message is kept back hands it out; then it is done with, and another one is taken.
func keptBack(t *testing.T, b broker.Broker) broker.Key {
	t.Helper()
	for i := range 100 {
		r, err := b.Receiver(t.Context(), "tokens", "all")
		if err != nil {
			t.Fatal(err)
		}
		came := make(chan struct{}, 1)
		r.(broker.Ignorer).Ignore(func(broker.Key, func(string) string) bool {
			select {
			case came <- struct{}{}:
			default:
			}
			return false
		}, true)
		ctx, cancel := context.WithCancel(t.Context())
		received := make(chan []*broker.Delivery, 1)
		go func() {
			all, _ := r.Receive(ctx, 1)
			received <- all
		}()
		key := broker.NewKey("k", fmt.Sprint(i))
		if _, err := b.Decide(t.Context(), "tokens", broker.Message{ID: string(key), Type: "t", Source: "s", Key: key, Time: time.Now()}); err != nil {
			t.Fatal(err)
		}
		<-came
		cancel()
		all := <-received
		for _, d := range all {
			if err := d.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			return key
		}
	}
	t.Fatal("every message was handed out")
	return ""
}
