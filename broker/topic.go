package broker

import (
	"errors"
	"fmt"
	"time"
)

// Limits and defaults of declarations.
const (
	DefaultMaxMessages   = 1_000_000
	DefaultMaxBytes      = 512 << 20
	DefaultMaxPerSession = 1000 // of Topic.MaxPerKey, where the subscription has sessions
	DefaultLock          = 30 * time.Second
	DefaultMaxDeliveries = 10
	DefaultMaxInFlight   = 1000

	minLock = 100 * time.Millisecond
	maxLock = time.Hour
	maxName = 64
)

// Topic declares a topic.
type Topic struct {
	// Name is a durable name: up to 64 lower-case letters, digits and hyphens, beginning with a letter.
	Name string
	// Kept topics take messages by Decide only and keep them until they are purged; all others take them by Publish. It cannot be changed.
	Kept bool
	// MaxMessages and MaxBytes bound what the topic holds. Default: 1,000,000 messages, 512 MiB, and of a topic that exists what it has: somebody may have raised it. A broker may reserve MaxBytes and refuse a declaration with ErrFull.
	MaxMessages int64
	MaxBytes    int64
	// MaxPerKey bounds how many messages one key may hold, so that a session that is stuck cannot fill the topic. Default: 1,000 with sessions, otherwise no bound. Kept topics
	// hold one and do not set it.
	MaxPerKey int64
	// Subscriptions of the topic. With sessions there is exactly one.
	Subscriptions []Subscription
	// Retired names subscriptions that are no longer wanted. They are deleted, with all that they have not settled; while they exist they hold messages.
	Retired []string
}

// Subscription declares an independent reader of a topic: it gets every message that matches, whatever other subscriptions do. Its receivers compete for them.
type Subscription struct {
	// Name is a durable name, as Topic.Name.
	Name string
	// Filters select messages by their keys: those that match any of them. No key may match two. Default: all.
	Filters []Filter
	// Widens adds the filters to those that the subscription has already, instead of replacing them, so that processes of several versions can share it: it never selects less than one of them asked for. A subscription that
	// selects everything stays so. Two that are declared at the same moment may overlook each other: declare again from time to time.
	Widens bool
	// Sessions hands out the messages of one key in their order and one at a time, over all receivers: the next one only after the one before was
	// completed or set aside; an abandoned one keeps its place. Different keys do not wait for each other: a key whose message is not settled holds up
	// nobody else. Only a topic with one subscription that is not kept can have sessions. It cannot be changed.
	//
	// One at a time ends where a lock is lost without its holder noticing (a process that was stopped and wakes up), so effects still need an inbox.
	Sessions bool
	// Lock is how long a message that was handed out is withheld from others before it is handed out again, counted from the hand-out
	// or the last Renew. From 100 ms to 1 h. Default: 30 s.
	Lock time.Duration
	// MaxDeliveries is how often a message is handed out before it is set aside as a dead letter. Default: 10.
	MaxDeliveries int
	// MaxInFlight bounds how many messages are handed out and not settled, over all receivers. While it is reached nothing is handed out. With sessions it bounds every receiver by itself. Default: 1,000.
	MaxInFlight int
}

// WithDefaults returns the declaration with defaults filled in, for drivers, or all its faults as one error that wraps ErrInvalid.
func (t Topic) WithDefaults() (Topic, error) {
	faults := checkName("topic", t.Name)
	fill := func(v *int64, d int64, name string) {
		if *v < 0 {
			faults = errors.Join(faults, fmt.Errorf("%s is negative: leave it out for %d", name, d))
		}
		if *v == 0 {
			*v = d
		}
	}
	fill(&t.MaxMessages, DefaultMaxMessages, "MaxMessages")
	fill(&t.MaxBytes, DefaultMaxBytes, "MaxBytes")
	subscriptions := make([]Subscription, len(t.Subscriptions))
	names := make(map[string]bool)
	for i, s := range t.Subscriptions {
		filled, err := s.withDefaults()
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("subscription %q: %w", s.Name, err))
		}
		if names[s.Name] {
			faults = errors.Join(faults, fmt.Errorf("subscription %q is declared twice: name each once", s.Name))
		}
		names[s.Name] = true
		subscriptions[i] = filled
		if s.Sessions && (t.Kept || len(t.Subscriptions) > 1) {
			faults = errors.Join(faults, fmt.Errorf("subscription %q has sessions: make it the only one of a topic that is not kept, and publish to that", s.Name))
		}
		if s.Sessions && t.MaxPerKey == 0 {
			t.MaxPerKey = DefaultMaxPerSession
		}
	}
	t.Subscriptions = subscriptions
	for _, r := range t.Retired {
		if names[r] {
			faults = errors.Join(faults, fmt.Errorf("subscription %q is declared and retired: do one of both", r))
		}
		faults = errors.Join(faults, checkName("retired subscription", r))
	}
	if t.MaxPerKey < 0 || t.Kept && t.MaxPerKey != 0 {
		faults = errors.Join(faults, errors.New("MaxPerKey is negative, or set on a kept topic: leave it out"))
	}
	if faults != nil {
		return t, fmt.Errorf("%w: topic %q: %w", ErrInvalid, t.Name, faults)
	}
	return t, nil
}

func (s Subscription) withDefaults() (Subscription, error) {
	faults := checkName("subscription", s.Name)
	if s.Lock == 0 {
		s.Lock = DefaultLock
	}
	if s.MaxDeliveries == 0 {
		s.MaxDeliveries = DefaultMaxDeliveries
	}
	if s.MaxInFlight == 0 {
		s.MaxInFlight = DefaultMaxInFlight
	}
	if s.Lock < minLock || s.Lock > maxLock {
		faults = errors.Join(faults, fmt.Errorf("Lock is %v: choose one between %v and %v", s.Lock, minLock, maxLock))
	}
	if s.MaxDeliveries < 0 || s.MaxInFlight < 0 {
		faults = errors.Join(faults, errors.New("MaxDeliveries or MaxInFlight is negative: leave it out for the default"))
	}
	if len(s.Filters) == 0 {
		s.Filters = []Filter{"**"}
	}
	for i, f := range s.Filters {
		faults = errors.Join(faults, f.Check())
		for _, other := range s.Filters[:i] {
			if f.Overlaps(other) {
				faults = errors.Join(faults, fmt.Errorf("filters %q and %q can match the same key: make them disjoint", other, f))
			}
		}
	}
	return s, faults
}

func checkName(what, name string) error {
	ok := name != "" && len(name) <= maxName && name[0] >= 'a' && name[0] <= 'z'
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%s name %.80q: use up to %d lower-case letters, digits and hyphens, a letter first", what, name, maxName)
	}
	return nil
}

// Check returns what is wrong with a declaration, or nil.
func (t Topic) Check() error {
	_, err := t.WithDefaults()
	return err
}
