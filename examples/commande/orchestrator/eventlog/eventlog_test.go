package eventlog_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/commande/orchestrator/eventlog"
	"github.com/skaldhq/skald/journal"
	"github.com/skaldhq/skald/participant"
)

func open(t *testing.T, path string, retention time.Duration) *eventlog.Log {
	t.Helper()
	l, err := eventlog.Open(path, retention)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func message(order journal.SagaID, id, name string, at time.Time) participant.Message {
	return participant.Message{ID: id, Type: name, Source: "inventaire", Saga: order, Step: "inventaire.reserve", Time: at, Data: []byte(`{}`)}
}

func names(t *testing.T, l *eventlog.Log, order journal.SagaID, after int64) []string {
	t.Helper()
	events, err := l.Of(t.Context(), order, after)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range events {
		list = append(list, e.Name)
	}
	return list
}

func TestF14EventPublishedTwiceIsKeptOnce(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "events.db"), time.Now()
	l := open(t, path, time.Hour)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			if err := l.Publish(t.Context(), []participant.Message{message("a", "1", "First", now), message("b", "2", "Other", now)}); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if err := l.Publish(t.Context(), []participant.Message{message("a", "3", "Second", now), message("a", "1", "First", now)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path, time.Hour)
	defer l.Close()
	if diff := cmp.Diff([]string{"First", "Second"}, names(t, l, "a", 0)); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	events, err := l.Of(t.Context(), "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Second"}, names(t, l, "a", events[0].Seq)); diff != "" {
		t.Errorf("after the first (-want +got):\n%s", diff)
	}
	if e := events[0]; e.Source != "inventaire" || e.Step != "inventaire.reserve" || !e.Time.Equal(now.Truncate(time.Microsecond)) {
		t.Errorf("%+v", e)
	}
}

func TestWatcherHearsOfItsOrderOnly(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "events.db"), time.Hour)
	defer l.Close()
	news, stop := l.Watch("a")
	if err := l.Publish(t.Context(), []participant.Message{message("b", "1", "Other", time.Now())}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-news:
		t.Error("it heard of another order")
	default:
	}
	for i := range 3 { // one notice stands for all
		if err := l.Publish(t.Context(), []participant.Message{message("a", fmt.Sprint(i), "Mine", time.Now())}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-news:
	case <-time.After(2 * time.Minute):
		t.Error("it heard nothing")
	}
	stop()
	if err := l.Publish(t.Context(), []participant.Message{message("a", "9", "Mine", time.Now())}); err != nil {
		t.Fatal(err)
	}
}

func TestFollowedOrdersAreRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.db")
	l := open(t, path, time.Hour)
	for _, id := range []journal.SagaID{"b", "a", "b"} {
		if err := l.Follow(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Unfollow(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Follow(t.Context(), "c"); !errors.Is(err, eventlog.ErrClosed) {
		t.Errorf("a closed log says %v", err)
	}
	l = open(t, path, time.Hour)
	defer l.Close()
	got, err := l.Followed(t.Context())
	if diff := cmp.Diff([]journal.SagaID{"b"}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestOldEventsAreForgotten(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "events.db"), time.Now()
	l := open(t, path, time.Hour)
	if err := l.Publish(t.Context(), []participant.Message{message("a", "1", "Old", now.Add(-2*time.Hour)), message("a", "2", "New", now)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path, time.Hour)
	defer l.Close()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cmp.Equal(names(t, l, "a", 0), []string{"New"}) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("kept: %v", names(t, l, "a", 0))
		}
	}
	if _, err := eventlog.Open(path, 0); err == nil {
		t.Error("a log that keeps nothing was opened")
	}
}
