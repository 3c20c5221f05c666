package brokertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
)

// setAside makes dead letters of messages.
func setAside(t *testing.T, b Broker, topic, subscription string, messages ...broker.Message) {
	t.Helper()
	publish(t, b, topic, messages...)
	r := receiver(t, b, topic, subscription)
	for _, got := range receive(t, r, len(messages)) {
		if err := got.DeadLetter(limited(t), broker.Problem{Reason: "Reason." + got.Message.Type, Description: "why"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

func testLetters(t *testing.T, d Driver) {
	d.run(t, "ListsFilterAndPage", func(t *testing.T) { testLetterPages(t, d) })
	d.run(t, "F28_AReplayReachesOnlyItsSubscriptionAndOnlyOnce", func(t *testing.T) {
		b := open(t, d, broker.Topic{Name: "t", Subscriptions: []broker.Subscription{{Name: "a"}, {Name: "b"}}})
		m := full()
		setAside(t, b, "t", "a", m)
		complete(t, next(t, receiver(t, b, "t", "b")))
		letter := onlyLetter(t, b)
		for range 2 {
			if err := b.Replay(limited(t), letter.ID, "ann: the size is known now"); err != nil {
				t.Fatal(err)
			}
		}
		r := receiver(t, b, "t", "a")
		got := next(t, r)
		want := full()
		want.Expires = got.Message.Expires
		if diff := cmp.Diff(want, got.Message); diff != "" || !got.Message.Expires.IsZero() || got.Count != 1 {
			t.Errorf("count %d, expires %v, -published +replayed:\n%s", got.Count, got.Message.Expires, diff)
		}
		complete(t, got)
		nothing(t, r)
		nothing(t, receiver(t, b, "t", "b"))
		after, err := b.Letter(limited(t), letter.ID)
		if err != nil || after.State != broker.Replayed || after.Note != "ann: the size is known now" || after.Replays != 1 || after.Settled.IsZero() {
			t.Errorf("%+v (%v)", after, err)
		}
		isErr(t, "discard", b.Discard(limited(t), letter.ID, "ann: no"), broker.ErrSettled)
	})
	d.run(t, "F28_AReplayedMessageCanBeSetAsideAgain", func(t *testing.T) {
		b := open(t, d, queue("q"))
		setAside(t, b, "q", "q", message("m", "k"))
		letter := onlyLetter(t, b)
		for replays := 1; replays <= 2; replays++ {
			if err := b.Replay(limited(t), letter.ID, "test"); err != nil {
				t.Fatal(err)
			}
			if err := next(t, receiver(t, b, "q", "q")).DeadLetter(limited(t), broker.Problem{Reason: "Again"}); err != nil {
				t.Fatal(err)
			}
			if got := onlyLetter(t, b); got.ID != letter.ID || got.Replays != replays || got.Reason != "Again" || got.Note != "" || !got.Settled.IsZero() {
				t.Errorf("%+v", got)
			}
		}
	})
	d.run(t, "ATokenCanBeReplayedAndPurged", func(t *testing.T) {
		b := open(t, d, tokens(broker.Subscription{Name: "a"}))
		decide(t, b, "tokens", message("m", "s/1"))
		r := receiver(t, b, "tokens", "a")
		if err := next(t, r).DeadLetter(limited(t), broker.Problem{Reason: "Bad"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Replay(limited(t), onlyLetter(t, b).ID, "test"); err != nil {
			t.Fatal(err)
		}
		complete(t, next(t, r))
		if diff := cmp.Diff([]string{"m"}, readIDs(t, b, "s/*")); diff != "" {
			t.Errorf("a replay decides nothing: %s", diff)
		}
		if n, err := b.Purge(limited(t), "tokens", "s/*"); n != 1 || err != nil {
			t.Errorf("purged %d (%v)", n, err)
		}
	})
	d.run(t, "DiscardedIsDiscarded", func(t *testing.T) {
		b := open(t, d, queue("q"))
		setAside(t, b, "q", "q", message("m", "k"))
		letter := onlyLetter(t, b)
		for range 2 {
			if err := b.Discard(limited(t), letter.ID, "ann: a test order"); err != nil {
				t.Fatal(err)
			}
		}
		after, err := b.Letter(limited(t), letter.ID)
		if err != nil || after.State != broker.Discarded || after.Note != "ann: a test order" || after.Settled.IsZero() || after.Replays != 0 {
			t.Errorf("%+v (%v)", after, err)
		}
		isErr(t, "replay", b.Replay(limited(t), letter.ID, "bob"), broker.ErrSettled)
		nothing(t, receiver(t, b, "q", "q"))
	})
	d.run(t, "WhatCameToNothingLaterIsSetAsideOnceAndCanBeReplayed", func(t *testing.T) {
		b := open(t, d, queue("q"))
		at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
		l := broker.DeadLetter{Topic: "q", Subscription: "q", Message: message("m", "k"), Reason: "Drone.NoneFree", Description: "none of 6", Count: 4,
			First: broker.Failure{Problem: broker.Problem{Reason: "A", Description: "first"}, At: at}, Last: broker.Failure{Problem: broker.Problem{Reason: "B"}, At: at.Add(time.Minute)}}
		for range 2 {
			if err := b.SetAside(limited(t), l); err != nil {
				t.Fatal(err)
			}
		}
		got := onlyLetter(t, b)
		want := l
		want.ID, want.At, want.State, want.Message = broker.LetterID("q", "q", "m"), got.At, broker.Waiting, got.Message
		if diff := cmp.Diff(want, got); diff != "" || got.Message.ID != "m" || got.Message.Key != "k" || got.At.IsZero() {
			t.Errorf("%s", diff)
		}
		if err := b.Replay(limited(t), got.ID, "ann: a drone is back"); err != nil {
			t.Fatal(err)
		}
		if again := receive(t, receiver(t, b, "q", "q"), 1)[0]; again.Message.ID != "m" || string(again.Message.Data) != string(l.Message.Data) {
			t.Errorf("replayed: %+v", again.Message)
		}
		if err := b.SetAside(limited(t), l); err != nil { // a late copy of what was settled
			t.Fatal(err)
		}
		if after, err := b.Letter(limited(t), got.ID); err != nil || after.State != broker.Replayed {
			t.Errorf("%+v (%v)", after, err)
		}
		l.Subscription = "other"
		isErr(t, "unknown subscription", b.SetAside(limited(t), l), broker.ErrNotDeclared)
		l.Message.ID = ""
		isErr(t, "unusable message", b.SetAside(limited(t), l), broker.ErrInvalid)
	})
	d.run(t, "RemediedIsRemedied", func(t *testing.T) {
		b := open(t, d, queue("q"))
		setAside(t, b, "q", "q", message("m", "k"))
		letter := onlyLetter(t, b)
		before, err := b.Letters(limited(t), broker.LetterFilter{})
		if err != nil || before.End == "" || before.Next != "" {
			t.Fatalf("%+v (%v)", before, err)
		}
		for range 2 { // again is harmless
			if err := b.Remedy(limited(t), letter.ID, "remediation: compensated"); err != nil {
				t.Fatal(err)
			}
		}
		since, err := b.Letters(limited(t), broker.LetterFilter{State: broker.Remedied, Cursor: before.End})
		if err != nil || len(since.Letters) != 1 || since.Letters[0].Note != "remediation: compensated" || since.Letters[0].Settled.IsZero() {
			t.Errorf("%+v (%v)", since, err)
		}
		none, err := b.Letters(limited(t), broker.LetterFilter{State: broker.Remedied, Cursor: since.End})
		if err != nil || len(none.Letters) != 0 {
			t.Errorf("%+v (%v)", none, err)
		}
		isErr(t, "replay", b.Replay(limited(t), letter.ID, "bob"), broker.ErrSettled)
		isErr(t, "without a note", b.Remedy(limited(t), letter.ID, " "), broker.ErrInvalid)
	})
	d.run(t, "NotesAndIdsAreRequired", func(t *testing.T) {
		b := open(t, d, queue("q"))
		setAside(t, b, "q", "q", message("m", "k"))
		letter := onlyLetter(t, b)
		isErr(t, "replay without a note", b.Replay(limited(t), letter.ID, " "), broker.ErrInvalid)
		isErr(t, "discard without a note", b.Discard(limited(t), letter.ID, ""), broker.ErrInvalid)
		for _, unknown := range []string{"", "unknown", "*", ">", broker.LetterID("q", "q", "other")} {
			_, err := b.Letter(limited(t), unknown)
			isErr(t, "show "+unknown, err, broker.ErrNotFound)
			isErr(t, "replay "+unknown, b.Replay(limited(t), unknown, "note"), broker.ErrNotFound)
			isErr(t, "discard "+unknown, b.Discard(limited(t), unknown, "note"), broker.ErrNotFound)
		}
		_, err := b.Letters(limited(t), broker.LetterFilter{Cursor: "no number"})
		isErr(t, "cursor", err, broker.ErrInvalid)
	})
}

func testLetterPages(t *testing.T, d Driver) {
	b := open(t, d, queue("q"), queue("other"))
	for i := range 7 {
		m := message(fmt.Sprintf("m%d", i), broker.NewKey(fmt.Sprintf("saga%d", i%2)))
		m.Type = fmt.Sprintf("T%d", i%3)
		setAside(t, b, []string{"q", "other"}[i%2], []string{"q", "other"}[i%2], m)
	}
	if err := b.Discard(limited(t), broker.LetterID("q", "q", "m0"), "test"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		filter broker.LetterFilter
		want   []string
	}{
		{broker.LetterFilter{}, []string{"m1", "m2", "m3", "m4", "m5", "m6"}},
		{broker.LetterFilter{Limit: 2}, []string{"m1", "m2", "m3", "m4", "m5", "m6"}},
		{broker.LetterFilter{Topic: "q", Limit: 1}, []string{"m2", "m4", "m6"}},
		{broker.LetterFilter{Subscription: "other"}, []string{"m1", "m3", "m5"}},
		{broker.LetterFilter{Reason: "Reason.T0", Limit: 1}, []string{"m3", "m6"}},
		{broker.LetterFilter{Saga: "saga1", Limit: 3}, []string{"m1", "m3", "m5"}},
		{broker.LetterFilter{State: broker.Discarded}, []string{"m0"}},
		{broker.LetterFilter{State: broker.Replayed}, nil},
	} {
		var found []string
		for pages := 0; ; pages++ {
			page, err := b.Letters(limited(t), c.filter)
			if err != nil || pages > 10 || c.filter.Limit > 0 && len(page.Letters) > c.filter.Limit {
				t.Fatalf("page %d has %d letters (%v)", pages, len(page.Letters), err)
			}
			for _, l := range page.Letters {
				found = append(found, l.Message.ID)
			}
			if c.filter.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		if diff := cmp.Diff(c.want, found); diff != "" {
			t.Errorf("%+v: %s", c.filter, diff)
		}
	}
}
