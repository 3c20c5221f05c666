package outsider_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/examples/drone/outsider"
)

func TestADeliveryIsTriedUntilItIsTaken(t *testing.T) {
	var elsewhere atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer target.Close()
	w := newWorld(t, func(c *outsider.Config) { c.Timeout = 500 * time.Millisecond })
	s := newStranger(t, anybody(), func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			<-r.Context().Done() // no answer in time
		case 3:
			http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
		case 4:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	made := w.subscribe("validated", map[string]any{"url": s.URL})
	id := w.publish("DeliveryCreated", "d-1")
	until(t, "the fifth attempt is taken", func() bool { return len(s.events()) == 5 && w.subscription(made.ID).Waiting == 0 })
	if diff := cmp.Diff([]string{id, id, id, id, id}, s.events()); diff != "" {
		t.Errorf("attempts (-want +got):\n%s", diff)
	}
	got := s.got(http.MethodPost)
	for _, r := range got {
		if r.header.Get("webhook-id") != got[0].header.Get("webhook-id") {
			t.Error("an attempt has another webhook-id, so the receiver cannot tell that it is the same event")
		}
	}
	if gap := got[4].at.Sub(got[3].at); gap < time.Second {
		t.Errorf("asked to wait a second, it came after %v", gap)
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// letter is a dead letter as the API tells it.
type letter struct {
	ID, Reason, Description, State, Note string
	Count                                int
	Event                                struct{ ID, Type string }
	First, Last                          struct {
		At          time.Time
		Description string
	}
}

func (w *world) letters(id string) []letter {
	w.t.Helper()
	var all []letter
	w.call("GET", "/api/subscriptions/"+id+"/deadletters", nil, &all)
	return all
}

func TestWhatCannotBeDeliveredIsADeadLetter(t *testing.T) {
	var mended atomic.Bool
	w := newWorld(t, func(c *outsider.Config) { c.Attempts = 3 })
	s := newStranger(t, anybody(), func(n int, w http.ResponseWriter, _ *http.Request) {
		if status := http.StatusBadRequest; !mended.Load() {
			if n == 1 {
				status = http.StatusBadGateway
			}
			w.WriteHeader(status)
		}
	})
	made := w.subscribe("validated", map[string]any{"url": s.URL})
	first := w.publish("DeliveryCreated", "d-1")
	until(t, "a dead letter", func() bool { return len(w.letters(made.ID)) == 1 })
	l := w.letters(made.ID)[0]
	if l.Event.ID != first || l.Reason != "outsider.refused" || l.Count != 3 || l.First.Description != "it answered 502 (Bad Gateway)" || l.Description != "it answered 400 (Bad Request)" ||
		l.First.At.IsZero() || l.Last.At.Before(l.First.At) || l.State != "dead" {
		t.Errorf("dead letter %+v", l)
	}
	path := "/api/subscriptions/" + made.ID + "/deadletters/" + l.ID
	decision := map[string]any{"by": "ada", "reason": "the outsider was mended"}
	if status := w.call("POST", path+"/replay", map[string]any{"by": "ada", "reason": " "}, nil); status != http.StatusUnprocessableEntity {
		t.Errorf("a decision without reason is answered %d", status)
	}
	mended.Store(true)
	for range 2 { // the second changes nothing
		if status := w.call("POST", path+"/replay", decision, nil); status != http.StatusNoContent {
			t.Fatalf("replay is answered %d", status)
		}
		until(t, "delivered", func() bool { return len(s.events()) == 4 && w.subscription(made.ID).Waiting == 0 })
	}
	if status := w.call("POST", path+"/discard", decision, nil); status != http.StatusConflict {
		t.Errorf("discarding what was replayed is answered %d", status)
	}
	if len(s.events()) != 4 || len(w.letters(made.ID)) != 0 {
		t.Errorf("%d attempts and letters %v, want 4 and none", len(s.events()), w.letters(made.ID))
	}
	mended.Store(false)
	w.publish("DeliveryCompleted", "d-1")
	until(t, "another dead letter", func() bool { return len(w.letters(made.ID)) == 1 })
	path = "/api/subscriptions/" + made.ID + "/deadletters/" + w.letters(made.ID)[0].ID
	for range 2 {
		if status := w.call("POST", path+"/discard", decision, nil); status != http.StatusNoContent {
			t.Errorf("discard is answered %d", status)
		}
	}
	if status := w.call("POST", path+"/replay", decision, nil); status != http.StatusConflict {
		t.Errorf("replaying what was discarded is answered %d", status)
	}
	if l := w.letters(made.ID)[0]; l.State != "discarded" || l.Note != "ada: the outsider was mended" {
		t.Errorf("discarded letter %+v", l)
	}
	if status := w.call("POST", path+"x/replay", decision, nil); status != http.StatusNotFound {
		t.Errorf("an unknown letter is answered %d", status)
	}
}

func TestAnOutsiderThatIsGoneIsRemoved(t *testing.T) {
	w := newWorld(t, nil)
	s := newStranger(t, anybody(), func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	made := w.subscribe("validated", map[string]any{"url": s.URL})
	w.publish("DeliveryCreated", "d-1")
	until(t, "removed", func() bool {
		return w.call("GET", "/api/subscriptions/"+made.ID, nil, nil) == http.StatusNotFound
	})
}

func TestASlowOutsiderHoldsUpNobody(t *testing.T) {
	w := newWorld(t, func(c *outsider.Config) { c.Timeout = patience })
	release := make(chan struct{})
	slow := newStranger(t, anybody(), func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	fast := newStranger(t, anybody(), nil)
	dead := newStranger(t, anybody(), nil)
	for _, s := range []*stranger{slow, fast, dead} {
		w.subscribe("validated", map[string]any{"url": s.URL})
	}
	dead.Close()
	var want []string
	for range 20 {
		want = append(want, w.publish("DeliveryCreated", "d"))
	}
	until(t, "the fast one has everything", func() bool { return len(fast.events()) == len(want) })
	if n := len(slow.events()); n > 1 {
		t.Errorf("the slow one got %d events at a time, want 1", n)
	}
	close(release)
	until(t, "the slow one has everything", func() bool { return len(slow.events()) == len(want) })
	for _, s := range []*stranger{fast, slow} {
		got := s.events()
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	}
}
