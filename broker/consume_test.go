package broker_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skaldhq/skald/broker"
	"github.com/skaldhq/skald/broker/membroker"
)

// deaf is a broker that hears of no settlement: whoever waits for it to have heard waits until the context ends.
type deaf struct{ broker.Broker }

func (b deaf) Receiver(ctx context.Context, topic, subscription string) (broker.Receiver, error) {
	r, err := b.Broker.Receiver(ctx, topic, subscription)
	return deafReceiver{r}, err
}

type deafReceiver struct{ broker.Receiver }

func (r deafReceiver) Receive(ctx context.Context, max int) ([]*broker.Delivery, error) {
	all, err := r.Receiver.Receive(ctx, max)
	for _, d := range all {
		d.Settlement = deafSettlement{d.Settlement}
	}
	return all, err
}

type deafSettlement struct{ broker.Settlement }

func (deafSettlement) Complete(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// A consumer that is stopped while the broker is away does not wait for as long as the lock of its messages.
func TestAConsumerStopsAlsoWhileTheBrokerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := membroker.New(membroker.Config{})
		if err := b.Declare(t.Context(), broker.Topic{Name: "q", Subscriptions: []broker.Subscription{{Name: "q", Lock: time.Hour}}}); err != nil {
			t.Fatal(err)
		}
		if err := b.Publish(t.Context(), "q", broker.Message{ID: "m", Type: "Asked", Source: "test", Key: "k"}); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() {
			c := broker.ConsumerConfig{Topic: "q", Subscription: "q", Grace: 3 * time.Second, Log: slog.New(slog.DiscardHandler)}
			stopped <- broker.Consume(ctx, deaf{b}, c, func(context.Context, *broker.Delivery) error { return nil })
		}()
		time.Sleep(time.Second)
		began := time.Now()
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("it stopped after %s, want the grace and a second", took)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}
