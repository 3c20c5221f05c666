package natsbroker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/natsbroker"
)

// listener is asked whether there is nothing to do about messages, and notes what it is handed.
type listener struct {
	mu      sync.Mutex
	asked   map[broker.Key]int
	handled map[broker.Key]bool
}

// ignore has nothing to do about overheard messages from the second time on, and never anything about idle ones.
func (l *listener) ignore(e broker.Envelope) bool {
	k := e.Key
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[k]++
	return k.Elements()[0] == "overheard" && l.asked[k] > 1 || k.Elements()[0] == "idle"
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

// listening lets a listener hear a kept topic that is overheard, until the function that it returns is called, which returns how that ended.
func listening(t *testing.T, here *embedded) (*listener, func() error) {
	t.Helper()
	declareTokens(t, here)
	l := &listener{asked: make(map[broker.Key]int), handled: make(map[broker.Key]bool)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- broker.Consume(ctx, here, broker.ConsumerConfig{Topic: "tokens", Subscription: "all", Ignore: l.ignore, Overheard: true, Unconfirmed: true, Log: quiet()}, l.handle)
	}()
	return l, func() error { cancel(); return <-ended }
}

func declareTokens(t *testing.T, b broker.Broker) {
	t.Helper()
	topic := broker.Topic{Name: "tokens", Kept: true, Subscriptions: []broker.Subscription{{Name: "all", Lock: 5 * time.Second, MaxInFlight: 10_000}}}
	if err := b.Declare(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
}

// decide publishes a message under a key, as the first.
func decide(t *testing.T, by broker.Broker, key broker.Key) {
	t.Helper()
	m := broker.Message{ID: string(key), Type: "t", Source: "s", Key: key, Time: time.Now()}
	if d, err := by.Decide(t.Context(), "tokens", m); err != nil || !d.Won {
		t.Fatalf("%+v: %v", d, err)
	}
}

func untilNothingIsLeft(t *testing.T, here *embedded) {
	t.Helper()
	until(t, "nothing is left", func() bool {
		backlog, err := here.Backlog(t.Context(), "tokens", "all")
		return err == nil && backlog == broker.Backlog{}
	})
}

func TestWhatIsDecidedHereIsAskedAboutAgainBeforeItIsHandedOut(t *testing.T) {
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	there := open(t, natsbroker.Config{Server: here.server})
	defer there.Close()
	l, end := listening(t, here)
	for key, by := range map[broker.Key]broker.Broker{"overheard/1": here, "overheard/2": here, "vain/1": here, "far/1": there} {
		decide(t, by, key)
	}
	until(t, "what was overheard in vain, and what was decided elsewhere, is handled", func() bool { return len(l.all()) >= 2 })
	untilNothingIsLeft(t, here)
	if err := end(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]broker.Key{"far/1", "vain/1"}, l.all()); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}

// Whoever overhears everything asks the server once a second, and not all the time, until somebody else can publish, too.
func TestWhoeverOverhearsEverythingRestsBetweenRequests(t *testing.T) {
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	l, end := listening(t, here)
	for i := range 100 {
		decide(t, here, broker.NewKey("overheard", fmt.Sprint(i)))
	}
	decide(t, here, "vain/1")
	until(t, "what was overheard in vain is handled all the same", func() bool { return len(l.all()) > 0 })
	untilNothingIsLeft(t, here)
	for range 20 {
		if n := consumerInfo(t, here, "skald-tokens", "all").NumWaiting; n != 0 {
			t.Errorf("%d requests wait for messages", n)
		}
	}
	there := open(t, natsbroker.Config{Server: here.server})
	until(t, "a request waits for what another broker publishes", func() bool { return consumerInfo(t, here, "skald-tokens", "all").NumWaiting > 0 })
	decide(t, there, "far/1")
	until(t, "what was decided elsewhere is handled", func() bool { return len(l.all()) > 1 })
	if err := errors.Join(end(), there.Close()); err != nil {
		t.Error(err)
	}
}

// Whoever rests asks for all that came meanwhile at once, and not for as much as there is room for handlers.
func TestWhoeverRestsAsksForAllThatCameMeanwhile(t *testing.T) {
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	requests := requestsFor(t, here, "skald-tokens", "all")
	_, end := listening(t, here)
	for i := range backlog {
		decide(t, here, broker.NewKey("overheard", fmt.Sprint(i)))
	}
	untilNothingIsLeft(t, here)
	if n := len(requests()); n > backlog/room/2 {
		t.Errorf("%d requests for %d messages that are ignored", n, backlog)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// As long as there is something to do about what comes, no more of it is asked for than there is room for.
func TestWhoeverHasSomethingToDoAsksForNoMoreThanThereIsRoomFor(t *testing.T) {
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	declareTokens(t, here)
	there := open(t, natsbroker.Config{Server: here.server})
	for i := range backlog {
		decide(t, there, broker.NewKey("far", fmt.Sprint(i)))
	}
	if err := there.Close(); err != nil {
		t.Fatal(err)
	}
	requests := requestsFor(t, here, "skald-tokens", "all")
	l, end := listening(t, here)
	until(t, "all is handled", func() bool { return len(l.all()) == backlog })
	all := requests()
	tooMany := func(r asked) bool { return r.batch > room }
	if len(all) < backlog/room || slices.ContainsFunc(all[:backlog/room], tooMany) {
		t.Errorf("asked for %v, want at most %d at a time", all, room)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// What comes in one large answer waits here for a place, for longer than its lock lasts, and is handled once.
func TestWhatWaitsForAPlaceKeepsItsLock(t *testing.T) {
	t.Parallel()
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	declareTokens(t, here)
	const lock, places, many, each = 5 * time.Second, 8, 24, 2200 * time.Millisecond // 6.6 s in all
	var mu sync.Mutex
	handled, lost := 0, 0
	requests := requestsFor(t, here, "skald-tokens", "all")
	handle := func(ctx context.Context, _ *broker.Delivery) error {
		timer := time.NewTimer(each)
		defer timer.Stop()
		mu.Lock()
		handled++
		mu.Unlock()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			mu.Lock()
			defer mu.Unlock()
			lost++
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	nothing := func(e broker.Envelope) bool { return e.Key.Elements()[0] == "idle" }
	go func() {
		ended <- broker.Consume(ctx, here, broker.ConsumerConfig{Topic: "tokens", Subscription: "all", Parallel: places, Ignore: nothing, Overheard: true, Log: quiet()}, handle)
	}()
	decide(t, here, "idle/1") // so that many are asked for at once
	until(t, "more is asked for than there are places", func() bool {
		return slices.ContainsFunc(requests(), func(r asked) bool { return r.batch > places })
	})
	for i := range many {
		decide(t, here, broker.NewKey("vain", fmt.Sprint(i)))
	}
	untilNothingIsLeft(t, here)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if handled != many || lost != 0 {
		t.Errorf("%d handlers for %d messages, of which %d lost the lock of %v", handled, many, lost, lock)
	}
}

const (
	room    = 16 // for handlers, of a consumer that does not say
	backlog = 600
)

// Who is behind does not rest before there is nothing left: the next request follows when the last one is answered.
func TestWhoeverIsBehindDoesNotRest(t *testing.T) {
	here := openEmbedded(t, t.TempDir())
	defer here.Close()
	declareTokens(t, here)
	const many = 8 * 1024
	for i := range many {
		decide(t, here, broker.NewKey("idle", fmt.Sprint(i)))
	}
	requests := requestsFor(t, here, "skald-tokens", "all")
	_, end := listening(t, here)
	untilNothingIsLeft(t, here)
	waits, all := 0, requests()
	for i := range len(all) - 1 {
		if all[i].batch > room && all[i+1].at.Sub(all[i].at) > 900*time.Millisecond {
			waits++
		}
	}
	if most := 3; waits > most { // the last ones are followed by rests, and a machine may be busy elsewhere
		t.Errorf("there were %d rests between %d requests: %v", waits, len(all), all)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// asked is a request for messages.
type asked struct {
	at    time.Time
	batch int
}

// requestsFor returns what says which requests there were so far for messages of a subscription.
func requestsFor(t *testing.T, b *embedded, stream, consumer string) func() []asked {
	t.Helper()
	conn, err := nats.Connect("", nats.InProcessServer(b.server))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	var mu sync.Mutex
	var all []asked
	if _, err := conn.Subscribe("$JS.API.CONSUMER.MSG.NEXT."+stream+"."+consumer, func(m *nats.Msg) {
		var request struct {
			Batch int `json:"batch"`
		}
		if err := json.Unmarshal(m.Data, &request); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, asked{time.Now(), request.Batch})
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return func() []asked {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
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
		r.(broker.Ignorer).Ignore(func(broker.Envelope) bool {
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
