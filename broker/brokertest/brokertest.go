// Package brokertest is the conformance suite of the broker contract: a driver whose tests call Run, and pass, keeps every sentence of package broker
// that can be observed from outside. It does not measure speed and pulls no plugs: that what was acknowledged survives a crash is for the driver's own tests, and
// so is what only a cluster can do.
package brokertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/journal"
)

// Broker is what the suite tests.
type Broker interface {
	broker.Broker
	broker.DeadLetters
	broker.Gauge
	broker.Overhearer
}

// Driver is what the suite needs of a driver.
type Driver struct {
	// Open makes a broker on which nothing is declared. The suite closes it.
	Open func(t testing.TB) Broker
	// Another opens a second broker on the same data, as another process does. The suite closes it. Nil if the driver cannot.
	Another func(t testing.TB, b Broker) Broker
	// Reopen closes a broker that Open made, with its server, and opens another on the same data, as a restart does. Nil if the driver keeps nothing.
	Reopen func(t testing.TB, b Broker) Broker
	// Poison stores something under a key of a topic that is no message in the wire format, with a header "X-Poison: yes" and the data "poison". Nil if that is impossible.
	Poison func(t testing.TB, b Broker, topic string, key broker.Key)
	// Outages says that the broker goes away for seconds now and then while the suite runs, as a cluster does whose leader dies. Tests of when something happens, with locks that are shorter than that, and of how often a message
	// was handed out are left out then: they could not tell an outage from a fault.
	Outages bool
	// Around runs a test, for instance in virtual time. Nil runs it as it is.
	Around func(t *testing.T, test func(*testing.T))
}

func (d Driver) run(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) {
		if d.Around == nil {
			test(t)
			return
		}
		d.Around(t, test)
	})
}

// timed is run for a test that an outage would upset.
func (d Driver) timed(t *testing.T, name string, test func(*testing.T)) {
	if !d.Outages {
		d.run(t, name, test)
	}
}

// patience is how long the suite waits for what must happen. It is a bound, not a delay.
const patience = 2 * time.Minute

// quiet is how long the suite watches for what must not happen.
const quiet = 100 * time.Millisecond

// Run holds the driver to the contract. Each test has a broker of its own.
func Run(t *testing.T, d Driver) {
	groups := []struct {
		name string
		test func(*testing.T, Driver)
	}{
		{"Declare", testDeclare},
		{"Publish", testPublish},
		{"Pressure", testPressure},
		{"Decide", testDecide},
		{"Overhear", testOverhear},
		{"OverhearBefore", testOverhearBefore},
		{"Read", testRead},
		{"Purge", testPurge},
		{"Sessions", testSessions},
		{"Settle", testSettle},
		{"SetAside", testSetAside},
		{"Letters", testLetters},
		{"Consume", testConsume},
		{"Life", testLife},
		{"Reopen", func(t *testing.T, d Driver) {
			d.timed(t, "WhatWasAcknowledgedIsThere", func(t *testing.T) { testReopen(t, d) })
		}},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			if d.Around == nil {
				t.Parallel()
			}
			g.test(t, d)
		})
	}
}

// open makes a broker with topics, which is closed at the end of the test.
func open(t *testing.T, d Driver, topics ...broker.Topic) Broker {
	t.Helper()
	b := d.Open(t)
	closing(t, b)
	declare(t, b, topics...)
	return b
}

func closing(t *testing.T, b Broker) {
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
}

// another opens a second broker, or takes the same one twice.
func another(t *testing.T, d Driver, b Broker) Broker {
	t.Helper()
	if d.Another == nil {
		return b
	}
	other := d.Another(t, b)
	closing(t, other)
	return other
}

func declare(t *testing.T, b Broker, topics ...broker.Topic) {
	t.Helper()
	if err := b.Declare(limited(t), topics...); err != nil {
		t.Fatal(err)
	}
}

// limited returns a context that ends when patience does.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// queue declares a topic with one subscription of the same name.
func queue(name string, with ...func(*broker.Subscription)) broker.Topic {
	s := broker.Subscription{Name: name}
	for _, w := range with {
		w(&s)
	}
	return broker.Topic{Name: name, Subscriptions: []broker.Subscription{s}}
}

func sessions(s *broker.Subscription) { s.Sessions = true }

func lock(d time.Duration) func(*broker.Subscription) {
	return func(s *broker.Subscription) { s.Lock = d }
}

func deliveries(n int) func(*broker.Subscription) {
	return func(s *broker.Subscription) { s.MaxDeliveries = n }
}

// message returns a small message.
func message(id string, key broker.Key) broker.Message {
	return broker.Message{ID: id, Type: "Tested", Source: "brokertest", Saga: journal.SagaID(key.Elements()[0]), Step: "step", Time: time.Unix(1_800_000_000, 123_456_789).UTC(),
		ContentType: broker.DefaultContentType, Key: key, Data: []byte(`{"id":"` + id + `"}`)}
}

func publish(t *testing.T, b Broker, topic string, messages ...broker.Message) {
	t.Helper()
	if err := b.Publish(limited(t), topic, messages...); err != nil {
		t.Fatal(err)
	}
}

func decide(t *testing.T, b Broker, topic string, m broker.Message) broker.Decision {
	t.Helper()
	decision, err := b.Decide(limited(t), topic, m)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

func receiver(t *testing.T, b Broker, topic, subscription string) broker.Receiver {
	t.Helper()
	r, err := b.Receiver(limited(t), topic, subscription)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil && !errors.Is(err, broker.ErrClosed) {
			t.Errorf("closing a receiver: %v", err)
		}
	})
	return r
}

// receive returns the next n deliveries.
func receive(t *testing.T, r broker.Receiver, n int) []*broker.Delivery {
	t.Helper()
	ctx := limited(t)
	var all []*broker.Delivery
	for len(all) < n {
		some, err := r.Receive(ctx, n-len(all))
		if err != nil {
			t.Fatalf("after %d of %d deliveries: %v", len(all), n, err)
		}
		if len(some) == 0 || len(some) > n-len(all) {
			t.Fatalf("%d deliveries came, at least 1 and at most %d were asked for", len(some), n-len(all))
		}
		all = append(all, some...)
	}
	return all
}

// next returns the next delivery.
func next(t *testing.T, r broker.Receiver) *broker.Delivery {
	t.Helper()
	return receive(t, r, 1)[0]
}

// nothing checks that nothing is handed out for a while.
func nothing(t *testing.T, r broker.Receiver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	if some, err := r.Receive(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("nothing should come, but %d deliveries (%v): %v", len(some), err, ids(some))
	}
}

func ids(all []*broker.Delivery) []string {
	var found []string
	for _, d := range all {
		found = append(found, d.Message.ID)
	}
	return found
}

func complete(t *testing.T, all ...*broker.Delivery) {
	t.Helper()
	for _, d := range all {
		if err := d.Complete(limited(t)); err != nil {
			t.Fatalf("completing %s: %v", d.Message.ID, err)
		}
	}
}

func abandon(t *testing.T, d *broker.Delivery, delay time.Duration, p broker.Problem) {
	t.Helper()
	if err := d.Abandon(limited(t), delay, p); err != nil {
		t.Fatalf("abandoning %s: %v", d.Message.ID, err)
	}
}

func isErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// numbered returns messages m0, m1, … under one key.
func numbered(n int, key broker.Key) []broker.Message {
	all := make([]broker.Message, n)
	for i := range all {
		all[i] = message(fmt.Sprintf("m%d", i), key)
	}
	return all
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := limited(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not happen within %v: %s", patience, what)
		}
	}
}
