package membroker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/skaldhq/skald/broker"
)

// stored is a message on its topic.
type stored struct {
	message   broker.Message
	seq       uint64
	published time.Time
	wanted    int // items of subscriptions that hold it
}

type delayed struct {
	message broker.Message
	due     time.Time
}

type topic struct {
	broker.Topic
	seq     uint64
	ids     map[string]time.Time // of published messages; not of a kept topic
	idOrder []string
	subs    []*subscription // in the order of their declaration
	delayed []delayed       // by due time

	messages int64 // stored and delayed
	bytes    int64
	perKey   map[broker.Key]int64
	byKey    map[broker.Key]*stored      // of a kept topic
	byPrefix map[broker.Key][]broker.Key // of a kept topic: keys by their first two elements, so that reading one saga is not reading all
}

func newTopic(t broker.Topic) *topic {
	return &topic{Topic: t, ids: make(map[string]time.Time), perKey: make(map[broker.Key]int64), byKey: make(map[broker.Key]*stored), byPrefix: make(map[broker.Key][]broker.Key)}
}

// declare changes the topic to what a declaration, with its defaults, says.
func (t *topic) declare(d broker.Topic) error {
	if t.Kept != d.Kept {
		return fmt.Errorf("membroker: topic %q: kept cannot be changed: %w", t.Name, broker.ErrConflict)
	}
	named := make(map[string]bool)
	for _, s := range d.Subscriptions {
		named[s.Name] = true
		if old := t.sub(s.Name); old != nil && old.Sessions != s.Sessions {
			return fmt.Errorf("membroker: subscription %q of topic %q: sessions cannot be changed: %w", s.Name, t.Name, broker.ErrConflict)
		}
	}
	t.subs = slices.DeleteFunc(t.subs, func(s *subscription) bool {
		retired := slices.Contains(d.Retired, s.Name)
		if retired {
			s.clear()
		}
		return retired
	})
	for _, old := range t.subs {
		if !named[old.Name] && (old.Sessions || slices.ContainsFunc(d.Subscriptions, func(s broker.Subscription) bool { return s.Sessions })) {
			return fmt.Errorf("membroker: topic %q has subscription %q: with sessions there is one only: %w", t.Name, old.Name, broker.ErrConflict)
		}
	}
	t.Topic = d
	for _, s := range d.Subscriptions {
		if old := t.sub(s.Name); old != nil {
			if s.Widens {
				s.Filters = broker.Widened(old.Filters, s.Filters)
			}
			old.Subscription = s
			continue
		}
		sub := &subscription{Subscription: s, topic: t, out: make(map[*item]bool)}
		t.subs = append(t.subs, sub)
		for _, kept := range t.match("**") { // in their order
			if sub.wants(kept.message.Key) {
				sub.enqueue(kept, time.Time{})
			}
		}
	}
	return nil
}

func (t *topic) sub(name string) *subscription {
	for _, s := range t.subs {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// remember keeps the id of a message for the window.
func (t *topic) remember(id string, now time.Time) {
	for len(t.idOrder) > 0 && now.Sub(t.ids[t.idOrder[0]]) >= window {
		delete(t.ids, t.idOrder[0])
		t.idOrder = t.idOrder[1:]
	}
	if _, known := t.ids[id]; !known {
		t.idOrder = append(t.idOrder, id)
	}
	t.ids[id] = now
}

func size(m broker.Message) int64 { return int64(len(m.Data)+len(m.ID)+len(m.Key)) + 64 }

// room says whether there is room for a message.
func (t *topic) room(m broker.Message) error {
	switch {
	case t.messages >= t.MaxMessages:
		return fmt.Errorf("membroker: topic %q holds %d messages: %w", t.Name, t.messages, broker.ErrFull)
	case t.bytes+size(m) > t.MaxBytes:
		return fmt.Errorf("membroker: topic %q holds %d bytes: %w", t.Name, t.bytes, broker.ErrFull)
	case t.MaxPerKey > 0 && t.perKey[m.Key] >= t.MaxPerKey:
		return fmt.Errorf("membroker: key %q of topic %q holds %d messages: %w", m.Key, t.Name, t.perKey[m.Key], broker.ErrFull)
	}
	return nil
}

func (t *topic) count(m broker.Message, n int64) {
	t.messages += n
	t.bytes += n * size(m)
	if t.perKey[m.Key] += n; t.perKey[m.Key] == 0 {
		delete(t.perKey, m.Key)
	}
}

func (t *topic) delay(m broker.Message, due time.Time) {
	t.count(m, 1)
	at, _ := slices.BinarySearchFunc(t.delayed, due, func(d delayed, due time.Time) int {
		return cmp.Or(d.due.Compare(due), -1) // behind those of the same time
	})
	t.delayed = slices.Insert(t.delayed, at, delayed{m, due})
}

// add gives a message its place.
func (t *topic) add(m broker.Message, now time.Time) *stored {
	t.seq++
	t.count(m, 1)
	s := &stored{message: m, seq: t.seq, published: now}
	if t.Kept {
		t.byKey[m.Key] = s
		p := prefixOf(m.Key.Elements())
		t.byPrefix[p] = append(t.byPrefix[p], m.Key)
	}
	return s
}

// drop forgets a message that nobody wants any more.
func (t *topic) drop(s *stored) {
	if s.wanted == 0 && !t.Kept {
		t.count(s.message, -1)
	}
}

// purge forgets a kept message, and takes it and its replays from the subscriptions.
func (t *topic) purge(s *stored) {
	t.count(s.message, -1)
	delete(t.byKey, s.message.Key)
	p := prefixOf(s.message.Key.Elements())
	t.byPrefix[p] = slices.DeleteFunc(t.byPrefix[p], func(k broker.Key) bool { return k == s.message.Key })
	if len(t.byPrefix[p]) == 0 {
		delete(t.byPrefix, p)
	}
}

// match returns the kept messages that match, in their order.
func (t *topic) match(f broker.Filter) []*stored {
	var found []*stored
	if elements := f.Elements(); len(elements) >= 2 && !slices.Contains(elements[:2], "*") && !slices.Contains(elements[:2], "**") {
		for _, key := range t.byPrefix[prefixOf(elements)] {
			if f.Match(key) {
				found = append(found, t.byKey[key])
			}
		}
	} else {
		for key, s := range t.byKey {
			if f.Match(key) {
				found = append(found, s)
			}
		}
	}
	slices.SortFunc(found, func(a, b *stored) int { return cmp.Compare(a.seq, b.seq) })
	return found
}

func prefixOf(elements []string) broker.Key {
	return broker.NewKey(elements[:min(2, len(elements))]...)
}
