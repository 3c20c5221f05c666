package natsbroker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// opened is a broker with a kept topic, on which so many messages lie and have all been handed out.
func handedOut(t *testing.T, b *natsbroker.Broker, s broker.Subscription, n int) []*broker.Delivery {
	t.Helper()
	if err := b.Declare(t.Context(), broker.Topic{Name: "tokens", Kept: true, Subscriptions: []broker.Subscription{s}}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m := broker.Message{ID: fmt.Sprint(i), Type: "t", Source: "s", Key: broker.NewKey("k", fmt.Sprint(i)), Time: time.Now()}
		if _, err := b.Decide(t.Context(), "tokens", m); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.Receiver(t.Context(), "tokens", s.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	var all []*broker.Delivery
	for len(all) < n {
		some, err := r.Receive(t.Context(), n-len(all))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

// inFlight waits until so many messages are in flight.
func inFlight(t *testing.T, b *natsbroker.Broker, subscription string, want int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(2 * time.Minute); ; {
		backlog, err := b.Backlog(t.Context(), "tokens", subscription)
		if err != nil {
			t.Fatal(err)
		}
		if backlog.InFlight == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d messages in flight, want %d", backlog.InFlight, want)
		}
	}
}

func TestCompletionsThatNobodyWaitsForAreSentInTheEnd(t *testing.T) {
	roomy := broker.Subscription{Name: "roomy", MaxInFlight: 100_000, Lock: 30 * time.Second}
	narrow := broker.Subscription{Name: "narrow", MaxInFlight: 10, Lock: 30 * time.Second}
	for _, s := range []broker.Subscription{roomy, narrow} {
		t.Run(s.Name, func(t *testing.T) {
			b := open(t, natsbroker.Config{Server: start(t, t.TempDir())})
			defer func() { _ = b.Close() }()
			for _, d := range handedOut(t, b, s, 3) {
				d.Completed()
			}
			inFlight(t, b, s.Name, 0)
		})
	}
}

func TestCompletionsAreSentWhenTheBrokerIsClosed(t *testing.T) {
	server := start(t, t.TempDir())
	b := open(t, natsbroker.Config{Server: server})
	s := broker.Subscription{Name: "roomy", MaxInFlight: 100_000, Lock: 30 * time.Second}
	for _, d := range handedOut(t, b, s, 3) {
		d.Completed()
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, natsbroker.Config{Server: server})
	defer func() { _ = again.Close() }()
	inFlight(t, again, s.Name, 0)
}
