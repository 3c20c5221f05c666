package membroker

import (
	"slices"
	"time"

	"github.com/skaldhq/skald/broker"
)

// item is a message in the queue of a subscription.
type item struct {
	*stored
	from   time.Time // not handed out before
	locked time.Time // until when it is locked; zero if it is not
	holder int       // number of the hand-out that holds the lock
	count  int
	first  broker.Failure
	last   broker.Failure
	gone   bool // settled or purged
}

type subscription struct {
	broker.Subscription
	topic    *topic
	items    []*item        // in their order
	out      map[*item]bool // handed out and not settled
	handouts int
}

func (s *subscription) wants(k broker.Key) bool {
	return slices.ContainsFunc(s.Filters, func(f broker.Filter) bool { return f.Match(k) })
}

func (s *subscription) enqueue(m *stored, from time.Time) {
	m.wanted++
	s.items = append(s.items, &item{stored: m, from: from})
}

// remove ends an item.
func (s *subscription) remove(i *item) {
	if i.gone {
		return
	}
	i.gone = true
	delete(s.out, i)
	if at := slices.Index(s.items, i); at >= 0 {
		s.items = slices.Delete(s.items, at, at+1)
	}
	i.wanted--
	s.topic.drop(i.stored)
}

func (s *subscription) clear() {
	for _, i := range slices.Clone(s.items) {
		s.remove(i)
	}
}

// purge removes the items whose keys match, replays among them.
func (s *subscription) purge(f broker.Filter) {
	for _, i := range slices.Clone(s.items) {
		if f.Match(i.message.Key) {
			s.remove(i)
		}
	}
}

// candidates are the items that can be handed out, in their order, at most limit of them, and the time at which another one may become ready.
func (s *subscription) candidates(now time.Time, limit int, expires func(*item) bool) (ready []*item, next time.Time) {
	later := func(at time.Time) { next = earlier(next, at) }
	inFlight := 0
	for i := range s.out {
		if i.locked.After(now) {
			inFlight++
			later(i.locked)
		}
	}
	if inFlight >= s.MaxInFlight {
		return nil, next
	}
	next = time.Time{}
	busy := make(map[broker.Key]bool)
	for _, i := range s.items {
		if s.Sessions && busy[i.message.Key] {
			continue
		}
		busy[i.message.Key] = s.Sessions
		switch {
		case i.locked.After(now) && !expires(i):
			later(i.locked)
		case i.from.After(now):
			later(i.from)
		default:
			if ready = append(ready, i); len(ready) == limit {
				return ready, next
			}
		}
	}
	return ready, next
}
