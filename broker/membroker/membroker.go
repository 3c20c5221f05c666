// Package membroker is a broker in memory, for tests and simulations: the contract without a disk, and the faults that a real
// broker and its network are capable of, each on request and by chance that can be replayed.
//
// It starts no goroutine and reads no clock but the one it is given, so a single-threaded simulator can drive it with Take and NextDue in virtual time. It is not
// durable: what it "stored" ends with the process.
package membroker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
)

// window is how long the id of a published message is remembered, as JetStream does by default.
const window = 2 * time.Minute

// Config says what a broker is like. The zero value is a broker without faults.
type Config struct {
	// Now is the clock. With another than the default, calls of Receive that wait notice time passing only when something else happens. Default: time.Now.
	Now func() time.Time
	// Chance decides on faults. Default: none ever happens.
	Chance Chance
	// MaxDelay bounds the fault Delay. Default: 1 s.
	MaxDelay time.Duration
}

// errFault is what a caller sees of a fault: it does not say whether the call took effect.
var errFault = errors.New("membroker: the connection was lost (injected)")

// Broker is a broker in memory. It implements broker.Broker, broker.DeadLetters, broker.Gauge and broker.Overhearer.
type Broker struct {
	overhearing broker.Overhearing
	cfg         Config

	mu       sync.Mutex
	topics   map[string]*topic
	letters  letters
	closed   bool
	changed  chan struct{} // closed and made anew whenever something may have become ready
	injected [faults]int
}

var (
	_ broker.Broker      = (*Broker)(nil)
	_ broker.DeadLetters = (*Broker)(nil)
	_ broker.Gauge       = (*Broker)(nil)
)

// New returns an empty broker.
func New(cfg Config) *Broker {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxDelay <= 0 {
		cfg.MaxDelay = time.Second
	}
	return &Broker{cfg: cfg, topics: make(map[string]*topic), letters: newLetters(), changed: make(chan struct{})}
}

// Injected says how often a fault has happened.
func (b *Broker) Injected(f Fault) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(f) >= faults {
		return 0
	}
	return b.injected[f]
}

// happens asks for a fault and counts it.
func (b *Broker) happens(f Fault) bool {
	if b.cfg.Chance == nil || !b.cfg.Chance.Happens(f) {
		return false
	}
	b.injected[f]++
	return true
}

func (b *Broker) pick(n int) int {
	if b.cfg.Chance == nil || n <= 1 {
		return 0
	}
	return b.cfg.Chance.Pick(n)
}

// enter locks the broker for a call. After an error it is not locked.
func (b *Broker) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return broker.ErrClosed
	}
	return nil
}

// notify wakes those who wait in Receive.
func (b *Broker) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *Broker) topic(name string) (*topic, error) {
	t, ok := b.topics[name]
	if !ok {
		return nil, fmt.Errorf("membroker: topic %q: %w", name, broker.ErrNotDeclared)
	}
	return t, nil
}

// Declare implements broker.Broker.
func (b *Broker) Declare(ctx context.Context, topics ...broker.Topic) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	for _, d := range topics {
		filled, err := d.WithDefaults()
		if err != nil {
			return fmt.Errorf("membroker: %w", err)
		}
		t, ok := b.topics[d.Name]
		if ok && d.MaxMessages == 0 {
			filled.MaxMessages = t.MaxMessages
		}
		if ok && d.MaxBytes == 0 {
			filled.MaxBytes = t.MaxBytes
		}
		if !ok {
			t = newTopic(filled)
			b.topics[d.Name] = t
		}
		if err := t.declare(filled); err != nil {
			return err
		}
	}
	b.notify()
	return nil
}

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, name string, messages ...broker.Message) error {
	for _, m := range messages {
		if err := m.Check(); err != nil {
			return fmt.Errorf("membroker: %w", err)
		}
	}
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.mu.Unlock()
	t, err := b.topic(name)
	if err != nil {
		return err
	}
	if t.Kept {
		return fmt.Errorf("membroker: topic %q is kept: use Decide: %w", name, broker.ErrInvalid)
	}
	for _, m := range messages {
		if b.happens(LostPublish) {
			return errFault
		}
		if err := b.publish(t, m); err != nil {
			return err
		}
	}
	b.notify()
	if b.happens(LostPublishReply) {
		return errFault
	}
	return nil
}

func (b *Broker) publish(t *topic, m broker.Message) error {
	now := b.cfg.Now()
	if at, known := t.ids[m.ID]; known && now.Sub(at) < window && !b.happens(ForgottenID) {
		return nil
	}
	if err := t.room(m); err != nil {
		return err
	}
	t.remember(m.ID, now)
	m = m.Clone()
	due := m.NotBefore
	m.NotBefore = time.Time{}
	if due.After(now) {
		t.delay(m, due)
		return nil
	}
	b.store(t, m, now)
	return nil
}

// store gives a message its place and hands it to the subscriptions that want it.
func (b *Broker) store(t *topic, m broker.Message, now time.Time) *stored {
	s := t.add(m, now)
	for _, sub := range t.subs {
		if sub.wants(m.Key) {
			b.enqueue(sub, s)
		}
	}
	t.drop(s) // if nobody wants it
	return s
}

func (b *Broker) enqueue(sub *subscription, s *stored) {
	copies := 1
	if b.happens(Duplicate) {
		copies = 2
	}
	for range copies {
		var from time.Time
		if b.happens(Delay) {
			from = b.cfg.Now().Add(time.Duration(b.pick(int(b.cfg.MaxDelay)) + 1))
		}
		sub.enqueue(s, from)
	}
}

// Decide implements broker.Broker.
func (b *Broker) Decide(ctx context.Context, name string, m broker.Message) (broker.Decision, error) {
	if err := m.Check(); err != nil {
		return broker.Decision{}, fmt.Errorf("membroker: %w", err)
	}
	if err := b.enter(ctx); err != nil {
		return broker.Decision{}, err
	}
	defer b.mu.Unlock()
	t, err := b.topic(name)
	if err != nil {
		return broker.Decision{}, err
	}
	if !t.Kept || !m.NotBefore.IsZero() {
		return broker.Decision{}, fmt.Errorf("membroker: topic %q is not kept, or the message is delayed: use Publish: %w", name, broker.ErrInvalid)
	}
	proposal := b.overhearing.Propose(name, m.Clone())
	defer proposal.Close()
	if b.happens(LostPublish) {
		return broker.Decision{}, errFault
	}
	s, decided := t.byKey[m.Key]
	if !decided {
		if err := t.room(m); err != nil {
			return broker.Decision{}, err
		}
		s = b.store(t, m.Clone(), b.cfg.Now())
		b.notify()
	}
	if b.happens(LostPublishReply) {
		return broker.Decision{}, errFault
	}
	d := broker.Decision{Won: s.message.ID == m.ID, Message: s.message.Clone()}
	switch {
	case !decided:
		proposal.Won(func(context.Context) error { return nil })
		proposal.Durable()
	case d.Won:
		proposal.WonBefore(s.message.Clone())
		proposal.Durable()
	}
	return d, nil
}

// Overhear implements broker.Overhearer.
func (b *Broker) Overhear(topic string, when broker.Moment, heard func(m broker.Message, durable func(context.Context) error)) (stop func()) {
	return b.overhearing.Overhear(topic, when, heard)
}

// Read implements broker.Broker.
func (b *Broker) Read(ctx context.Context, name string, f broker.Filter) ([]broker.Message, error) {
	kept, err := b.kept(ctx, name, f)
	if err != nil {
		return nil, err
	}
	defer b.mu.Unlock()
	found := kept.match(f)
	if len(found) > broker.MaxRead {
		return nil, fmt.Errorf("membroker: %d messages match %q: %w", len(found), f, broker.ErrTooMany)
	}
	messages := make([]broker.Message, len(found))
	for i, s := range found {
		messages[i] = s.message.Clone()
	}
	return messages, nil
}

// Purge implements broker.Broker.
func (b *Broker) Purge(ctx context.Context, name string, f broker.Filter) (int, error) {
	kept, err := b.kept(ctx, name, f)
	if err != nil {
		return 0, err
	}
	defer b.mu.Unlock()
	found := kept.match(f)
	for _, s := range found {
		kept.purge(s)
	}
	for _, sub := range kept.subs {
		sub.purge(f)
	}
	return len(found), nil
}

// kept returns a kept topic, with the broker locked if there is no error.
func (b *Broker) kept(ctx context.Context, name string, f broker.Filter) (*topic, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("membroker: %w: %w", broker.ErrInvalid, err)
	}
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	t, err := b.topic(name)
	if err == nil && !t.Kept {
		err = fmt.Errorf("membroker: topic %q is not kept: %w", name, broker.ErrInvalid)
	}
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	return t, nil
}

// Probe implements broker.Broker. It fails only when the broker is closed.
func (b *Broker) Probe(ctx context.Context) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	b.mu.Unlock()
	return nil
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.notify()
	}
	return nil
}
