package choreography

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/skaldhq/skald"
	"github.com/skaldhq/skald/bench/load"
	"github.com/skaldhq/skald/broker"
)

// What is stuck or slow must not cost what goes on beside it. Each of these is compared with the rates before and after, since both files that grow and a shared machine make rates drift.

// beside measures what something costs the others while it goes on: disturb begins it, and settle ends it and waits until nothing of it goes on.
func beside(rate func() (float64, error), disturb func() (settle func() error, err error)) (ratio float64, err error) {
	before, err := rate()
	if err != nil {
		return 0, err
	}
	settle, err := disturb()
	if err != nil {
		return 0, err
	}
	during, err := rate()
	if err = errors.Join(err, settle()); err != nil {
		return 0, err
	}
	after, err := rate()
	return 2 * during / (before + after), err
}

// orders is the rate of 32 orders in flight.
func (b *bed) orders(ctx context.Context) func() (float64, error) {
	return func() (float64, error) {
		all, _, err := b.sagas(ctx, 32, order{SKU: "CAF-001"})
		return all.rate(), err
	}
}

// besideStuckSagas measures what sagas that get nowhere cost the others: 64 of them wait for a payment that is never answered. It also adds how much of the processors they take by themselves.
func (b *bed) besideStuckSagas(ctx context.Context, name string) error {
	if !b.wanted(name) {
		return nil
	}
	nothing := b.idle(ctx)
	ratio, err := beside(b.orders(ctx), func() (func() error, error) {
		waiting, release := context.WithCancel(ctx)
		b.hold(waiting)
		var stuck []skald.Run
		for range 64 {
			run, err := b.saga.Start(ctx, b.engine, order{SKU: "CAF-001", Hang: true})
			if err != nil {
				release()
				return nil, err
			}
			stuck = append(stuck, run)
		}
		return func() error {
			b.set.Add(name+".cpu", b.idle(ctx)-nothing, "ms/s")
			release()
			for _, run := range stuck { // else they would go on while something else is measured
				if _, err := run.Wait(ctx); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
	if err == nil {
		b.set.Add(name, ratio, "x")
	}
	return err
}

// besideSlowParticipant measures what a participant that takes a second for everything, and the 16 sagas that are always under way there, cost the others.
func (b *bed) besideSlowParticipant(ctx context.Context, name string) error {
	if !b.wanted(name) {
		return nil
	}
	ratio, err := beside(b.orders(ctx), func() (func() error, error) {
		sent := make(chan error, 1)
		go func() {
			_, err := b.run(ctx, 16, func(ctx context.Context) error { // for a slice, as the orders beside them
				run, err := b.letters.Start(ctx, b.engine, order{SKU: "CAF-001"})
				if err == nil {
					_, err = run.Wait(ctx)
				}
				return err
			})
			sent <- err
		}()
		return func() error { return <-sent }, nil
	})
	if err == nil {
		b.set.Add(name, ratio, "x")
	}
	return err
}

// besideStuckSession measures what a session that is stuck, with 64 messages behind the one that is never done with, costs 32 others of the same queue, and how many messages these get through.
func (b *bed) besideStuckSession(ctx context.Context, name string) error {
	if !b.wanted(name) {
		return nil
	}
	q := &queue{name: "bench-" + uuid.NewString(), waiting: make(map[string]chan struct{}), stuck: make(chan struct{})}
	err := b.broker.Declare(ctx, broker.Topic{Name: q.name, Subscriptions: []broker.Subscription{{Name: "all", Sessions: true}}})
	if err != nil {
		return err
	}
	consuming, stop := context.WithCancel(ctx)
	consumed := make(chan error, 1)
	go func() {
		consumed <- broker.Consume(consuming, b.broker, broker.ConsumerConfig{Topic: q.name, Subscription: "all", Parallel: 64, Log: slog.New(slog.DiscardHandler)}, q.handle)
	}()
	var rates []float64
	rate := func() (float64, error) {
		lanes := make(chan int, 32)
		for i := range 32 {
			lanes <- i
		}
		all, err := b.run(ctx, 32, func(ctx context.Context) error {
			lane := <-lanes
			defer func() { lanes <- lane }()
			return q.send(ctx, b.broker, fmt.Sprint("session-", lane))
		})
		rates = append(rates, all.rate())
		return all.rate(), err
	}
	ratio, err := beside(rate, func() (func() error, error) {
		for range 65 {
			if err := b.broker.Publish(ctx, q.name, q.message(stuckSession)); err != nil {
				return nil, err
			}
		}
		return func() error {
			close(q.stuck)
			return q.send(ctx, b.broker, stuckSession) // handled when all before it are
		}, nil
	})
	stop()
	if err = errors.Join(err, <-consumed); err != nil {
		return err
	}
	b.set.Add(name+".rate", rates[1], "messages/s")
	b.set.Add(name, ratio, "x")
	return nil
}

// stuckSession is the key of the session that is stuck.
const stuckSession = "stuck"

// queue is a queue with sessions, and those who wait for their messages to be handled.
type queue struct {
	name  string
	stuck chan struct{} // closed when the session that is stuck may go on

	mu      sync.Mutex
	waiting map[string]chan struct{} // by message
}

func (q *queue) message(session string) broker.Message {
	return broker.Message{ID: uuid.NewString(), Type: "Asked", Source: "bench", Key: broker.NewKey(session), Data: []byte(`{}`), Time: time.Now()}
}

// send publishes a message and waits until it is handled.
func (q *queue) send(ctx context.Context, b broker.Broker, session string) error {
	m := q.message(session)
	handled := make(chan struct{})
	q.mu.Lock()
	q.waiting[m.ID] = handled
	q.mu.Unlock()
	if err := b.Publish(ctx, q.name, m); err != nil {
		return err
	}
	select {
	case <-handled:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (q *queue) handle(ctx context.Context, d *broker.Delivery) error {
	if d.Message.Key == broker.NewKey(stuckSession) {
		select {
		case <-q.stuck:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if handled := q.waiting[d.Message.ID]; handled != nil {
		close(handled)
		delete(q.waiting, d.Message.ID)
	}
	return nil
}

// idle is how much of the processors is used while nobody starts anything, in milliseconds a second.
func (b *bed) idle(ctx context.Context) float64 {
	rest(ctx, time.Second) // what was begun ends
	began, used := time.Now(), load.CPU()
	rest(ctx, b.Slice)
	return float64((load.CPU() - used).Milliseconds()) / time.Since(began).Seconds()
}

// rest lets a time pass, or what is left of the context's.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
