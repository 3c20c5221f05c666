package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/skaldhq/skald/broker"
)

// window is how long the id of a published message is remembered.
const window = 2 * time.Minute

// Metadata of streams and consumers, where others see them.
const (
	metaKept          = "skald-kept"
	metaSessions      = "skald-sessions"
	metaMaxDeliveries = "skald-max-deliveries"
	metaMaxInFlight   = "skald-max-in-flight"
)

// topic is what a broker remembers of a declared topic. It never changes.
type topic struct {
	name   string
	stream string
	kept   bool
}

// declareOwn makes the streams that do not belong to a topic.
func (b *Broker) declareOwn(ctx context.Context) error {
	own := []jetstream.StreamConfig{
		{Name: b.names.dead(), Subjects: []string{b.names.letter("*")}, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, MaxMsgs: 1_000_000, MaxBytes: -1, AllowMsgTTL: true},
		{Name: b.names.notes(), Subjects: []string{b.names.note(">")}, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardOld, MaxMsgs: 1_000_000, MaxBytes: -1, MaxAge: 7 * 24 * time.Hour},
		{Name: b.names.delayed(), Subjects: []string{b.names.delay("*")}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxMsgs: 1_000_000, MaxBytes: -1, Duplicates: window},
	}
	for _, cfg := range own {
		cfg.Replicas = b.cfg.Replicas
		if _, err := b.js.Stream(ctx, cfg.Name); err == nil {
			continue // another broker made it
		} else if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		if _, err := b.js.CreateStream(ctx, cfg); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return err
		}
	}
	_, err := b.js.CreateOrUpdateConsumer(ctx, b.names.delayed(), jetstream.ConsumerConfig{Durable: mover, AckPolicy: jetstream.AckExplicitPolicy, AckWait: moverLock, MaxDeliver: -1, MaxAckPending: -1})
	return err
}

// Declare implements broker.Broker.
func (b *Broker) Declare(ctx context.Context, topics ...broker.Topic) error {
	leave, err := b.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, d := range topics {
		filled, err := d.WithDefaults()
		if err != nil {
			return fmt.Errorf("natsbroker: %w", err)
		}
		unsaid := limits{d.MaxMessages == 0, d.MaxBytes == 0}
		if err := b.retry(ctx, func(ctx context.Context) error { return b.declare(ctx, filled, unsaid) }); err != nil {
			return fmt.Errorf("natsbroker: declaring topic %s: %w", d.Name, b.explain(err))
		}
	}
	return nil
}

// limits are those of a topic that a declaration leaves to the defaults: those of one that exists stay.
type limits struct{ messages, bytes bool }

func (b *Broker) declare(ctx context.Context, t broker.Topic, unsaid limits) error {
	stream, err := b.declareStream(ctx, t, unsaid)
	if err != nil {
		return err
	}
	for _, r := range t.Retired {
		if err := stream.DeleteConsumer(ctx, r); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	existing, err := b.consumers(ctx, stream)
	if err != nil {
		return err
	}
	if err := fits(t, existing); err != nil {
		return err
	}
	for _, s := range t.Subscriptions {
		old, ok := existing[s.Name]
		if ok && s.Widens {
			s.Filters = broker.Widened(b.names.selected(t.Name, old), s.Filters)
		}
		cfg := b.consumer(t, s)
		switch {
		case !ok:
			if err = begin(ctx, stream, cfg); errors.Is(err, jetstream.ErrConsumerExists) { // by another broker, a moment ago
				return b.declare(ctx, t, unsaid)
			}
		case !same(old, cfg):
			cfg.DeliverPolicy, cfg.OptStartSeq = old.DeliverPolicy, old.OptStartSeq
			_, err = stream.UpdateConsumer(ctx, cfg)
		}
		if err != nil {
			return fmt.Errorf("subscription %s: %w", s.Name, err)
		}
	}
	return nil
}

// begin makes a subscription. One that is to get what is new is told where that begins: otherwise each server of a cluster finds out for itself when it comes to lead the consumer, and what was published before that, and after the declaration, would be passed over.
func begin(ctx context.Context, stream jetstream.Stream, cfg jetstream.ConsumerConfig) error {
	if cfg.DeliverPolicy == jetstream.DeliverNewPolicy {
		now, err := stream.Info(ctx)
		if err != nil {
			return err
		}
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, now.State.LastSeq+1
	}
	_, err := stream.CreateConsumer(ctx, cfg)
	return err
}

// declareStream makes a topic's stream or changes its limits.
func (b *Broker) declareStream(ctx context.Context, t broker.Topic, unsaid limits) (jetstream.Stream, error) {
	cfg := jetstream.StreamConfig{
		Name: b.names.stream(t.Name), Subjects: []string{b.names.topic(t.Name) + ">"}, Replicas: b.cfg.Replicas, Metadata: map[string]string{metaKept: strconv.FormatBool(t.Kept)},
		Retention: jetstream.InterestPolicy, Discard: jetstream.DiscardNew, MaxMsgs: t.MaxMessages, MaxBytes: t.MaxBytes, Duplicates: window, AllowDirect: true,
	}
	if t.Kept {
		// The compare-and-set recognises copies, so ids need not be remembered.
		cfg.Retention, cfg.Duplicates = jetstream.LimitsPolicy, 100*time.Millisecond
	}
	if t.MaxPerKey > 0 {
		cfg.MaxMsgsPerSubject, cfg.DiscardNewPerSubject = t.MaxPerKey, true
	}
	stream, err := b.js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = b.js.CreateStream(ctx, cfg)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by another broker, a moment ago
			stream, err = b.js.Stream(ctx, cfg.Name)
		}
	}
	if err != nil {
		return nil, err
	}
	old := stream.CachedInfo().Config
	if kept(old) != t.Kept {
		return nil, fmt.Errorf("whether it is kept cannot be changed: %w", broker.ErrConflict)
	}
	if unsaid.messages {
		cfg.MaxMsgs = old.MaxMsgs
	}
	if unsaid.bytes {
		cfg.MaxBytes = old.MaxBytes
	}
	if old.MaxMsgs == cfg.MaxMsgs && old.MaxBytes == cfg.MaxBytes && max(old.MaxMsgsPerSubject, 0) == cfg.MaxMsgsPerSubject {
		return stream, nil
	}
	old.MaxMsgs, old.MaxBytes, old.MaxMsgsPerSubject, old.DiscardNewPerSubject = cfg.MaxMsgs, cfg.MaxBytes, cfg.MaxMsgsPerSubject, cfg.DiscardNewPerSubject
	stream, err = b.js.UpdateStream(ctx, old)
	b.syncs().changed(old.Name)
	return stream, err
}

func kept(cfg jetstream.StreamConfig) bool { return cfg.Retention == jetstream.LimitsPolicy }

// consumers are those of the subscriptions that exist.
func (b *Broker) consumers(ctx context.Context, stream jetstream.Stream) (map[string]jetstream.ConsumerConfig, error) {
	existing := make(map[string]jetstream.ConsumerConfig)
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable != "" {
			existing[info.Name] = info.Config
		}
	}
	return existing, list.Err()
}

// fits says whether the subscriptions of a declaration can stand beside those that exist.
func fits(t broker.Topic, existing map[string]jetstream.ConsumerConfig) error {
	named := make(map[string]bool)
	withSessions := false
	for _, s := range t.Subscriptions {
		named[s.Name] = true
		withSessions = withSessions || s.Sessions
		if old, ok := existing[s.Name]; ok && hasSessions(old) != s.Sessions {
			return fmt.Errorf("whether subscription %s has sessions cannot be changed: %w", s.Name, broker.ErrConflict)
		}
	}
	for name, old := range existing {
		if !named[name] && (hasSessions(old) || withSessions) {
			return fmt.Errorf("it has subscription %s, and with sessions there is one only: %w", name, broker.ErrConflict)
		}
	}
	return nil
}

func hasSessions(cfg jetstream.ConsumerConfig) bool { return cfg.Metadata[metaSessions] == "true" }

func (b *Broker) consumer(t broker.Topic, s broker.Subscription) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Durable: s.Name, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.Lock, MaxDeliver: -1, MaxAckPending: s.MaxInFlight, FilterSubjects: b.names.filters(t.Name, s), DeliverPolicy: jetstream.DeliverNewPolicy,
		Metadata: map[string]string{metaSessions: strconv.FormatBool(s.Sessions), metaMaxDeliveries: strconv.Itoa(s.MaxDeliveries), metaMaxInFlight: strconv.Itoa(s.MaxInFlight)},
	}
	if t.Kept {
		cfg.DeliverPolicy = jetstream.DeliverAllPolicy
	}
	if s.Sessions {
		// Messages that wait behind another of their session are in flight for the server; MaxPerKey and MaxMessages bound them.
		cfg.MaxAckPending = -1
	}
	if len(cfg.FilterSubjects) == 1 {
		cfg.FilterSubject, cfg.FilterSubjects = cfg.FilterSubjects[0], nil
	}
	return cfg
}

// same says whether a declaration changes nothing.
func same(old, cfg jetstream.ConsumerConfig) bool {
	for _, key := range []string{metaMaxDeliveries, metaMaxInFlight} {
		if old.Metadata[key] != cfg.Metadata[key] {
			return false
		}
	}
	return old.AckWait == cfg.AckWait && old.MaxAckPending == cfg.MaxAckPending && old.FilterSubject == cfg.FilterSubject && slices.Equal(old.FilterSubjects, cfg.FilterSubjects)
}

// topic looks a topic up, or returns an error that wraps ErrNotDeclared.
func (b *Broker) topic(ctx context.Context, name string) (topic, error) {
	b.mu.Lock()
	t, ok := b.topics[name]
	b.mu.Unlock()
	if ok {
		return t, nil
	}
	unknown := fmt.Errorf("natsbroker: topic %.80q: %w", name, broker.ErrNotDeclared)
	if (broker.Topic{Name: name}).Check() != nil {
		return topic{}, unknown
	}
	err := b.retry(ctx, func(ctx context.Context) error {
		stream, err := b.js.Stream(ctx, b.names.stream(name))
		if err != nil {
			return err
		}
		t = topic{name: name, stream: b.names.stream(name), kept: kept(stream.CachedInfo().Config)}
		return nil
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return topic{}, unknown
	}
	if err != nil {
		return topic{}, fmt.Errorf("natsbroker: looking up topic %s: %w", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[name] = t
	return t, nil
}
