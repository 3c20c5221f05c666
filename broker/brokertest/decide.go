package brokertest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
)

func tokens(s ...broker.Subscription) broker.Topic {
	return broker.Topic{Name: "tokens", Kept: true, Subscriptions: s}
}

func testDecide(t *testing.T, d Driver) {
	d.run(t, "WhoeverComesFirstDecides", func(t *testing.T) {
		b := open(t, d, tokens())
		other := another(t, d, b)
		m := full()
		if got := decide(t, b, "tokens", m); !got.Won {
			t.Error("the first one lost")
		}
		late := message("late", m.Key)
		got := decide(t, other, "tokens", late)
		if got.Won {
			t.Error("the second one won")
		}
		if diff := cmp.Diff(full(), got.Message); diff != "" {
			t.Errorf("-decided +read:\n%s", diff)
		}
	})
	d.run(t, "F31_AnUnknownResultIsResolvedByTheSameCall", func(t *testing.T) {
		b := open(t, d, tokens())
		for range 3 {
			if got := decide(t, b, "tokens", message("mine", "s/a")); !got.Won || got.Message.ID != "mine" {
				t.Errorf("%+v", got)
			}
		}
		if all, err := b.Read(limited(t), "tokens", "**"); err != nil || len(all) != 1 {
			t.Errorf("%d tokens (%v)", len(all), err)
		}
	})
	d.run(t, "ExactlyOneOfManyWins", func(t *testing.T) {
		b := open(t, d, tokens())
		brokers := []Broker{b, another(t, d, b)}
		const keys, rivals = 20, 6
		decided := make([][]broker.Decision, keys)
		var racing sync.WaitGroup
		var mu sync.Mutex
		for k := range keys {
			for r := range rivals {
				racing.Go(func() {
					got, err := brokers[r%2].Decide(limited(t), "tokens", message(fmt.Sprintf("%d-%d", k, r), broker.NewKey("s", fmt.Sprint(k))))
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					decided[k] = append(decided[k], got)
				})
			}
		}
		racing.Wait()
		for k := range keys {
			won := 0
			for _, got := range decided[k] {
				if got.Won {
					won++
				}
				if got.Message.ID != decided[k][0].Message.ID {
					t.Errorf("key %d: %s and %s both decided", k, got.Message.ID, decided[k][0].Message.ID)
				}
			}
			if won != 1 {
				t.Errorf("key %d: %d winners", k, won)
			}
		}
	})
	d.run(t, "SubscriptionsGetWhatWasAndWhatWillBeDecided", func(t *testing.T) {
		early, late := broker.Subscription{Name: "early", Filters: []broker.Filter{"*/*/forward"}}, broker.Subscription{Name: "late"}
		b := open(t, d, tokens(early))
		decide(t, b, "tokens", message("1", "d/s/forward"))
		decide(t, b, "tokens", message("2", "d/s/backward"))
		decide(t, b, "tokens", message("lost", "d/s/forward"))
		declare(t, b, tokens(early, late))
		decide(t, b, "tokens", message("3", "d/t/forward"))
		for subscription, want := range map[string][]string{"early": {"1", "3"}, "late": {"1", "2", "3"}} {
			r := receiver(t, b, "tokens", subscription)
			got := receive(t, r, len(want))
			if diff := cmp.Diff(want, ids(got)); diff != "" {
				t.Errorf("%s: %s", subscription, diff)
			}
			complete(t, got...)
			nothing(t, r)
		}
		if all, err := b.Read(limited(t), "tokens", "d/s/*"); err != nil || len(all) != 2 {
			t.Errorf("completed tokens stay: %d (%v)", len(all), err)
		}
	})
	d.run(t, "TheTwoSortsOfTopicsDoNotMix", func(t *testing.T) {
		b := open(t, d, tokens(), queue("q"))
		_, err := b.Decide(limited(t), "q", message("m", "k"))
		isErr(t, "deciding on a queue", err, broker.ErrInvalid)
		isErr(t, "publishing to a kept topic", b.Publish(limited(t), "tokens", message("m", "k")), broker.ErrInvalid)
		_, err = b.Read(limited(t), "q", "**")
		isErr(t, "reading a queue", err, broker.ErrInvalid)
		_, err = b.Purge(limited(t), "q", "**")
		isErr(t, "purging a queue", err, broker.ErrInvalid)
		delayed := full()
		delayed.NotBefore = delayed.Expires
		_, err = b.Decide(limited(t), "tokens", delayed)
		isErr(t, "deciding later", err, broker.ErrInvalid)
	})
}

func readIDs(t *testing.T, b Broker, f broker.Filter) []string {
	t.Helper()
	all, err := b.Read(limited(t), "tokens", f)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, m := range all {
		found = append(found, m.ID)
	}
	return found
}

func testRead(t *testing.T, d Driver) {
	d.run(t, "WhatMatchesInTheOrderOfDecisions", func(t *testing.T) {
		b := open(t, d, tokens())
		for _, key := range []broker.Key{"d/s.1/b/forward", "d/s.1/a/forward", "d/s.2/a/forward", "d/s.1/a/backward", "e/s.1/a/forward"} {
			decide(t, b, "tokens", message(string(key), key))
		}
		for f, want := range map[broker.Filter][]string{
			"d/s.1/**":         {"d/s.1/b/forward", "d/s.1/a/forward", "d/s.1/a/backward"},
			"d/s.1/a/forward":  {"d/s.1/a/forward"},
			"d/*/a/*":          {"d/s.1/a/forward", "d/s.2/a/forward", "d/s.1/a/backward"},
			"d/s.1/c/forward":  {},
			"d/s/1/**":         {},
			"d/s.1":            {},
			"**":               {"d/s.1/b/forward", "d/s.1/a/forward", "d/s.2/a/forward", "d/s.1/a/backward", "e/s.1/a/forward"},
			"*/s.1/*/forward":  {"d/s.1/b/forward", "d/s.1/a/forward", "e/s.1/a/forward"},
			"d/s.1/a/forward/": nil,
		} {
			if want == nil {
				_, err := b.Read(limited(t), "tokens", f)
				isErr(t, string(f), err, broker.ErrInvalid)
				continue
			}
			if diff := cmp.Diff(want, readIDs(t, b, f)); diff != "" {
				t.Errorf("%s: %s", f, diff)
			}
		}
	})
	d.run(t, "MessagesAreAsTheyWereDecided", func(t *testing.T) {
		b := open(t, d, tokens())
		m := full()
		decide(t, b, "tokens", m)
		clear(m.Data)
		for _, f := range []broker.Filter{broker.Filter(m.Key), broker.Filter(m.Key), "commande/4711/*"} {
			got, err := b.Read(limited(t), "tokens", f)
			if err != nil || len(got) != 1 {
				t.Fatalf("%d messages (%v)", len(got), err)
			}
			if diff := cmp.Diff(full(), got[0]); diff != "" {
				t.Errorf("-decided +read:\n%s", diff)
			}
			clear(got[0].Data)
			clear(got[0].Headers)
		}
	})
	d.run(t, "MoreThanCanBeReadIsAnError", func(t *testing.T) {
		b := open(t, d, tokens())
		var deciding sync.WaitGroup
		for part := range 8 {
			deciding.Go(func() {
				for i := part; i <= broker.MaxRead; i += 8 {
					if _, err := b.Decide(limited(t), "tokens", message(fmt.Sprint(i), broker.NewKey("s", fmt.Sprint(i)))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		deciding.Wait()
		_, err := b.Read(limited(t), "tokens", "s/*")
		isErr(t, "reading 1,001", err, broker.ErrTooMany)
		if n, err := b.Purge(limited(t), "tokens", "s/0"); n != 1 || err != nil {
			t.Fatalf("purged %d (%v)", n, err)
		}
		if got := readIDs(t, b, "s/*"); len(got) != broker.MaxRead {
			t.Errorf("%d messages", len(got))
		}
	})
}

func testOverhear(t *testing.T, d Driver) {
	d.run(t, "WhatIsDecidedHereIsOverheardAndHandedOut", func(t *testing.T) {
		b := open(t, d, tokens(broker.Subscription{Name: "all"}), broker.Topic{Name: "others", Kept: true})
		type told struct {
			message broker.Message
			durable func(context.Context) error
		}
		var mu sync.Mutex
		overheard := make(map[broker.Moment][]told)
		var stops []func()
		for _, when := range []broker.Moment{broker.Proposed, broker.Decided, broker.Durable} {
			stops = append(stops, b.Overhear("tokens", when, func(m broker.Message, durable func(context.Context) error) {
				mu.Lock()
				defer mu.Unlock()
				overheard[when] = append(overheard[when], told{m, durable})
			}))
		}
		lost := message("lost", full().Key)
		decide(t, b, "others", message("elsewhere", "d/1/z"))
		decide(t, b, "tokens", full())
		decide(t, b, "tokens", lost)
		for _, stop := range stops {
			stop()
		}
		decide(t, b, "tokens", message("later", "d/1/b"))
		mu.Lock()
		defer mu.Unlock()
		for when, want := range map[broker.Moment][]string{broker.Proposed: {full().ID, lost.ID}, broker.Decided: {full().ID}, broker.Durable: {full().ID}} {
			var got []string
			for _, x := range overheard[when] {
				got = append(got, x.message.ID)
				if diff := cmp.Diff(full(), x.message); diff != "" && x.message.ID == full().ID {
					t.Errorf("moment %d: -decided +overheard:\n%s", when, diff)
				}
				if err := x.durable(limited(t)); (err == nil) != (x.message.ID == full().ID) {
					t.Errorf("moment %d: %s is durable: %v", when, x.message.ID, err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("moment %d: -decided +overheard:\n%s", when, diff)
			}
		}
		if diff := cmp.Diff([]string{full().ID, "later"}, ids(receive(t, receiver(t, b, "tokens", "all"), 2))); diff != "" {
			t.Error(diff)
		}
	})
}

func testOverhearBefore(t *testing.T, d Driver) {
	d.run(t, "WhatWasDecidedBeforeUnderTheSameIDIsOverheardAsItWas", func(t *testing.T) {
		b := open(t, d, tokens(broker.Subscription{Name: "all"}))
		first, again := message("same", "d/1/a"), message("same", "d/1/a")
		first.Data, again.Data = []byte("first"), []byte("again")
		decide(t, b, "tokens", first)
		var mu sync.Mutex
		told := make(map[broker.Moment]string)
		var proposed func(context.Context) error
		for _, when := range []broker.Moment{broker.Proposed, broker.Decided, broker.Durable} {
			t.Cleanup(b.Overhear("tokens", when, func(m broker.Message, durable func(context.Context) error) {
				mu.Lock()
				defer mu.Unlock()
				if told[when] = string(m.Data); when == broker.Proposed {
					proposed = durable
				}
			}))
		}
		if got := decide(t, b, "tokens", again); !got.Won || string(got.Message.Data) != "first" {
			t.Errorf("%+v", got)
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(map[broker.Moment]string{broker.Proposed: "again", broker.Decided: "first", broker.Durable: "first"}, told); diff != "" {
			t.Errorf("-want +told:\n%s", diff)
		}
		if proposed(limited(t)) == nil {
			t.Error("what was proposed is said to be durable")
		}
	})
}

func testPurge(t *testing.T, d Driver) {
	d.run(t, "APurgedSagaIsGoneAndItsKeysAreFree", func(t *testing.T) {
		b := open(t, d, tokens(broker.Subscription{Name: "all"}))
		for _, key := range []broker.Key{"d/1/a", "d/2/a", "d/1/b"} {
			decide(t, b, "tokens", message(string(key), key))
		}
		for _, want := range []int{2, 0} {
			if n, err := b.Purge(limited(t), "tokens", "d/1/**"); n != want || err != nil {
				t.Errorf("purged %d (%v), want %d", n, err, want)
			}
		}
		if diff := cmp.Diff([]string{"d/2/a"}, readIDs(t, b, "d/**")); diff != "" {
			t.Error(diff)
		}
		if got := decide(t, b, "tokens", message("anew", "d/1/a")); !got.Won {
			t.Errorf("%+v", got)
		}
		r := receiver(t, b, "tokens", "all")
		if diff := cmp.Diff([]string{"d/2/a", "anew"}, ids(receive(t, r, 2))); diff != "" {
			t.Error(diff)
		}
		nothing(t, r)
	})
	d.run(t, "WhatIsHandedOutCanStillBeSettled", func(t *testing.T) {
		b := open(t, d, tokens(broker.Subscription{Name: "all"}))
		decide(t, b, "tokens", message("m", "d/1/a"))
		r := receiver(t, b, "tokens", "all")
		held := next(t, r)
		if n, err := b.Purge(limited(t), "tokens", "**"); n != 1 || err != nil {
			t.Fatalf("purged %d (%v)", n, err)
		}
		if err := held.Complete(limited(t)); err != nil {
			isErr(t, "complete", err, broker.ErrLockLost)
		}
		nothing(t, r)
	})
}
