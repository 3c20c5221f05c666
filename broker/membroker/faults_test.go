package membroker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
)

// world is a broker in virtual time with one thing after the other.
type world struct {
	*membroker.Broker
	t     *testing.T
	now   time.Time
	story []string // what was handed out
}

func newWorld(t *testing.T, seed uint64, rates map[membroker.Fault]float64, topics ...broker.Topic) *world {
	t.Helper()
	w := &world{t: t, now: time.Unix(1_800_000_000, 0)}
	w.Broker = membroker.New(membroker.Config{Now: func() time.Time { return w.now }, Chance: membroker.Seeded(seed, rates), MaxDelay: time.Minute})
	if err := w.Declare(t.Context(), topics...); err != nil {
		t.Fatal(err)
	}
	return w
}

// always is a chance with one fault that happens whenever it can.
func always(f membroker.Fault) map[membroker.Fault]float64 { return map[membroker.Fault]float64{f: 1} }

func message(id string, key broker.Key) broker.Message {
	return broker.Message{ID: id, Type: "T", Source: "test", Key: key}
}

func topic(name string, sessions bool) broker.Topic {
	return broker.Topic{Name: name, Subscriptions: []broker.Subscription{{Name: name, Sessions: sessions, Lock: time.Minute, MaxDeliveries: 1000}}}
}

// publish sends until it is sure, as an outbox does.
func (w *world) publish(topic string, m broker.Message) (attempts int) {
	for attempts = 1; w.Publish(w.t.Context(), topic, m) != nil; attempts++ {
		if attempts > 1000 {
			w.t.Fatal("publishing never succeeds")
		}
	}
	return attempts
}

// take takes the next message of any of the topics, when time has to pass for it too; nil means that there is none.
func (w *world) take(topics ...string) *broker.Delivery {
	w.t.Helper()
	for range 1000 {
		for _, topic := range topics {
			d, err := w.Take(topic, topic)
			if err != nil {
				w.t.Fatal(err)
			}
			if d != nil {
				w.story = append(w.story, d.Message.ID)
				return d
			}
		}
		due, ok := w.NextDue()
		if !ok {
			return nil
		}
		w.now = due
	}
	w.t.Fatal("time passes and nothing comes")
	return nil
}

func (w *world) happened(f membroker.Fault) {
	w.t.Helper()
	if w.Injected(f) == 0 {
		w.t.Errorf("%s did not happen", f)
	}
}

func TestF14_DuplicatesAndForgottenIdsAreHandedOutTwice(t *testing.T) {
	for _, f := range []membroker.Fault{membroker.Duplicate, membroker.ForgottenID} {
		w := newWorld(t, 1, always(f), topic("q", false))
		w.publish("q", message("m", "k"))
		if f == membroker.ForgottenID {
			w.publish("q", message("m", "k"))
		}
		for range 2 {
			d := w.take("q")
			if d == nil || d.Count != 1 {
				t.Fatalf("%s: %+v", f, d)
			}
			if err := d.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d := w.take("q"); d != nil {
			t.Errorf("%s: a third copy", f)
		}
		w.happened(f)
	}
}

func TestF27_MessagesAreHandedOutInAnotherOrder(t *testing.T) {
	w := newWorld(t, 1, always(membroker.Reorder), topic("q", false))
	for i := range 10 {
		w.publish("q", message(fmt.Sprint(i), "k"))
	}
	for range 10 {
		w.take("q")
	}
	if slices.IsSorted(w.story) || len(w.story) != 10 {
		t.Errorf("%v", w.story)
	}
	w.happened(membroker.Reorder)
}

func TestMessagesAreDelayed(t *testing.T) {
	w := newWorld(t, 1, always(membroker.Delay), topic("q", false))
	w.publish("q", message("m", "k"))
	begin := w.now
	if w.take("q") == nil || !w.now.After(begin) || w.now.After(begin.Add(time.Minute)) {
		t.Errorf("it came after %v", w.now.Sub(begin))
	}
	w.happened(membroker.Delay)
}

func TestF15_SettlementsAreLost(t *testing.T) {
	for f, again := range map[membroker.Fault]bool{membroker.LostAck: true, membroker.LostAckReply: false} {
		w := newWorld(t, 1, always(f), topic("q", false))
		w.publish("q", message("m", "k"))
		if err := w.take("q").Complete(t.Context()); err == nil || errors.Is(err, broker.ErrLockLost) {
			t.Errorf("%s: the caller sees %v", f, err)
		}
		if d := w.take("q"); (d != nil) != again {
			t.Errorf("%s: it comes again: %t", f, d != nil)
		}
		w.happened(f)
	}
}

func TestF15_LocksExpireEarlyAndLateAcksAreTaken(t *testing.T) {
	for _, late := range []bool{false, true} {
		rates := always(membroker.EarlyExpiry)
		if late {
			rates[membroker.LateAck] = 1
		}
		w := newWorld(t, 1, rates, topic("q", false))
		w.publish("q", message("m", "k"))
		begin := w.now
		first, second := w.take("q"), w.take("q")
		if second == nil || second.Count != 2 || w.now != begin {
			t.Fatalf("%+v", second)
		}
		err := first.Complete(t.Context())
		if late && err != nil || !late && !errors.Is(err, broker.ErrLockLost) {
			t.Errorf("late acks %t: the first holder gets %v", late, err)
		}
		if n, err := w.Pending("q", "q"); err != nil || (n == 0) != late {
			t.Errorf("late acks %t: %d messages pend (%v)", late, n, err)
		}
		w.happened(membroker.EarlyExpiry)
	}
}

func TestF13_PublishesAreLostOrSeemSo(t *testing.T) {
	for f, stored := range map[membroker.Fault]int{membroker.LostPublish: 0, membroker.LostPublishReply: 1} {
		w := newWorld(t, 1, always(f), topic("q", false), broker.Topic{Name: "tokens", Kept: true})
		if err := w.Publish(t.Context(), "q", message("m", "k")); err == nil {
			t.Errorf("%s: the caller sees no error", f)
		}
		if n, err := w.Pending("q", "q"); n != stored || err != nil {
			t.Errorf("%s: %d stored (%v)", f, n, err)
		}
		if _, err := w.Decide(t.Context(), "tokens", message("m", "k")); err == nil {
			t.Errorf("%s: the caller sees no error", f)
		}
		if all, err := w.Read(t.Context(), "tokens", "**"); len(all) != stored || err != nil {
			t.Errorf("%s: %d decided (%v)", f, len(all), err)
		}
		w.happened(f)
	}
}

// storm is a chance with everything in it.
func storm() map[membroker.Fault]float64 {
	rates := make(map[membroker.Fault]float64)
	for _, f := range membroker.Faults() {
		rates[f] = 0.15
	}
	return rates
}

// run publishes, decides and handles with retries, as services do, and returns what was handed out.
func run(t *testing.T, seed uint64, happened map[membroker.Fault]int) []string {
	w := newWorld(t, seed, storm(), topic("q", false), topic("s", true), broker.Topic{Name: "tokens", Kept: true})
	for i := range 12 {
		key := broker.NewKey(fmt.Sprint(i % 3))
		w.publish("q", message(fmt.Sprintf("q%d", i), key))
		w.publish("s", message(fmt.Sprintf("s%d", i), key))
		won := 0
		for rival := range 3 {
			for {
				d, err := w.Decide(t.Context(), "tokens", message(fmt.Sprintf("%d-%d", i, rival), broker.NewKey("t", fmt.Sprint(i))))
				if err != nil {
					continue
				}
				if d.Won {
					won++
				}
				break
			}
		}
		if won != 1 {
			t.Errorf("seed %d: %d winners of token %d", seed, won, i)
		}
	}
	handled := make(map[string]bool)
	order := make(map[broker.Key][]string)
	var held *broker.Delivery
	for d := w.take("q", "s"); d != nil; d = w.take("q", "s") {
		if id := d.Message.ID; !handled[id] {
			handled[id] = true
			if d.Topic == "s" {
				order[d.Message.Key] = append(order[d.Message.Key], id)
			}
		}
		// Two are at work at a time. If completing fails, the message comes again.
		if held != nil {
			_ = held.Complete(t.Context())
		}
		held = d
	}
	if len(handled) != 24 {
		t.Errorf("seed %d: %d of 24 messages were handled", seed, len(handled))
	}
	if want := map[broker.Key][]string{"0": {"s0", "s3", "s6", "s9"}, "1": {"s1", "s4", "s7", "s10"}, "2": {"s2", "s5", "s8", "s11"}}; !cmp.Equal(want, order) {
		t.Errorf("seed %d: sessions: %s", seed, cmp.Diff(want, order))
	}
	for _, f := range membroker.Faults() {
		happened[f] += w.Injected(f)
	}
	return w.story
}

// TestEverythingArrivesInAStorm runs with all faults together: nothing is lost, one rival decides, and sessions keep their order.
func TestEverythingArrivesInAStorm(t *testing.T) {
	happened := make(map[membroker.Fault]int)
	stories := make(map[string]bool)
	for seed := range uint64(200) {
		story := strings.Join(run(t, seed, happened), " ")
		stories[story] = true
		if seed%20 == 0 {
			if again := strings.Join(run(t, seed, happened), " "); again != story {
				t.Errorf("seed %d gives two stories:\n%s\n%s", seed, story, again)
			}
		}
	}
	if len(stories) < 150 {
		t.Errorf("only %d different stories", len(stories))
	}
	for _, f := range membroker.Faults() {
		if happened[f] == 0 {
			t.Errorf("%s never happened", f)
		}
	}
}

func TestNextDueFindsWhatOnlyNeedsTime(t *testing.T) {
	w := newWorld(t, 1, nil, topic("q", false))
	if _, ok := w.NextDue(); ok {
		t.Error("an empty broker waits for something")
	}
	delayed := message("delayed", "k")
	delayed.NotBefore = w.now.Add(time.Hour)
	w.publish("q", delayed)
	if due, ok := w.NextDue(); !ok || !due.Equal(delayed.NotBefore) {
		t.Errorf("due %v, %t", due, ok)
	}
	w.publish("q", message("now", "k"))
	if due, ok := w.NextDue(); !ok || !due.Equal(w.now) {
		t.Errorf("due %v, %t", due, ok)
	}
	if d, err := w.Take("q", "q"); err != nil || d == nil || d.Message.ID != "now" {
		t.Fatalf("%+v (%v)", d, err)
	}
	if due, ok := w.NextDue(); !ok || !due.Equal(w.now.Add(time.Minute)) {
		t.Errorf("the lock expires at %v, %t", due, ok)
	}
}
