package outsider

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/examples/drone/bus"
	"github.com/skaldhq/skald/participant/httpparticipant"
)

// service takes events in and has one queue per subscription.
type service struct {
	cfg   Config
	log   *slog.Logger
	store store
	way   *httpparticipant.Egress // to strangers' servers
	out   *http.Client            // which goes this way
	news  chan struct{}           // there may be a subscription without a queue

	mu     sync.Mutex
	queues map[string]*queue // by subscription
}

func newService(c Config, log *slog.Logger, db *sql.DB) *service {
	way := httpparticipant.NewEgress(httpparticipant.EgressConfig{NoLoopback: !c.AllowLoopback, NoPrivate: true, Idle: 2})
	return &service{cfg: c, log: log, store: store{db}, way: way, out: way.Client(c.Timeout), news: make(chan struct{}, 1), queues: make(map[string]*queue)}
}

// work runs until the context ends and returns when no goroutine is left.
func (s *service) work(ctx context.Context, _ string) {
	var group sync.WaitGroup
	group.Go(func() { s.every(ctx, time.Hour, "forgetting old events", s.prune) })
	group.Go(func() { s.again(ctx, "taking events from the broker", s.consume) })
	for {
		s.again(ctx, "opening the queues", func(ctx context.Context) error { return s.open(ctx, &group) })
		if !wait(ctx, idle, s.news) {
			break
		}
	}
	group.Wait()
	s.way.Close()
}

// again does something until it succeeds or the context ends.
func (s *service) again(ctx context.Context, what string, do func(context.Context) error) {
	for failures := 1; ; failures++ {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		s.log.Error("failed; trying again", "what", what, "error", err)
		if !wait(ctx, DefaultBackoff(failures), nil) {
			return
		}
	}
}

// every does something now and in intervals.
func (s *service) every(ctx context.Context, interval time.Duration, what string, do func(context.Context) error) {
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("failed; trying again later", "what", what, "error", err)
		}
		if !wait(ctx, interval, nil) {
			return
		}
	}
}

func (s *service) prune(ctx context.Context) error {
	return s.store.prune(ctx, time.Now().Add(-s.cfg.Keep))
}

// open starts the queues of subscriptions that have none.
func (s *service) open(ctx context.Context, group *sync.WaitGroup) error {
	all, err := s.store.subscriptions(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range all {
		if _, open := s.queues[sub.ID]; open {
			continue
		}
		working, stop := context.WithCancel(ctx)
		q := &queue{id: sub.ID, woken: make(chan struct{}, 1), stop: stop}
		s.queues[sub.ID] = q
		group.Go(func() {
			defer stop()
			s.run(working, q)
		})
	}
	return nil
}

// consume takes events in until the context ends.
func (s *service) consume(ctx context.Context) error {
	return broker.Consume(ctx, s.cfg.Broker, broker.ConsumerConfig{Topic: bus.Events, Subscription: Subscription, Log: s.log}, s.take)
}

// take writes an event into the queues. It is durable there when take returns, and only then is the broker done with it.
func (s *service) take(ctx context.Context, d *broker.Delivery) error {
	header, err := attributes(d.Message)
	if err != nil {
		return &broker.Rejection{Problem: broker.Problem{Reason: broker.ReasonUnreadable, Description: err.Error()}}
	}
	concerned, err := s.store.take(ctx, d.Message, header, time.Now())
	if err != nil {
		return fmt.Errorf("taking event %s: %w", d.Message.ID, err)
	}
	for _, id := range concerned {
		s.wake(id)
	}
	return nil
}

// wake lets a subscription's queue look at once, and has it opened if it is not open.
func (s *service) wake(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	woken := s.news
	if q, open := s.queues[id]; open {
		woken = q.woken
	}
	select {
	case woken <- struct{}{}:
	default: // it will look anyway
	}
}

// shut ends a subscription's queue; a delivery that is under way is cut off.
func (s *service) shut(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q, open := s.queues[id]; open {
		q.stop()
		delete(s.queues, id)
	}
}

// queue delivers the events of one subscription, one after the other.
type queue struct {
	id    string
	woken chan struct{}
	stop  context.CancelFunc
}

// idle is how long a queue with nothing to do waits before it looks by itself.
const idle = time.Minute

func (s *service) run(ctx context.Context, q *queue) {
	for {
		pause, err := s.step(ctx, q.id)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errGone):
			s.shut(q.id)
			return
		case err != nil:
			s.log.Error("queue of a subscription; trying again", "subscription", q.id, "error", err)
			pause = time.Second
		}
		if !wait(ctx, pause, q.woken) {
			return
		}
	}
}

// step does the next thing that is due and returns how long there is nothing to do after it.
func (s *service) step(ctx context.Context, id string) (time.Duration, error) {
	sub, err := s.store.subscription(ctx, id)
	if err != nil {
		return 0, err
	}
	if rest := time.Until(sub.Paused); rest > 0 {
		return rest, nil
	}
	if sub.Validated.IsZero() {
		if sub.Withheld {
			return idle, nil // only a callback or a new request changes that
		}
		return 0, s.shakeHands(ctx, sub)
	}
	d, err := s.store.next(ctx, id)
	if errors.Is(err, errGone) {
		return idle, nil
	}
	if err != nil {
		return 0, err
	}
	if rest := time.Until(d.Due); rest > 0 {
		return rest, nil
	}
	return 0, s.deliver(ctx, sub, d)
}

// interval is the pause between requests that the outsider's rate asks for.
func (sub subscription) interval() time.Duration {
	if sub.Rate == 0 {
		return 0
	}
	return time.Minute / time.Duration(sub.Rate)
}

// wait returns false if the context ended. It ends early when woken.
func wait(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-woken:
	}
	return ctx.Err() == nil
}
