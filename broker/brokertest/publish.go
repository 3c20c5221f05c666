package brokertest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
)

func testDeclare(t *testing.T, d Driver) {
	d.run(t, "TwiceChangesNothing", func(t *testing.T) {
		topic := queue("q")
		b := open(t, d, topic)
		publish(t, b, "q", message("m", "k"))
		declare(t, b, topic, broker.Topic{Name: "tokens", Kept: true})
		declare(t, another(t, d, b), topic)
		complete(t, next(t, receiver(t, b, "q", "q")))
	})
	d.run(t, "LimitsThatADeclarationLeavesOutStay", func(t *testing.T) {
		topic := queue("q")
		topic.MaxMessages = 2
		b := open(t, d, topic)
		declare(t, b, queue("q"))
		publish(t, b, "q", message("1", "k"), message("2", "k"))
		isErr(t, "a third message", b.Publish(limited(t), "q", message("3", "k")), broker.ErrFull)
	})
	d.run(t, "WhatCannotChangeIsRefused", func(t *testing.T) {
		b := open(t, d, queue("q"), queue("s", sessions), broker.Topic{Name: "tokens", Kept: true})
		isErr(t, "kept", b.Declare(limited(t), broker.Topic{Name: "q", Kept: true}), broker.ErrConflict)
		isErr(t, "not kept", b.Declare(limited(t), broker.Topic{Name: "tokens"}), broker.ErrConflict)
		isErr(t, "with sessions", b.Declare(limited(t), queue("q", sessions)), broker.ErrConflict)
		isErr(t, "without sessions", b.Declare(limited(t), queue("s")), broker.ErrConflict)
		isErr(t, "second beside sessions", b.Declare(limited(t), broker.Topic{Name: "s", Subscriptions: []broker.Subscription{{Name: "other"}}}), broker.ErrConflict)
	})
	d.run(t, "ASubscriptionThatWidensSelectsWhatAnyDeclarationAskedFor", func(t *testing.T) {
		with := func(filters ...broker.Filter) broker.Topic {
			return queue("q", func(s *broker.Subscription) { s.Filters, s.Widens = filters, true })
		}
		b := open(t, d, with("a/*"))
		declare(t, another(t, d, b), with("b/*", "a/*"))
		declare(t, b, with("a/*")) // by an older process that starts again
		for _, key := range []broker.Key{"a/1", "b/1", "c/1", "a/2"} {
			publish(t, b, "q", message(string(key), key))
		}
		r := receiver(t, b, "q", "q")
		if diff := cmp.Diff([]string{"a/1", "b/1", "a/2"}, ids(receive(t, r, 3))); diff != "" {
			t.Error(diff)
		}
		nothing(t, r)
	})
	d.run(t, "FaultsOfADeclarationAreRefused", func(t *testing.T) {
		b := open(t, d)
		for _, bad := range []broker.Topic{
			{Name: ""}, {Name: "Upper"}, {Name: "with.dot"}, {Name: "-a"}, {Name: strings.Repeat("a", 65)},
			{Name: "a", MaxMessages: -1}, {Name: "a", MaxBytes: -1}, {Name: "a", MaxPerKey: -1}, {Name: "a", Kept: true, MaxPerKey: 1},
			{Name: "a", Subscriptions: []broker.Subscription{{Name: "s"}, {Name: "s"}}},
			{Name: "a", Subscriptions: []broker.Subscription{{Name: "s"}}, Retired: []string{"s"}},
			{Name: "a", Subscriptions: []broker.Subscription{{Name: "s", Sessions: true}, {Name: "t"}}},
			{Name: "a", Kept: true, Subscriptions: []broker.Subscription{{Name: "s", Sessions: true}}},
			{Name: "a", Subscriptions: []broker.Subscription{{Name: "s", Lock: time.Millisecond}}},
			{Name: "a", Subscriptions: []broker.Subscription{{Name: "s", Filters: []broker.Filter{"a/**", "a/*"}}}},
			{Name: "a", Subscriptions: []broker.Subscription{{Name: "s", Filters: []broker.Filter{"**/a"}}}},
		} {
			isErr(t, fmt.Sprintf("%+v", bad), b.Declare(limited(t), bad), broker.ErrInvalid)
		}
	})
	d.run(t, "ASubscriptionCanChangeItsFilter", func(t *testing.T) {
		with := func(f broker.Filter) broker.Topic {
			return queue("q", func(s *broker.Subscription) { s.Filters = []broker.Filter{f} })
		}
		b := open(t, d, with("a/**"))
		publish(t, b, "q", message("a1", "a/1"))
		complete(t, next(t, receiver(t, b, "q", "q")))
		declare(t, b, with("b/**"))
		publish(t, b, "q", message("a2", "a/2"), message("b2", "b/2"))
		if got := next(t, receiver(t, b, "q", "q")); got.Message.ID != "b2" {
			t.Errorf("got %s", got.Message.ID)
		}
	})
	d.run(t, "ARetiredSubscriptionHoldsNothing", func(t *testing.T) {
		topic := broker.Topic{Name: "q", MaxMessages: 2, Subscriptions: []broker.Subscription{{Name: "old"}, {Name: "new"}}}
		b := open(t, d, topic)
		publish(t, b, "q", numbered(2, "k")...)
		complete(t, receive(t, receiver(t, b, "q", "new"), 2)...)
		isErr(t, "still held by the other", b.Publish(limited(t), "q", message("x", "k")), broker.ErrFull)
		topic.Subscriptions, topic.Retired = topic.Subscriptions[1:], []string{"old", "never-there"}
		declare(t, b, topic)
		eventually(t, "there is room", func() bool { return b.Publish(limited(t), "q", message("x", "k")) == nil })
	})
}

// full is a message in which every field is set.
func full() broker.Message {
	m := message("commande-4711/réservé 100%", "commande/4711/inventaire.reserve")
	m.Cause, m.Attempt, m.Epoch, m.Trace = "cause/1", 3, 7, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	m.Expires = time.Date(2199, 1, 2, 3, 4, 5, 6, time.UTC)
	m.Headers = map[string]string{"X-Tenant": "blue", "x-lower-Case": "kept", "ce-partitionkey": "p", "Status": "404"} // as servers call what they say themselves
	m.ContentType, m.Data = "application/octet-stream", []byte{0, 1, 255}
	return m
}

func testPublish(t *testing.T, d Driver) {
	d.run(t, "AMessageArrivesAsItWas", func(t *testing.T) {
		b := open(t, d, queue("q"))
		before := time.Now()
		publish(t, b, "q", full())
		got := next(t, receiver(t, another(t, d, b), "q", "q"))
		if diff := cmp.Diff(full(), got.Message); diff != "" {
			t.Errorf("-published +received:\n%s", diff)
		}
		if got.Count != 1 || got.Topic != "q" || got.Subscription != "q" || got.Sequence == 0 || got.Published.Before(before.Add(-time.Minute)) || got.Published.After(time.Now().Add(time.Minute)) {
			t.Errorf("%+v", got)
		}
	})
	d.run(t, "LargestDataArrives", func(t *testing.T) {
		b := open(t, d, queue("q"))
		m := message("m", "k")
		m.Data = make([]byte, broker.MaxData)
		m.Data[broker.MaxData-1] = 1
		publish(t, b, "q", m)
		if !bytes.Equal(m.Data, next(t, receiver(t, b, "q", "q")).Message.Data) {
			t.Error("the data changed on the way")
		}
	})
	d.timed(t, "ArgumentsAreNotRetained", func(t *testing.T) {
		b := open(t, d, queue("q"))
		m := full()
		publish(t, b, "q", m)
		clear(m.Data)
		clear(m.Headers)
		r := receiver(t, b, "q", "q")
		first := next(t, r)
		clear(first.Message.Data)
		clear(first.Message.Headers)
		abandon(t, first, 0, broker.Problem{})
		if diff := cmp.Diff(full(), next(t, r).Message); diff != "" {
			t.Errorf("-published +received:\n%s", diff)
		}
	})
	d.run(t, "UnusableMessagesAreRefused", func(t *testing.T) {
		b := open(t, d, queue("q"), broker.Topic{Name: "tokens", Kept: true})
		for what, spoil := range map[string]func(*broker.Message){
			"no id": func(m *broker.Message) { m.ID = "" }, "no type": func(m *broker.Message) { m.Type = "" }, "no source": func(m *broker.Message) { m.Source = "" },
			"no key": func(m *broker.Message) { m.Key = "" }, "empty element": func(m *broker.Message) { m.Key = "a//b" }, "wildcard": func(m *broker.Message) { m.Key = "a/*" },
			"space": func(m *broker.Message) { m.Key = "a b" }, "long element": func(m *broker.Message) { m.Key = broker.Key(strings.Repeat("a", 129)) },
			"too many elements": func(m *broker.Message) { m.Key = broker.Key(strings.Repeat("a/", 16) + "a") },
			"too much data":     func(m *broker.Message) { m.Data = make([]byte, broker.MaxData+1) },
			"too long headers":  func(m *broker.Message) { m.Headers = map[string]string{"a": strings.Repeat("a", broker.MaxHeaders)} },
			"reserved header":   func(m *broker.Message) { m.Headers = map[string]string{"Ce-Id": "x"} },
			"unusable header":   func(m *broker.Message) { m.Headers = map[string]string{"a": "b\r\nc: d"} },
		} {
			m := message("m", "k")
			spoil(&m)
			isErr(t, what, b.Publish(limited(t), "q", m), broker.ErrInvalid)
			_, err := b.Decide(limited(t), "tokens", m)
			isErr(t, what+", decided", err, broker.ErrInvalid)
		}
		nothing(t, receiver(t, b, "q", "q"))
	})
	d.run(t, "WhatWasNotDeclaredIsNotThere", func(t *testing.T) {
		b := open(t, d, queue("q"))
		isErr(t, "publish", b.Publish(limited(t), "nobody", message("m", "k")), broker.ErrNotDeclared)
		_, err := b.Decide(limited(t), "nobody", message("m", "k"))
		isErr(t, "decide", err, broker.ErrNotDeclared)
		_, err = b.Receiver(limited(t), "nobody", "q")
		isErr(t, "receive from no topic", err, broker.ErrNotDeclared)
		_, err = b.Receiver(limited(t), "q", "nobody")
		isErr(t, "receive from no subscription", err, broker.ErrNotDeclared)
	})
	d.run(t, "F14_AnIdIsStoredOnceInAShortWhile", func(t *testing.T) {
		b := open(t, d, queue("q"))
		publish(t, b, "q", numbered(3, "k")...)
		publish(t, another(t, d, b), "q", numbered(4, "k")...)
		r := receiver(t, b, "q", "q")
		if diff := cmp.Diff([]string{"m0", "m1", "m2", "m3"}, ids(receive(t, r, 4))); diff != "" {
			t.Error(diff)
		}
		nothing(t, r)
	})
	d.timed(t, "DelayedMessagesComeWhenTheyAreDue", func(t *testing.T) {
		b := open(t, d, queue("q"))
		r := receiver(t, b, "q", "q")
		late, soon := message("late", "k"), message("soon", "k")
		late.NotBefore, soon.NotBefore = time.Now().Add(700*time.Millisecond), time.Now().Add(300*time.Millisecond)
		publish(t, b, "q", late, soon, message("now", "k"))
		for _, want := range []broker.Message{message("now", "k"), soon, late} {
			got := next(t, r)
			if at := time.Now(); at.Before(want.NotBefore) {
				t.Errorf("%s came %v early", want.ID, want.NotBefore.Sub(at))
			}
			if want.NotBefore = (time.Time{}); !cmp.Equal(want, got.Message) {
				t.Errorf("-want +got:\n%s", cmp.Diff(want, got.Message))
			}
			complete(t, got)
		}
		publish(t, b, "q", late, soon) // again, as after an unknown result
		nothing(t, r)
	})
	d.run(t, "DelayedMessagesOfOneIDOnTwoTopicsBothCome", func(t *testing.T) {
		b := open(t, d, queue("one"), queue("two"))
		m := message("same", "k")
		m.NotBefore = time.Now().Add(200 * time.Millisecond)
		for _, topic := range []string{"one", "two"} {
			publish(t, b, topic, m)
			publish(t, b, topic, m) // again, as after an unknown result
		}
		for _, topic := range []string{"one", "two"} {
			r := receiver(t, b, topic, topic)
			if got := next(t, r); got.Message.ID != "same" {
				t.Errorf("%s has %s", topic, got.Message.ID)
			} else {
				complete(t, got)
			}
			nothing(t, r)
		}
	})
	testDelivery(t, d)
}

// testDelivery is who gets what, in which order.
func testDelivery(t *testing.T, d Driver) {
	d.run(t, "AQueueKeepsItsOrder", func(t *testing.T) {
		b := open(t, d, queue("q"))
		all := numbered(200, "k")
		publish(t, b, "q", all[:150]...)
		publish(t, b, "q", all[150:]...)
		for i, got := range receive(t, receiver(t, b, "q", "q"), 200) {
			if got.Message.ID != all[i].ID {
				t.Fatalf("delivery %d is %s", i, got.Message.ID)
			}
		}
	})
	d.run(t, "CompetingReceiversShareAQueue", func(t *testing.T) {
		b := open(t, d, queue("q"))
		publish(t, b, "q", numbered(60, "k")...)
		first, second := receiver(t, b, "q", "q"), receiver(t, another(t, d, b), "q", "q")
		one := receive(t, first, 1)
		seen := ids(append(one, append(receive(t, second, 30), receive(t, first, 29)...)...))
		unique := make(map[string]bool)
		for _, id := range seen {
			unique[id] = true
		}
		if len(unique) != 60 {
			t.Errorf("%d different messages", len(unique))
		}
		nothing(t, first)
		nothing(t, second)
	})
	d.run(t, "EverySubscriptionGetsWhatMatches", func(t *testing.T) {
		b := open(t, d, broker.Topic{Name: "t", Subscriptions: []broker.Subscription{
			{Name: "all"},
			{Name: "some", Filters: []broker.Filter{"a/*/c", "b/**"}},
			{Name: "dots", Filters: []broker.Filter{"a/x.y/*"}},
		}})
		keys := []broker.Key{"a/1/c", "a/1/d", "b/1", "b/1/2/3", "b", "a/x.y/c", "a/x/y"}
		for _, k := range keys {
			publish(t, b, "t", message(string(k), k))
		}
		for _, c := range []struct {
			subscription string
			want         []string
		}{
			{"all", []string{"a/1/c", "a/1/d", "b/1", "b/1/2/3", "b", "a/x.y/c", "a/x/y"}},
			{"some", []string{"a/1/c", "b/1", "b/1/2/3", "a/x.y/c"}},
			{"dots", []string{"a/x.y/c"}},
		} {
			r := receiver(t, b, "t", c.subscription)
			got := receive(t, r, len(c.want))
			if diff := cmp.Diff(c.want, ids(got)); diff != "" {
				t.Errorf("%s: %s", c.subscription, diff)
			}
			complete(t, got...)
			nothing(t, r)
		}
	})
	d.run(t, "ASubscriptionGetsWhatComesAfterIt", func(t *testing.T) {
		topic := broker.Topic{Name: "t", Subscriptions: []broker.Subscription{{Name: "old"}}}
		b := open(t, d, topic)
		publish(t, b, "t", message("before", "k"))
		topic.Subscriptions = append(topic.Subscriptions, broker.Subscription{Name: "new"})
		declare(t, b, topic)
		publish(t, b, "t", message("after", "k"))
		if got := next(t, receiver(t, b, "t", "new")); got.Message.ID != "after" {
			t.Errorf("got %s", got.Message.ID)
		}
		if diff := cmp.Diff([]string{"before", "after"}, ids(receive(t, receiver(t, b, "t", "old"), 2))); diff != "" {
			t.Error(diff)
		}
	})
	d.run(t, "ManyPublishersAndReceivers", func(t *testing.T) {
		b := open(t, d, queue("q"))
		var publishing sync.WaitGroup
		for p := range 4 {
			publishing.Go(func() {
				for i := range 50 {
					if err := b.Publish(limited(t), "q", message(fmt.Sprintf("%d-%d", p, i), "k")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		r := receiver(t, b, "q", "q")
		seen := make(map[string]int)
		for range 200 {
			got := next(t, r)
			seen[got.Message.ID]++
			complete(t, got)
		}
		publishing.Wait()
		if len(seen) != 200 {
			t.Errorf("%d different messages", len(seen))
		}
	})
}

func testPressure(t *testing.T, d Driver) {
	d.run(t, "AFullTopicRefusesUntilThereIsRoom", func(t *testing.T) {
		topic := queue("q")
		topic.MaxMessages = 3
		b := open(t, d, topic)
		publish(t, b, "q", numbered(3, "k")...)
		isErr(t, "publish", b.Publish(limited(t), "q", message("x", "k")), broker.ErrFull)
		r := receiver(t, b, "q", "q")
		complete(t, next(t, r))
		eventually(t, "there is room", func() bool { return b.Publish(limited(t), "q", message("x", "k")) == nil })
		if diff := cmp.Diff([]string{"m1", "m2", "x"}, ids(receive(t, r, 3))); diff != "" {
			t.Error(diff)
		}
	})
	d.run(t, "BytesAreBounded", func(t *testing.T) {
		topic := queue("q")
		topic.MaxBytes = 10_000
		b := open(t, d, topic)
		m := message("m", "k")
		m.Data = make([]byte, 6000)
		publish(t, b, "q", m)
		m.ID = "n"
		isErr(t, "publish", b.Publish(limited(t), "q", m), broker.ErrFull)
	})
	d.run(t, "AFullSessionDoesNotFillTheTopic", func(t *testing.T) {
		topic := queue("q", sessions)
		topic.MaxPerKey = 2
		b := open(t, d, topic)
		publish(t, b, "q", numbered(2, "stuck")...)
		isErr(t, "publish", b.Publish(limited(t), "q", message("x", "stuck")), broker.ErrFull)
		publish(t, b, "q", message("y", "other"))
		r := receiver(t, b, "q", "q")
		if diff := cmp.Diff([]string{"m0", "y"}, ids(receive(t, r, 2))); diff != "" {
			t.Error(diff)
		}
	})
	d.run(t, "AKeptTopicIsBoundedToo", func(t *testing.T) {
		b := open(t, d, broker.Topic{Name: "tokens", Kept: true, MaxMessages: 2})
		decide(t, b, "tokens", message("a", "s/1"))
		decide(t, b, "tokens", message("b", "s/2"))
		_, err := b.Decide(limited(t), "tokens", message("c", "s/3"))
		isErr(t, "a third", err, broker.ErrFull)
		if decision := decide(t, b, "tokens", message("x", "s/1")); decision.Won || decision.Message.ID != "a" {
			t.Errorf("what is decided can be asked for also when it is full: %+v", decision)
		}
	})
	d.run(t, "F16_TheInFlightLimitHoldsItsOwnLaneOnly", func(t *testing.T) {
		b := open(t, d, broker.Topic{Name: "t", Subscriptions: []broker.Subscription{
			{Name: "forward", Filters: []broker.Filter{"*/forward"}, MaxInFlight: 2},
			{Name: "backward", Filters: []broker.Filter{"*/backward"}, MaxInFlight: 2},
		}})
		publish(t, b, "t", numbered(3, "s/forward")...)
		publish(t, b, "t", message("undo", "s/backward"))
		forward := receiver(t, b, "t", "forward")
		held := receive(t, forward, 2)
		nothing(t, forward)
		nothing(t, receiver(t, another(t, d, b), "t", "forward"))
		if got, err := b.Backlog(limited(t), "t", "forward"); err != nil || got != (broker.Backlog{Waiting: 1, InFlight: 2}) {
			t.Errorf("backlog %+v (%v)", got, err)
		}
		complete(t, next(t, receiver(t, b, "t", "backward")))
		complete(t, held[0])
		if got := next(t, forward); got.Message.ID != "m2" {
			t.Errorf("got %s", got.Message.ID)
		}
	})
}
