package brokertest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/skaldhq/skald/broker"
)

func testSettle(t *testing.T, d Driver) {
	d.timed(t, "ACompletedMessageDoesNotComeAgain", func(t *testing.T) {
		b := open(t, d, queue("q", lock(300*time.Millisecond)))
		publish(t, b, "q", numbered(2, "k")...)
		r := receiver(t, b, "q", "q")
		complete(t, next(t, r))
		other := next(t, r) // held until its lock has expired: so the completed one's has, too
		for range 2 {
			if got := next(t, r); got.Message.ID != other.Message.ID {
				t.Fatalf("%s came again", got.Message.ID)
			}
		}
	})
	d.timed(t, "F15_AMessageWhoseLockExpiresComesAgain", func(t *testing.T) {
		b := open(t, d, queue("q", lock(300*time.Millisecond)))
		publish(t, b, "q", message("m", "k"))
		first := next(t, receiver(t, b, "q", "q"))
		begin := time.Now()
		r := receiver(t, another(t, d, b), "q", "q")
		second := next(t, r)
		if second.Message.ID != "m" || second.Count != 2 || second.Sequence != first.Sequence {
			t.Errorf("%+v", second)
		}
		if waited := time.Since(begin); waited > 5*time.Second {
			t.Errorf("it came after %v", waited)
		}
		// The first holder's late completion is taken, or refused. If it is taken, the message is done with.
		err := first.Complete(limited(t))
		if err != nil {
			isErr(t, "late complete", err, broker.ErrLockLost)
			complete(t, second)
		}
		nothing(t, r)
	})
	d.timed(t, "F15_ARenewedLockHolds", func(t *testing.T) {
		const held = 3 * time.Second
		b := open(t, d, queue("q", lock(held)))
		publish(t, b, "q", message("m", "k"))
		got, r := next(t, receiver(t, b, "q", "q")), receiver(t, another(t, d, b), "q", "q")
		for begin, renewed := time.Now(), time.Now(); time.Since(begin) < held*3/2; renewed = time.Now() {
			nothing(t, r)
			if time.Since(renewed) > held/2 {
				begin = time.Now() // the machine was too slow for the test to say anything
			}
			if err := got.Renew(limited(t)); err != nil {
				t.Fatal(err)
			}
		}
		complete(t, got)
	})
	d.timed(t, "AnAbandonedMessageComesAfterItsDelay", func(t *testing.T) {
		b := open(t, d, queue("q"))
		publish(t, b, "q", numbered(2, "k")...)
		r := receiver(t, b, "q", "q")
		got, begin := next(t, r), time.Now()
		abandon(t, got, 400*time.Millisecond, broker.Problem{Reason: "Busy"})
		if got := next(t, r); got.Message.ID != "m1" {
			t.Fatalf("%s came", got.Message.ID)
		}
		if got := next(t, r); got.Message.ID != "m0" || got.Count != 2 {
			t.Errorf("%s came, handed out %d times", got.Message.ID, got.Count)
		}
		if waited := time.Since(begin); waited < 400*time.Millisecond || waited > 5*time.Second {
			t.Errorf("it came after %v", waited)
		}
	})
	d.timed(t, "AbandonedWithoutADelayItComesAtOnce", func(t *testing.T) {
		b := open(t, d, queue("q"))
		publish(t, b, "q", message("m", "k"))
		r := receiver(t, b, "q", "q")
		for i := 1; i < 5; i++ {
			got := next(t, r)
			if got.Count != i {
				t.Errorf("hand-out %d has count %d", i, got.Count)
			}
			abandon(t, got, 0, broker.Problem{Reason: "Busy"})
		}
	})
	d.run(t, "OneSubscriptionsSettlementIsNotAnothers", func(t *testing.T) {
		b := open(t, d, broker.Topic{Name: "t", Subscriptions: []broker.Subscription{{Name: "a"}, {Name: "b"}}})
		publish(t, b, "t", message("m", "k"))
		complete(t, next(t, receiver(t, b, "t", "a")))
		got := next(t, receiver(t, b, "t", "b"))
		if got.Count != 1 {
			t.Errorf("count %d", got.Count)
		}
		if err := got.DeadLetter(limited(t), broker.Problem{Reason: "Bad"}); err != nil {
			t.Fatal(err)
		}
		nothing(t, receiver(t, b, "t", "a"))
	})
}

// onlyLetter returns the one letter that waits.
func onlyLetter(t *testing.T, b Broker) broker.DeadLetter {
	t.Helper()
	page, err := b.Letters(limited(t), broker.LetterFilter{})
	if err != nil || len(page.Letters) != 1 || page.Next != "" {
		t.Fatalf("%d letters, next %q (%v)", len(page.Letters), page.Next, err)
	}
	one, err := b.Letter(limited(t), page.Letters[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page.Letters[0], one); diff != "" {
		t.Errorf("-listed +shown:\n%s", diff)
	}
	return one
}

func testSetAside(t *testing.T, d Driver) {
	d.timed(t, "F12_ADeadLetterSaysEverything", func(t *testing.T) {
		b := open(t, d, queue("q"))
		begin := time.Now().Add(-time.Minute)
		publish(t, b, "q", full())
		r := receiver(t, b, "q", "q")
		abandon(t, next(t, r), 0, broker.Problem{Reason: "Busy", Description: "the first error"})
		abandon(t, byID(t, r, full().ID), 0, broker.Problem{Reason: "Busy", Description: "the second error"})
		if err := byID(t, r, full().ID).DeadLetter(limited(t), broker.Problem{Reason: "Poison", Description: strings.Repeat("é", 600)}); err != nil {
			t.Fatal(err)
		}
		got := onlyLetter(t, b)
		description := strings.Repeat("é", 512)
		want := broker.DeadLetter{ID: broker.LetterID("q", "q", full().ID), Topic: "q", Subscription: "q", Message: full(), Reason: "Poison", Description: description, Count: 3,
			First: broker.Failure{Problem: broker.Problem{Reason: "Busy", Description: "the first error"}},
			Last:  broker.Failure{Problem: broker.Problem{Reason: "Poison", Description: description}}, State: broker.Waiting}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(broker.DeadLetter{}, "At", "First.At", "Last.At")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got.First.At.Before(begin) || got.Last.At.Before(got.First.At) || got.At.Before(begin) || got.At.After(time.Now().Add(time.Minute)) {
			t.Errorf("times %v, %v, %v", got.First.At, got.Last.At, got.At)
		}
		nothing(t, r)
	})
	d.run(t, "F12_WhatCannotBeReadIsSetAsideAndTheRestFlows", func(t *testing.T) {
		if d.Poison == nil {
			t.Log("this driver cannot be given something that is no message")
			return
		}
		b := open(t, d, queue("q"), queue("s", sessions))
		for _, name := range []string{"q", "s"} {
			d.Poison(t, b, name, "k/1")
			publish(t, b, name, message("good", "k/1"))
			r := receiver(t, b, name, name)
			got := next(t, r)
			if got.Message.ID != "good" {
				t.Fatalf("got %s", got.Message.ID)
			}
			complete(t, got)
			page, err := b.Letters(limited(t), broker.LetterFilter{Topic: name})
			if err != nil || len(page.Letters) != 1 {
				t.Fatalf("%d letters (%v)", len(page.Letters), err)
			}
			letter := page.Letters[0]
			if letter.Reason != broker.ReasonUnreadable || letter.Description == "" || string(letter.Message.Data) != "poison" || letter.Message.Headers["X-Poison"] != "yes" || letter.Message.Key != "k/1" {
				t.Errorf("%+v", letter)
			}
		}
	})
	d.timed(t, "F12_HandedOutTooOften", func(t *testing.T) {
		for _, with := range []func(*broker.Subscription){func(*broker.Subscription) {}, sessions} {
			b := open(t, d, queue("q", deliveries(3), with))
			publish(t, b, "q", message("m0", "k"))
			r := receiver(t, b, "q", "q")
			for range 3 {
				abandon(t, byID(t, r, "m0"), 0, broker.Problem{Reason: "Busy", Description: "still"})
			}
			receiveUntil(t, r, b)
			if got := onlyLetter(t, b); got.Message.ID != "m0" || got.Reason != broker.ReasonExhausted || got.Count != 3 || got.Last.Reason != "Busy" || !strings.Contains(got.Description, "still") {
				t.Errorf("%+v", got)
			}
		}
	})
	d.timed(t, "F12_WhoeverDiesOfAMessageDoesNotGetItForEver", func(t *testing.T) {
		b := open(t, d, queue("q", deliveries(2), lock(200*time.Millisecond)))
		publish(t, b, "q", message("deadly", "k"))
		r := receiver(t, b, "q", "q")
		next(t, r)
		next(t, r)
		publish(t, b, "q", message("m", "k"))
		got := next(t, r)
		for got.Message.ID == "deadly" {
			t.Fatalf("it was handed out %d times", got.Count)
		}
		complete(t, got)
		receiveUntil(t, r, b)
		if got := onlyLetter(t, b); got.Message.ID != "deadly" || got.Reason != broker.ReasonExhausted || got.Count != 2 {
			t.Errorf("%+v", got)
		}
	})
	d.timed(t, "WhatIsTooLateInTheEndKeepsWhatItFailedOf", func(t *testing.T) {
		b := open(t, d, queue("q", lock(2500*time.Millisecond)))
		m := message("late", "k")
		m.Expires = time.Now().Add(2 * time.Second)
		publish(t, b, "q", m)
		r := receiver(t, b, "q", "q")
		abandon(t, next(t, r), 50*time.Millisecond, broker.Problem{Reason: "Busy", Description: "once"})
		next(t, r) // and whoever has it dies
		receiveUntil(t, r, b)
		if got := onlyLetter(t, b); got.Reason != broker.ReasonExpired || got.Count < 2 || got.First.Reason != "Busy" || got.Last.Reason != "Busy" || got.Last.Description != "once" {
			t.Errorf("%+v", got)
		}
	})
	d.run(t, "TooLate", func(t *testing.T) {
		for _, with := range []func(*broker.Subscription){func(*broker.Subscription) {}, sessions} {
			b := open(t, d, queue("q", with))
			late, early := message("late", "k"), message("early", "k")
			late.Expires, early.Expires = time.Now().Add(-time.Millisecond), time.Now().Add(time.Hour)
			publish(t, b, "q", late, early)
			got := next(t, receiver(t, b, "q", "q"))
			if got.Message.ID != "early" {
				t.Fatalf("got %s", got.Message.ID)
			}
			if letter := onlyLetter(t, b); letter.Message.ID != "late" || letter.Reason != broker.ReasonExpired || letter.Count != 0 || letter.Description == "" {
				t.Errorf("%+v", letter)
			}
		}
	})
}

// byID returns the next delivery of a message. Others that come before it stay handed out.
func byID(t *testing.T, r broker.Receiver, id string) *broker.Delivery {
	t.Helper()
	for {
		if got := next(t, r); got.Message.ID == id {
			return got
		}
	}
}

// receiveUntil keeps receiving until there is a letter.
func receiveUntil(t *testing.T, r broker.Receiver, b Broker) {
	t.Helper()
	eventually(t, "a dead letter", func() bool {
		nothing(t, r)
		page, err := b.Letters(limited(t), broker.LetterFilter{})
		return err == nil && len(page.Letters) > 0
	})
}
